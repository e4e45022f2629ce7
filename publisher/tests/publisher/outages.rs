//! Stores that are away for a while: what waits, what is refused, and what is said about it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use peal_publisher::Settings;
use peal_store::simulated::{Outage, Simulation, Store};
use peal_store::status::State;
use serde_json::json;
use tokio::time::timeout;

use crate::bench::{Bench, reached, read, settings, simulation, told};
use crate::trap::{At, trapped};

/// As long as a node may be deaf before it listens anew, and some.
const DEAF_AT_MOST: Duration = Duration::from_secs(12);

async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn start() -> (Simulation, Bench) {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    (simulation, bench)
}

#[tokio::test(start_paused = true)]
async fn members_that_are_away_are_waited_for_and_never_taken_for_none() {
    for outage in [Outage::Refuse, Outage::Hang] {
        let (simulation, bench) = start();
        bench.fill(7, 25).await;
        simulation.break_down(Store::Members, outage);
        bench.say(7, "waits").await;
        pause(60).await;
        assert_eq!(bench.get("/v1/events/waits").await.1["state"], "accepted");
        let (status, readiness) = bench.get("/readyz").await;
        assert_eq!((status, &readiness["degraded"]), (200, &json!(true)), "events are still accepted");
        assert_eq!(readiness["fanout"]["stalled"], 1);
        assert_ne!(readiness["members"], "ok");
        simulation.heal(Store::Members);
        let healed = bench.published("waits").await;
        assert_eq!((healed.members, healed.published), (25, 25));
        assert_eq!(told(&bench.stores, "waits").await, (0..25).collect::<Vec<_>>());
        assert_eq!(bench.get("/readyz").await.1["degraded"], json!(false));
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_that_are_away_do_not_keep_an_event_from_being_accepted() {
    for outage in [Outage::Refuse, Outage::Hang] {
        let (simulation, bench) = start();
        bench.fill(7, 25).await;
        simulation.break_down(Store::Statuses, outage);
        bench.say(7, "waits").await;
        pause(60).await;
        assert!(told(&bench.stores, "waits").await.is_empty());
        simulation.heal(Store::Statuses);
        assert_eq!(bench.published("waits").await.published, 25);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_deaf_to_what_is_in_the_log_listens_anew() {
    let (simulation, bench) = start();
    bench.fill(7, 25).await;
    bench.say(7, "heard").await;
    bench.published("heard").await;
    simulation.deafen_readers();
    bench.say(7, "in-the-log").await;
    let told = timeout(DEAF_AT_MOST, bench.published("in-the-log")).await.expect("as soon as a node would notice");
    assert_eq!(told.published, 25);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_is_told_with_the_id_to_repeat_and_when() {
    let (simulation, bench) = start();
    bench.fill(7, 5).await;
    simulation.break_down(Store::Log, Outage::Refuse);
    let request = axum::http::Request::post("/v1/communities/7/events")
        .header("content-type", "application/json")
        .body(r#"{"kind":"k"}"#.into())
        .unwrap();
    let response = bench.ask(request).await;
    assert_eq!(response.headers()["retry-after"], "2");
    let (status, problem) = read(response).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:peal:problem:unavailable")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(r#"Repeat it with "event":""#) && detail.contains("it is told once"), "{detail}");
    assert_eq!(bench.get("/readyz").await.0, 503);
    simulation.heal(Store::Log);
    pause(10).await;
    assert_eq!(bench.get("/readyz").await.0, 200);
    bench.say(7, "after").await;
    assert_eq!(bench.published("after").await.members, 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_bounded_and_the_rest_is_asked_to_come_back() {
    let by_requests = Settings { inflight_requests_max: 2, ..settings() };
    let by_bytes = Settings { inflight_bytes_max: 300, ..settings() };
    for (limit, word) in [(by_requests, "requests"), (by_bytes, "bytes")] {
        let simulation = simulation();
        let bench = std::sync::Arc::new(Bench::start_with(simulation.stores(), limit));
        simulation.break_down(Store::Log, Outage::Hang);
        let mut waiting = Vec::new();
        for number in 0..2 {
            let bench = std::sync::Arc::clone(&bench);
            waiting.push(tokio::spawn(async move { bench.say(7, &format!("e{number}")).await }));
        }
        pause(1).await;
        let request = axum::http::Request::post("/v1/communities/7/events")
            .header("content-type", "application/json")
            .header("content-length", "12")
            .body(r#"{"kind":"k"}"#.into())
            .unwrap();
        let response = bench.ask(request).await;
        assert_eq!(response.headers()["retry-after"], "1");
        let (status, problem) = read(response).await;
        assert_eq!(status, 503);
        assert_eq!(problem["detail"], format!("too many {word} are in flight; nothing was stored, try again later"));
        simulation.heal(Store::Log);
        for accepted in waiting {
            accepted.await.unwrap();
        }
        bench.say(7, "after").await; // the seats are free again
        bench.published("after").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_that_hangs_is_answered_in_time_and_keeps_its_seat() {
    let simulation = simulation();
    let bench = Bench::start_with(simulation.stores(), Settings { inflight_requests_max: 1, ..settings() });
    simulation.break_down(Store::Log, Outage::Hang);
    let (status, problem) = bench.post("/v1/communities/7/events", r#"{"kind":"k","event":"late"}"#).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().contains(r#"Repeat it with "event":"late""#));
    let (_, problem) = bench.post("/v1/communities/7/events", r#"{"kind":"k"}"#).await;
    assert!(problem["detail"].as_str().unwrap().starts_with("too many requests are in flight"));
    simulation.heal(Store::Log);
    bench.published("late").await; // nobody waited for it, and it was stored all the same
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_starts_while_stores_are_away_begins_once_they_are_back() {
    let simulation = simulation();
    simulation.break_down(Store::Log, Outage::Refuse);
    let bench = Bench::start(simulation.stores());
    pause(120).await;
    let (status, readiness) = bench.get("/readyz").await;
    assert_eq!((status, &readiness["fanout"]["assigned"]), (503, &json!(null)));
    simulation.heal(Store::Log);
    bench.say(7, "hello").await;
    bench.published("hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_whose_fan_out_does_not_run_is_not_ready() {
    let (_simulation, bench) = start();
    pause(1).await;
    bench.stop.cancel();
    pause(1).await;
    let (status, readiness) = bench.get("/readyz").await;
    assert_eq!((status, &readiness["fanout"]["stopped"]), (503, &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn members_that_hang_are_answered_in_time_and_keep_no_event_out() {
    let (simulation, bench) = start();
    simulation.break_down(Store::Members, Outage::Hang);
    let publisher = bench.publisher.clone();
    let put = move || {
        let request = axum::http::Request::put("/v1/communities/7/members/1").body(axum::body::Body::empty()).unwrap();
        tower::ServiceExt::oneshot(publisher.router(), request)
    };
    let waiting: Vec<_> = (0..5_000).map(|_| tokio::spawn(put())).collect();
    pause(1).await;
    bench.say(7, "hello").await;
    let mut details = std::collections::BTreeMap::new();
    for answer in waiting {
        let (status, problem) = read(answer.await.unwrap().unwrap()).await;
        assert_eq!(status, 503);
        *details.entry(problem["detail"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let late = "the store of members is not available: no answer in 5000 ms; try again later".to_owned();
    let busy = "too many member changes are in flight; nothing was stored, try again later".to_owned();
    assert_eq!(details, [(late, 4_096), (busy, 5_000 - 4_096)].into());
}

#[tokio::test(start_paused = true)]
async fn writes_that_fail_are_tried_less_and_less_often_though_all_else_succeeds() {
    let (stores, count) = trapped(simulation().stores(), At::Failing);
    let bench = Bench::start(stores);
    bench.fill(7, 5).await;
    bench.say(7, "waits").await;
    pause(600).await;
    let writes = count.writes.load(Ordering::Relaxed);
    assert!((100..300).contains(&writes), "{writes}");
    assert_eq!(bench.get("/readyz").await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_goes_away_in_the_middle_of_a_large_event_is_gone_on_with() {
    for outage in [Outage::Refuse, Outage::Hang] {
        let (simulation, bench) = start();
        bench.fill(7, 95).await;
        simulation.delay(Store::Log, Duration::from_millis(50));
        bench.say(7, "large").await;
        reached(&bench.stores, "large", State::Expanding).await;
        simulation.break_down(Store::Log, outage);
        pause(60).await;
        assert_eq!(bench.get("/v1/events/large").await.1["state"], "expanding");
        simulation.heal(Store::Log);
        assert_eq!(bench.published("large").await.published, 95);
        simulation.delay(Store::Log, Duration::ZERO);
        assert_eq!(told(&bench.stores, "large").await, (0..95).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_being_read_is_in_flight() {
    let bench = Bench::start_with(simulation().stores(), Settings { inflight_bytes_max: 100_000, ..settings() });
    let publisher = bench.publisher.clone();
    let slow = axum::http::Request::post("/v1/communities/7/events")
        .header("content-type", "application/json")
        .header("content-length", "60000")
        .body(axum::body::Body::from_stream(
            futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>(),
        ))
        .unwrap();
    let being_read = tokio::spawn(tower::ServiceExt::oneshot(publisher.router(), slow));
    pause(1).await;
    let body = format!(r#"{{"kind":"k","data":{{"text":"{}"}}}}"#, "x".repeat(50_000));
    let (status, problem) = bench.post("/v1/communities/7/events", body.clone()).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().starts_with("too many bytes are in flight"));
    being_read.abort();
    assert!(being_read.await.unwrap_err().is_cancelled());
    assert_eq!(bench.post("/v1/communities/7/events", body).await.0, 202);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_of_members_are_bounded_and_keep_nobody_from_leaving() {
    let (_simulation, bench) = start();
    let publisher = bench.publisher.clone();
    let being_read: Vec<_> = (0..16)
        .map(|_| {
            let body = futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
            let slow = axum::http::Request::post("/v1/communities/7/members")
                .header("content-type", "application/json")
                .header("content-length", 1024 * 1024)
                .body(axum::body::Body::from_stream(body))
                .unwrap();
            tokio::spawn(tower::ServiceExt::oneshot(publisher.router(), slow))
        })
        .collect();
    pause(1).await;
    let request = axum::http::Request::post("/v1/communities/7/members")
        .header("content-type", "application/json")
        .header("content-length", "11")
        .body(r#"{"add":[1]}"#.into())
        .unwrap();
    let (status, problem) = read(bench.ask(request).await).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().starts_with("too many bytes of member changes are in flight"));
    let leave = axum::http::Request::delete("/v1/communities/7/members/1").body(axum::body::Body::empty()).unwrap();
    assert_eq!(bench.ask(leave).await.status(), 204);
    being_read.iter().for_each(tokio::task::JoinHandle::abort);
}
