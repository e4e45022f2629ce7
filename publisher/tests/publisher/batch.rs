//! `POST /v1/events:batch`: many events in one request, a line of the answer for each.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use futures_util::{StreamExt, stream};
use peal_proto::Topic;
use peal_publisher::Settings;
use peal_publisher::limits::{BATCH_PART_ITEMS_MAX, BATCH_SILENCE_MAX, BATCHES_INFLIGHT_MAX};
use peal_store::simulated::{Outage, Store};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::bench::{Bench, records, settings, simulation, told};

const PATH: &str = "/v1/events:batch";

fn request(content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(PATH).header("content-type", content_type).body(body.into()).unwrap()
}

/// The lines of the answer.
async fn send(bench: &Bench, body: impl Into<Body>) -> Vec<Value> {
    let response = bench.ask(request("application/x-ndjson", body)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    lines(&bytes)
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn accepted(item: u64, event: &str) -> Value {
    json!({ "item": item, "result": "accepted", "event": event })
}

fn duplicate(item: u64, event: &str) -> Value {
    json!({ "item": item, "result": "duplicate", "event": event })
}

#[track_caller]
fn is_refused(line: &Value, item: u64, part: &str) {
    assert_eq!((&line["item"], &line["result"]), (&item.into(), &"refused".into()), "{line}");
    assert!(line["detail"].as_str().unwrap().contains(part), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_reaches_communities_and_single_users_and_a_repeat_is_told_apart() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 3).await;
    let body = r#"{"community":7,"event":"e1","kind":"k","data":{"a":1}}
{"user":42,"event":"e2","kind":"k"}
"#;
    assert_eq!(send(&bench, body).await, [accepted(1, "e1"), accepted(2, "e2")]);
    assert_eq!((bench.published("e1").await.published, bench.published("e2").await.published), (3, 1));
    assert_eq!((told(&bench.stores, "e1").await, told(&bench.stores, "e2").await), (vec![0, 1, 2], vec![42]));
    assert_eq!(bench.get("/v1/events/e2").await.1["user"], 42);

    let and_one_more = format!("{body}{}", r#"{"user":9,"event":"e3","kind":"k"}"#);
    assert_eq!(send(&bench, and_one_more).await, [duplicate(1, "e1"), duplicate(2, "e2"), accepted(3, "e3")]);
    bench.published("e3").await;
    assert_eq!(records(&bench.stores, Topic::Events).await.len(), 3, "a duplicate went into the log");
}

#[tokio::test(start_paused = true)]
async fn an_array_is_a_batch_as_well_and_events_without_an_id_get_one() {
    let bench = Bench::start(simulation().stores());
    let body = r#" [ {"user":1,"kind":"k"}, {"user":2,"kind":"k"} ] "#;
    let response = bench.ask(request("application/json", body)).await;
    let answers = lines(&axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap());
    for (answer, user) in answers.iter().zip(1..) {
        assert_eq!((&answer["item"], &answer["result"]), (&user.into(), &"accepted".into()));
        let event = answer["event"].as_str().unwrap();
        bench.published(event).await;
        assert_eq!(told(&bench.stores, event).await, [user]);
    }
    assert_eq!(answers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_an_item_is_told_and_the_others_are_taken() {
    let bench = Bench::start(simulation().stores());
    let large = format!(r#"{{"user":1,"kind":"k","data":{{"a":"{}"}}}}"#, "x".repeat(2 * 1024 * 1024));
    let bad: [(&str, &str); 12] = [
        ("rubbish", "the item must be a JSON object"),
        ("{\"user\":1", "the item is not JSON: EOF"),
        (r#"{"user":1}"#, "missing field `kind`"),
        (r#"{"kind":"k"}"#, r#"names nobody to tell: give "community" or "user""#),
        (r#"{"user":1,"community":2,"kind":"k"}"#, "names a community and a user"),
        (r#"{"user":"1","kind":"k"}"#, r#"the item's "user""#),
        (r#"{"user":1,"kind":"k","usr":2}"#, "unknown field `usr`"),
        (r#"{"user":1,"kind":"k","event":"a b"}"#, "an event id is"),
        (r#"{"user":1,"kind":"k","ttl":0}"#, "a ttl is a whole number of seconds from 1 to 604800"),
        (r#"{"user":1,"kind":"k","collapse":""}"#, "a collapse key is 1 to 64 characters"),
        (r#"{"user":1,"kind":"k"} {"user":2,"kind":"k"}"#, "the item is not one JSON value"),
        (&large, "at most 65536 bytes"),
    ];
    let mut body = String::new();
    for (number, (text, _)) in bad.iter().enumerate() {
        body += &format!("{text}\n{{\"user\":1,\"kind\":\"k\",\"event\":\"good{number}\"}}\n\n");
    }
    let answers = send(&bench, body).await;
    assert_eq!(answers.len(), 2 * bad.len());
    for ((number, (_, part)), answers) in bad.iter().enumerate().zip(answers.chunks(2)) {
        let item = 3 * number as u64 + 1; // its line
        is_refused(&answers[0], item, part);
        assert_eq!(answers[1], accepted(item + 1, &format!("good{number}")));
    }
    assert_eq!(records(&bench.stores, Topic::Events).await.len(), bad.len());
}

#[tokio::test(start_paused = true)]
async fn the_same_id_twice_in_a_batch_is_one_event_and_a_duplicate() {
    let bench = Bench::start(simulation().stores());
    let body = "{\"user\":1,\"kind\":\"k\",\"event\":\"e\"}\n".repeat(3);
    assert_eq!(send(&bench, body).await, [accepted(1, "e"), duplicate(2, "e"), duplicate(3, "e")]);
    bench.published("e").await;
    assert_eq!(told(&bench.stores, "e").await, [1]);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_twice_is_no_duplicate_while_it_is_not_known_whether_the_first_is_stored() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    simulation.break_down(Store::Log, Outage::Refuse);
    let answers = send(&bench, "{\"user\":1,\"kind\":\"k\",\"event\":\"e\"}\n".repeat(2)).await;
    let results: Vec<_> = answers.iter().map(|answer| &answer["result"]).collect();
    assert_eq!(results, ["unknown", "unknown"]);
}

#[tokio::test(start_paused = true)]
async fn empty_lines_half_a_line_and_an_open_array_are_no_more_than_they_say() {
    let bench = Bench::start(simulation().stores());
    assert_eq!(send(&bench, "\n".repeat(1_000_000)).await, [] as [Value; 0]);
    assert_eq!(send(&bench, "").await, [] as [Value; 0]);
    let half = send(&bench, "{\"user\":1,\"kind\":\"k\",\"event\":\"e\"}\n{\"user\":2,\"ki").await;
    assert_eq!(half[0], accepted(1, "e"));
    is_refused(&half[1], 2, "EOF");
    let open = send(&bench, "[{\"user\":1,\"kind\":\"k\",\"event\":\"f\"},").await;
    assert_eq!(open[0], accepted(1, "f"));
    is_refused(&open[1], 2, "] is missing; nothing more of this batch is read");
    assert_eq!((half.len(), open.len()), (2, 2));
    let plain = bench.ask(request("text/plain", "{}")).await;
    assert_eq!(plain.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(start_paused = true)]
async fn items_are_answered_while_the_body_is_still_coming_and_silence_ends_it() {
    let bench = Bench::start(simulation().stores());
    let (sender, receiver) = mpsc::channel::<Bytes>(2);
    let body =
        stream::unfold(receiver, async |mut receiver| Some((Ok::<_, Infallible>(receiver.recv().await?), receiver)));
    let response = bench.ask(request("application/x-ndjson", Body::from_stream(body))).await;
    let mut answers = response.into_body().into_data_stream();
    for number in 1..=3 {
        let event = format!("e{number}");
        let item = format!("{{\"user\":1,\"kind\":\"k\",\"event\":\"{event}\"}}\n");
        let (head, tail) = item.split_at(9);
        sender.send(head.to_owned().into()).await.unwrap();
        sender.send(tail.to_owned().into()).await.unwrap();
        assert_eq!(lines(&answers.next().await.unwrap().unwrap()), [accepted(number, &event)]);
    }
    let too_early = tokio::time::timeout(BATCH_SILENCE_MAX - Duration::from_secs(1), answers.next()).await;
    assert!(too_early.is_err());
    let last = lines(&answers.next().await.unwrap().unwrap());
    assert_eq!((&last[0]["item"], &last[0]["result"]), (&json!(4), &json!("unknown")));
    assert!(last[0]["detail"].as_str().unwrap().starts_with("no byte came for 15 s"));
    assert!(answers.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_ends_the_batch_and_what_was_not_stored_can_be_sent_again() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    let items = 2 * BATCH_PART_ITEMS_MAX as u64;
    let line = |number: u64| format!("{{\"user\":{number},\"kind\":\"k\",\"event\":\"e{number}\"}}\n");
    let body: String = (1..=items).map(line).collect();
    simulation.break_down(Store::Log, Outage::Refuse);
    let answers = send(&bench, body.clone()).await;
    assert_eq!(answers.len(), BATCH_PART_ITEMS_MAX, "it went on reading");
    for (answer, number) in answers.iter().zip(1_u64..) {
        assert_eq!((&answer["item"], &answer["result"]), (&number.into(), &"unknown".into()), "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains("Send this item and those behind it again"), "{answer}");
    }
    simulation.heal(Store::Log);
    let answers = send(&bench, body).await;
    assert_eq!(answers, (1..=items).map(|number| accepted(number, &format!("e{number}"))).collect::<Vec<_>>());
    bench.published(&format!("e{items}")).await;
}

#[tokio::test(start_paused = true)]
async fn statuses_that_are_away_keep_nothing_out_and_nobody_is_told_twice() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    let body = "{\"user\":5,\"kind\":\"k\",\"event\":\"e\"}\n";
    simulation.break_down(Store::Statuses, Outage::Refuse);
    assert_eq!(send(&bench, body).await, [accepted(1, "e")]);
    assert_eq!(send(&bench, body).await, [accepted(1, "e")]);
    simulation.heal(Store::Statuses);
    tokio::time::sleep(Duration::from_secs(60)).await;
    bench.published("e").await;
    assert_eq!(told(&bench.stores, "e").await, [5]);
}

#[tokio::test(start_paused = true)]
async fn what_a_poster_that_went_away_left_in_flight_is_still_counted() {
    let simulation = simulation();
    let bench = Bench::start_with(simulation.stores(), Settings { inflight_bytes_max: 300, ..settings() });
    simulation.break_down(Store::Log, Outage::Hang);
    let line = "{\"user\":5,\"kind\":\"k\",\"event\":\"e\"}\n";
    let response = bench.ask(request("application/x-ndjson", line.repeat(6))).await;
    let mut answers = response.into_body().into_data_stream();
    assert!(tokio::time::timeout(Duration::from_secs(1), answers.next()).await.is_err());
    drop(answers);
    let (status, problem) = bench.post("/v1/communities/7/events", r#"{"kind":"k"}"#).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 503 && detail.contains("too many bytes are in flight"), "{detail}");
    simulation.heal(Store::Log);
    bench.published("e").await;
    assert_eq!(bench.post("/v1/communities/7/events", r#"{"kind":"k"}"#).await.0, 202);
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_being_read_are_bounded_and_keep_no_single_event_out() {
    let bench = Bench::start(simulation().stores());
    let silent = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let mut being_read = Vec::new();
    for _ in 0..BATCHES_INFLIGHT_MAX {
        let response = bench.ask(request("application/x-ndjson", silent())).await;
        assert_eq!(response.status(), StatusCode::OK);
        being_read.push(response);
    }
    let refused = bench.ask(request("application/x-ndjson", silent())).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    bench.say(7, "single").await;
    being_read.pop();
    assert_eq!(bench.ask(request("application/x-ndjson", silent())).await.status(), StatusCode::OK);
}
