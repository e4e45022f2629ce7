//! How many events a second are let in: of one client, and of one community.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use peal_proto::Topic;
use peal_publisher::{AdmissionSettings, Rate, Settings};
use serde_json::{Value, json};

use crate::bench::{Bench, read, records, settings, simulation, told};

const ONE: &str = "192.0.2.1";
const OTHER: &str = "192.0.2.2";
const PROXY: &str = "10.0.0.1";

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn start(admission: AdmissionSettings) -> Bench {
    Bench::start_with(simulation().stores(), Settings { admission, ..settings() })
}

fn by_client(text: &str) -> AdmissionSettings {
    AdmissionSettings { client_rate: Some(rate(text)), ..AdmissionSettings::default() }
}

fn by_community(text: &str) -> AdmissionSettings {
    AdmissionSettings { community_rate: Some(rate(text)), ..AdmissionSettings::default() }
}

fn request(from: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let peer = ConnectInfo(SocketAddr::new(from.parse().unwrap(), 4711));
    Request::post(path).header("content-type", "application/json").extension(peer).body(body.into()).unwrap()
}

/// Posts an event.
async fn post(bench: &Bench, from: &str, community: u64) -> Response<Body> {
    bench.ask(request(from, &format!("/v1/communities/{community}/events"), r#"{"kind":"k"}"#)).await
}

/// The statuses of so many posts.
async fn posts(bench: &Bench, from: &str, community: u64, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(post(bench, from, community).await.status().as_u16());
    }
    statuses
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// The lines that answer a batch.
async fn batch(bench: &Bench, from: &str, body: String) -> Vec<Value> {
    let response = bench.ask(request(from, "/v1/events:batch", body)).await;
    assert_eq!(response.status(), 200);
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How long it takes, in paused time.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let clock = peal_serve::Clock::system();
    (future.await, clock.uptime())
}

#[tokio::test(start_paused = true)]
async fn a_client_over_its_rate_is_refused_and_another_is_not() {
    let bench = start(by_client("2:3"));
    assert_eq!(posts(&bench, ONE, 7, 3).await, [202; 3]);
    let response = post(&bench, ONE, 8).await; // whatever the community
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let expected = json!({
        "type": "urn:peal:problem:too-many-requests",
        "title": "Too many requests",
        "status": 429,
        "detail": "client 192.0.2.1 has used up its 2 events a second and 3 at once (--client-rate 2:3); nothing was \
                   stored, try again later",
    });
    assert_eq!(read(response).await, (429, expected));
    assert_eq!(records(&bench.stores, Topic::Events).await.len(), 3, "what was refused was stored");
    assert_eq!(posts(&bench, OTHER, 7, 1).await, [202]);
}

#[tokio::test(start_paused = true)]
async fn joins_and_events_count_and_nothing_else_does() {
    let bench = start(by_client("1"));
    let join = |user: u64| request(ONE, "/v1/communities/7/joins", json!({ "user": user }).to_string());
    assert_eq!(bench.ask(join(1)).await.status(), 202);
    assert_eq!(bench.ask(join(2)).await.status(), 429);
    assert_eq!(posts(&bench, ONE, 7, 1).await, [429]);
    let change = || request(ONE, "/v1/communities/7/members", r#"{"add":[5]}"#);
    for _ in 0..5 {
        assert_eq!(bench.ask(change()).await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_community_over_its_rate_is_refused_and_others_are_not() {
    let bench = start(by_community("1:2"));
    assert_eq!(posts(&bench, ONE, 7, 1).await, [202]);
    assert_eq!(posts(&bench, OTHER, 7, 1).await, [202]);
    let (status, problem) = read(post(&bench, OTHER, 7).await).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        status == 429 && detail.starts_with("community 7 has used up its 1 events a second and 2 at once"),
        "{detail}"
    );
    assert_eq!(posts(&bench, OTHER, 8, 2).await, [202; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_fills_again_and_does_not_overflow() {
    let bench = start(by_client("2:3"));
    assert_eq!(posts(&bench, ONE, 7, 4).await, [202, 202, 202, 429]);
    pause(499).await;
    assert_eq!(posts(&bench, ONE, 7, 1).await, [429]);
    pause(1).await;
    assert_eq!(posts(&bench, ONE, 7, 2).await, [202, 429]);
    pause(3_600_000).await;
    assert_eq!(posts(&bench, ONE, 7, 4).await, [202, 202, 202, 429]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_as_long_as_he_is_told_is_let_in() {
    let bench = start(by_community("1:5"));
    assert_eq!(posts(&bench, ONE, 7, 6).await, [202, 202, 202, 202, 202, 429]);
    for _ in 0..5 {
        let refused = post(&bench, ONE, 7).await;
        let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        pause(seconds * 1_000).await;
        assert_eq!(posts(&bench, ONE, 7, 1).await, [202]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_batch_wait_for_their_client_and_are_answered_meanwhile() {
    let bench = start(by_client("100:50"));
    let line = |number: u64| format!("{{\"user\":{number},\"kind\":\"k\",\"event\":\"e{number}\"}}\n");
    let body: String = (1..=450).map(line).collect();
    let (answers, took) = timed(batch(&bench, ONE, body)).await;
    let expected: Vec<_> =
        (1..=450).map(|item| json!({ "item": item, "result": "accepted", "event": format!("e{item}") })).collect();
    assert_eq!(answers, expected);
    assert!((3_900..4_500).contains(&took.as_millis()), "400 of them beyond the first 50 took {took:?}");

    let (answers, took) = timed(batch(&bench, OTHER, line(451))).await;
    assert_eq!((answers.len(), took.as_millis()), (1, 0), "another client waited");
    let response = bench.ask(request(ONE, "/v1/events:batch", (500..600).map(line).collect::<String>())).await;
    let mut answers = response.into_body().into_data_stream();
    let first = timed(futures_util::StreamExt::next(&mut answers)).await;
    assert!(first.0.is_some() && first.1 < Duration::from_millis(50), "the first answer took {:?}", first.1);
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_batch_wait_for_their_community_and_keep_their_order() {
    let bench = start(AdmissionSettings { client_rate: Some(rate("1000")), ..by_community("10:2") });
    bench.fill(7, 1).await;
    let line = |number: u64| format!("{{\"community\":7,\"kind\":\"k\",\"event\":\"e{number}\"}}\n");
    let (answers, took) = timed(batch(&bench, ONE, (1..=22).map(line).collect())).await;
    assert!(answers.iter().all(|answer| answer["result"] == "accepted"), "{answers:?}");
    assert!((1_900..2_200).contains(&took.as_millis()), "20 of them beyond the first 2 took {took:?}");
    let events = records(&bench.stores, Topic::Events).await;
    let ids = events.iter().map(|record| serde_json::from_slice::<Value>(&record.value).unwrap()["event"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), (1..=22).map(|number| json!(format!("e{number}"))).collect::<Vec<_>>());
    bench.published("e22").await;
    assert_eq!(told(&bench.stores, "e22").await, [0]);
    // An item that waited for its community has taken one token of its client, however often it was looked at.
    assert_eq!(posts(&bench, ONE, 1_000, 2).await, [202; 2]);
    let users: String = (1..=990).map(|user| format!("{{\"user\":{user},\"kind\":\"k\"}}\n")).collect();
    assert!(timed(batch(&bench, ONE, users)).await.1 < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn no_more_clients_than_may_be_have_a_bucket_and_the_others_share_one() {
    let bench = Bench::start_with(
        simulation().stores(),
        Settings { admission: by_client("1:2"), rate_keys_max: 3, ..settings() },
    );
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        assert_eq!(posts(&bench, client, 7, 1).await, [202]);
    }
    assert_eq!(posts(&bench, "192.0.2.4", 7, 1).await, [202]);
    assert_eq!(posts(&bench, "192.0.2.5", 7, 1).await, [202]);
    assert_eq!(posts(&bench, "192.0.2.6", 7, 1).await, [429], "it shares a bucket that two have emptied");
    assert_eq!(posts(&bench, "192.0.2.3", 7, 2).await, [202, 429], "it has a bucket of its own");
    pause(10_000).await; // all are full again, and forgotten
    for client in ["192.0.2.4", "192.0.2.5", "192.0.2.6"] {
        assert_eq!(posts(&bench, client, 7, 3).await, [202, 202, 429]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_believed_only_where_it_is_trusted() {
    let forwarded = |peer: &str, client: &str| {
        let mut request = request(peer, "/v1/communities/7/events", r#"{"kind":"k"}"#);
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        request
    };
    let bench = start(AdmissionSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..by_client("1") });
    assert_eq!(bench.ask(forwarded(PROXY, ONE)).await.status(), 202);
    assert_eq!(bench.ask(forwarded(PROXY, OTHER)).await.status(), 202);
    assert_eq!(bench.ask(forwarded(PROXY, ONE)).await.status(), 429);
    let bench = start(by_client("1"));
    assert_eq!(bench.ask(forwarded(PROXY, ONE)).await.status(), 202);
    assert_eq!(bench.ask(forwarded(PROXY, OTHER)).await.status(), 429, "anybody could say so");
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_nothing_is_refused() {
    let bench = start(AdmissionSettings::default());
    assert_eq!(posts(&bench, ONE, 7, 2_000).await, [202; 2_000]);
}
