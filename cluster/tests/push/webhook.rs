//! Pushes to a webhook.

use std::collections::BTreeSet;
use std::time::Duration;

use peal_publisher::PushSettings;
use peal_store::inbox::Retention;
use peal_store::simulated::Simulation;
use serde_json::{Value, json};

use super::endpoint::{Act, Endpoint, Received};
use super::scene::{SECRET, Scene, settings};
use super::signature::is_signed;

/// Long enough for what is on its way to arrive, and short for a test.
const SOON: Duration = Duration::from_millis(300);
/// Long enough for a socket to open and acknowledge before, on a busy machine as well.
pub(super) const LATER: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_is_told_by_a_signed_post_and_who_is_there_is_not() {
    let (scene, endpoint) = (Scene::start(SOON).await, Endpoint::start([]).await);
    scene.push(&settings(&endpoint.url));
    scene.fill(7, 1..=3).await;
    let mut there = scene.connect(2).await;
    scene.say(7, "first").await;
    assert_eq!(there.take().await, "first:2");
    let received = endpoint.until(|received| received.len() == 2).await;
    for post in &received {
        assert!(is_signed(post, SECRET), "{post:?}");
        assert_eq!((post.header("content-type"), post.path.as_str()), ("application/json", "/"));
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        let (data, user) = (&body["data"], &body["data"]["user"]);
        assert_eq!(body["type"], json!("notification.unread"));
        assert_eq!(data["notification"]["id"], json!(format!("first:{user}")));
        assert_eq!(data["notification"]["data"], json!({ "text": "first" }));
        assert_eq!(post.id(), format!("first:{user}"));
        assert!(data["cursor"].as_str().unwrap().ends_with(".1"), "{data}");
    }
    assert!(!is_signed(&received[0], "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    scene.say(7, "second").await;
    assert_eq!(there.take().await, "second:2");
    endpoint.until(|received| received.len() == 4).await;
    let ids: BTreeSet<_> = endpoint.ids().into_iter().collect();
    assert_eq!(ids, ["first:1", "first:3", "second:1", "second:3"].map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_in_the_meantime_cancels() {
    let (scene, endpoint) = (Scene::start(LATER).await, Endpoint::start([]).await);
    scene.push(&settings(&endpoint.url));
    scene.fill(7, [1]).await;
    scene.fill(8, [2]).await;
    scene.say(7, "seen").await;
    let mut back = scene.connect(1).await;
    assert_eq!(back.take().await, "seen:1");
    scene.say(8, "unseen").await;
    endpoint.until(|received| !received.is_empty()).await;
    assert_eq!(endpoint.ids(), ["unseen:2"], "the other was due before it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_is_asked_again_when_it_says_with_the_same_id() {
    let (scene, endpoint) = (Scene::start(SOON).await, Endpoint::start([Act::Answer(500), Act::Later(503, 3)]).await);
    scene.push(&settings(&endpoint.url));
    scene.fill(7, [1]).await;
    scene.say(7, "first").await;
    let second = endpoint.until(|received| received.len() == 2).await;
    let received = endpoint.until(|received| received.len() == 3).await;
    assert_eq!(endpoint.ids(), ["first:1"; 3]);
    let seconds = |index: usize| received[index].header("webhook-timestamp").parse::<u64>().unwrap();
    assert!(seconds(2) - seconds(1) >= 2, "it asked for 3 s, and time stamps have no fractions");
    assert_eq!(second.len(), 2);
    scene.say(7, "then").await;
    endpoint.until(|received| received.len() == 4).await;
    assert_eq!(endpoint.ids()[3], "then:1", "what arrived is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_for_too_long_is_a_dead_letter_and_can_be_replayed() {
    let (scene, endpoint) = (Scene::start(SOON).await, Endpoint::start([]).await);
    endpoint.otherwise(Act::Answer(500));
    let at_once = Some(Duration::from_millis(1).into());
    scene.push(&PushSettings { push_give_up_after: at_once, ..settings(&endpoint.url) });
    scene.fill(7, [1]).await;
    scene.say(7, "first").await;
    endpoint.until(|received| received.len() == 3).await;
    let letter = loop {
        if let Some(letter) = scene.api.letters(None).await.unwrap().letters.pop() {
            break letter;
        }
    };
    assert!(letter.reason.contains("it was sent 3 times to the webhook at 127.0.0.1"), "{}", letter.reason);
    assert!(letter.reason.contains("500 Internal Server Error"), "{}", letter.reason);
    endpoint.otherwise(Act::Answer(200));
    scene.api.replay(letter.letter, false).await.unwrap();
    endpoint.until(|received| received.len() == 4).await;
    assert_eq!(endpoint.ids()[3], "first:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_loses_nothing_and_does_not_repeat_what_it_committed() {
    let (scene, endpoint) = (Scene::start(SOON).await, Endpoint::start([]).await);
    let first = scene.push(&settings(&endpoint.url));
    scene.fill(7, 1..=50).await;
    scene.say(7, "done").await;
    endpoint.until(|received| received.len() == 50).await;
    endpoint.otherwise(Act::Hang);
    scene.say(7, "hangs").await;
    endpoint.until(|received| received.len() > 50).await;
    scene.push_is_done(50).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    endpoint.otherwise(Act::Answer(200));
    let before = endpoint.ids().len();
    scene.push(&settings(&endpoint.url));
    // Requests of the first worker may still come in.
    let all: BTreeSet<_> = (1..=50).map(|user| format!("hangs:{user}")).collect();
    let after = |received: &[Received]| received[before..].iter().map(|post| post.id().to_owned()).collect();
    let received = endpoint.until(|received| BTreeSet::is_superset(&after(received), &all)).await;
    assert_eq!(after(&received), all, "what was committed is not repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_was_wiped_cancels_nothing_and_repeats_nothing() {
    let simulation = Simulation::new(7, 12, Retention::default());
    let scene = Scene::on(simulation.stores(), LATER).await;
    let endpoint = Endpoint::start([]).await;
    scene.push(&settings(&endpoint.url));
    scene.fill(7, [1]).await;
    scene.say(7, "pushed").await;
    endpoint.until(|received| received.len() == 1).await;
    scene.say(7, "waits").await;
    scene.push_is_told(2).await;
    simulation.wipe_inbox();
    tokio::time::sleep(LATER + Duration::from_secs(1)).await; // it is due, and is not there
    assert_eq!(endpoint.ids(), ["pushed:1"]);
    scene.fill(8, [13]).await; // of the same partition: its node sees what it has lost
    scene.say(8, "other").await;
    endpoint.until(|received| received.len() == 3).await;
    let ids: BTreeSet<_> = endpoint.ids().into_iter().collect();
    assert_eq!(ids, ["pushed:1", "waits:1", "other:13"].map(str::to_owned).into());
}
