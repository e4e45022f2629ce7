//! Members that the store has lost: events wait for them aside, and become dead letters when nobody puts them back.

use std::time::Duration;

use peal_proto::Timestamp;
use peal_store::simulated::Simulation;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::bench::{Bench, simulation, told};

/// In the same partition of the events.
const LOST: u64 = 7;
const OTHER: u64 = 9;

/// More than the publisher waits before it looks again.
const LOOKED_AGAIN: Duration = Duration::from_secs(3);

fn start() -> (Simulation, Bench) {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    (simulation, bench)
}

/// Members that were lost are waited for no longer, a minute behind the start of the bench.
fn give_up(simulation: &Simulation) {
    simulation.give_members_up(Timestamp::from_millis(1_795_341_600_000 + 60_000));
}

async fn letters(bench: &Bench) -> Vec<Value> {
    let (status, mut page) = bench.get("/v1/dead-letters").await;
    assert_eq!((status, &page["next"]), (200, &Value::Null));
    serde_json::from_value(page["letters"].take()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_of_other_communities_go_ahead_of_one_whose_members_were_lost() {
    let (simulation, bench) = start();
    simulation.lose_members();
    bench.fill(OTHER, 25).await;
    bench.say(LOST, "waits").await;
    bench.say(LOST, "behind").await;
    for number in 0..20 {
        bench.say(OTHER, &format!("ahead-{number}")).await;
        sleep(Duration::from_secs(1)).await; // and not only when it is looked again
        assert_eq!(bench.get(&format!("/v1/events/ahead-{number}")).await.1["published"], 25);
        sleep(Duration::from_millis(1_300)).await;
    }
    assert_eq!(bench.get("/v1/events/waits").await.1["state"], "accepted");
    let (status, readiness) = bench.get("/readyz").await;
    assert_eq!((status, &readiness["fanout"]["stalled"]), (200, &json!(0)));
    bench.fill(LOST, 25).await;
    sleep(LOOKED_AGAIN).await;
    for event in ["waits", "behind"] {
        assert_eq!(bench.published(event).await.published, 25);
        assert_eq!(told(&bench.stores, event).await, (0..25).collect::<Vec<_>>());
    }
    assert_eq!(letters(&bench).await, Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn more_communities_than_can_be_set_aside_hold_up_the_others_until_their_members_are_back() {
    let (simulation, bench) = start();
    simulation.lose_members();
    bench.fill(OTHER, 5).await;
    let lost = || (0..60).map(|number| 101 + 2 * number);
    for community in lost() {
        bench.say(community, &format!("of-{community}")).await;
    }
    bench.say(OTHER, "waits").await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.get("/v1/events/waits").await.1["state"], "accepted");
    for community in lost() {
        bench.fill(community, 3).await;
    }
    sleep(LOOKED_AGAIN).await;
    for community in lost() {
        assert_eq!(told(&bench.stores, &format!("of-{community}")).await, [0, 1, 2]);
    }
    assert_eq!(bench.published("waits").await.published, 5);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_put_members_back_for_is_a_dead_letter_that_can_be_replayed() {
    peal_serve::telemetry::install_metrics();
    let (simulation, bench) = start();
    simulation.lose_members();
    bench.say(LOST, "lost").await;
    let join = r#"{"user":42,"event":"lost-join"}"#;
    assert_eq!(bench.post("/v1/communities/7/joins", join).await.0, 202);
    sleep(Duration::from_secs(30)).await;
    bench.crash().await; // it is known from the event and the store, whoever tells it
    let bench = Bench::start(simulation.stores());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(letters(&bench).await, Vec::<Value>::new());
    give_up(&simulation);
    sleep(LOOKED_AGAIN).await;
    let found = letters(&bench).await;
    let of_7 = |letter: &Value| letter["reason"].as_str().unwrap().starts_with("community 7 missing after retries");
    assert!(found.len() == 2 && found.iter().all(of_7), "{found:?}");
    for event in ["lost", "lost-join"] {
        assert_eq!(bench.get(&format!("/v1/events/{event}")).await.1["state"], "failed");
    }
    assert_eq!(bench.get("/v1/communities/7/members").await.1["count"], 0);
    let metrics = bench.get("/metrics").await.1.as_str().unwrap().to_owned();
    let counted = r#"peal_dead_letters_total{topic="peal.events",reason="missing"}"#;
    assert!(metrics.contains(counted), "{metrics}");

    bench.fill(LOST, 3).await;
    for letter in &found {
        let replay = format!("/v1/dead-letters/{}/replay", letter["letter"].as_str().unwrap());
        assert_eq!(bench.post(&replay, "").await.0, 202);
    }
    assert_eq!(bench.published("lost").await.published, 3);
    assert_eq!(bench.published("lost-join").await.published, 4);
    assert_eq!(told(&bench.stores, "lost").await, [0, 1, 2]);
    assert_eq!(told(&bench.stores, "lost-join").await, [0, 1, 2, 42]);
}

#[tokio::test(start_paused = true)]
async fn a_community_without_members_has_none_in_what_happens_behind_the_loss() {
    let (simulation, bench) = start();
    simulation.lose_members();
    sleep(Duration::from_secs(61)).await;
    give_up(&simulation);
    bench.say(LOST, "to-nobody").await;
    assert_eq!(bench.published("to-nobody").await.published, 0);
    assert_eq!(bench.post("/v1/communities/7/joins", r#"{"user":42,"event":"first"}"#).await.0, 202);
    assert_eq!(bench.published("first").await.published, 1);
    assert_eq!(letters(&bench).await, Vec::<Value>::new());
}
