//! Pushes to browsers.

use std::time::Duration;

use peal_publisher::PushSettings;
use serde_json::{Value, json};

use super::browser::{Browser, claims, decode};
use super::endpoint::{Act, Endpoint};
use super::scene::{Scene, settings, user};
use super::webhook::LATER;

const SOON: Duration = Duration::from_millis(300);

/// The key pair of the application server in RFC 8291 §5.
const KEY: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
const PUBLIC: &str = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";

fn web_push() -> PushSettings {
    PushSettings {
        push_vapid_key: Some(KEY.parse().unwrap()),
        push_contact: Some("mailto:ops@shop.example".to_owned()),
        push_private_endpoints: true,
        ..PushSettings::default()
    }
}

async fn subscribe(scene: &Scene, number: u64, id: &str, endpoint: &Endpoint) {
    let subscription = Browser::of_the_rfc().subscription(&format!("{}/{id}", endpoint.url));
    assert!(scene.stores.subscriptions.put(user(number), id.parse().unwrap(), subscription).await.unwrap());
}

#[test]
fn what_the_rfc_sealed_can_be_opened_here() {
    let sealed = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    let opened = Browser::of_the_rfc().open(&decode(sealed));
    assert_eq!(opened, b"When I grow up, I want to be a watermelon");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_opens_what_it_is_pushed_and_sees_by_whom() {
    let (scene, service) = (Scene::start(SOON).await, Endpoint::start([Act::Answer(201)]).await);
    scene.push(&web_push());
    subscribe(&scene, 42, "phone", &service).await;
    scene.fill(7, [42]).await;
    scene.say(7, "first").await;
    let received = service.until(|received| received.len() == 1).await.remove(0);
    assert_eq!(received.path, "/phone");
    let headers = ["content-encoding", "ttl", "urgency"].map(|name| received.header(name));
    assert_eq!(headers, ["aes128gcm", "604800", "normal"]);
    let (claims, key) = claims(&received);
    assert_eq!(
        (key.as_str(), &claims["aud"], &claims["sub"]),
        (PUBLIC, &json!(service.url), &json!("mailto:ops@shop.example"))
    );
    let now = peal_serve::Clock::system().now().millis() / 1_000;
    assert!((now..now + 24 * 3_600).contains(&claims["exp"].as_u64().unwrap()), "{claims}");
    let payload: Value = serde_json::from_slice(&Browser::of_the_rfc().open(&received.body)).unwrap();
    assert_eq!((&payload["type"], &payload["user"]), (&json!("notification"), &json!(42)));
    assert_eq!(payload["notification"]["id"], json!("first:42"));
    assert_eq!(payload["notification"]["data"], json!({ "text": "first" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_service_is_told_for_how_long_and_what_it_replaces() {
    let (scene, service) = (Scene::start(LATER).await, Endpoint::start([]).await);
    scene.push(&web_push());
    subscribe(&scene, 42, "phone", &service).await;
    scene.fill(7, [42]).await;
    scene.say_for(7, "old", Some(60), Some("joins.7")).await;
    scene.say_for(7, "new", Some(60), Some("joins.7")).await;
    let received = service.until(|received| !received.is_empty()).await.pop().unwrap();
    assert_eq!(received.header("topic"), "xl84pbIPw2oQhZAT8a1_uxW8AyTDV7ig");
    assert!((1..60).contains(&received.header("ttl").parse::<u32>().unwrap()), "{}", received.header("ttl"));
    let payload: Value = serde_json::from_slice(&Browser::of_the_rfc().open(&received.body)).unwrap();
    assert_eq!(payload["notification"]["id"], json!("new:42"), "the other was replaced before it was due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_over_is_removed_and_the_others_are_pushed_to() {
    let (scene, service, over) = (Scene::start(SOON).await, Endpoint::start([]).await, Endpoint::start([]).await);
    over.otherwise(Act::Answer(410));
    scene.push(&web_push());
    subscribe(&scene, 42, "laptop", &over).await;
    subscribe(&scene, 42, "phone", &service).await;
    scene.fill(7, [42]).await;
    scene.say(7, "first").await;
    over.until(|received| received.len() == 1).await;
    service.until(|received| received.len() == 1).await;
    scene.say(7, "second").await;
    service.until(|received| received.len() == 2).await;
    assert_eq!(over.received().len(), 1);
    let left = scene.stores.subscriptions.of(vec![user(42)]).await.unwrap().remove(0);
    assert_eq!(left.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["phone"]);
    assert!(scene.api.letters(None).await.unwrap().letters.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_service_that_hangs_holds_up_neither_another_nor_the_webhook() {
    let (scene, hangs, service) = (Scene::start(SOON).await, Endpoint::start([]).await, Endpoint::start([]).await);
    let webhook = Endpoint::start([]).await;
    hangs.otherwise(Act::Hang);
    let PushSettings { push_webhook, push_webhook_secret, .. } = settings(&webhook.url);
    scene.push(&PushSettings { push_webhook, push_webhook_secret, ..web_push() });
    // All in one partition, so that they share a worker.
    let users = |rest: u64| (0..60).map(move |number| (number * 2 + rest) * 12);
    for number in users(0) {
        subscribe(&scene, number, "phone", &hangs).await;
    }
    for number in users(1) {
        subscribe(&scene, number, "phone", &service).await;
    }
    scene.fill(7, users(0).chain(users(1))).await;
    scene.say(7, "first").await;
    service.until(|received| received.len() == 60).await;
    webhook.until(|received| received.len() == 120).await;
    assert!((1..=16).contains(&hangs.received().len()), "{}", hangs.received().len());
}
