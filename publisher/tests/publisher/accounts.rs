//! The account of an event, from the receipts of nodes to what is answered.

use std::time::Duration;

use http_body_util::BodyExt;

use peal_proto::{EventId, Fate, Offset, Partition, Position, Receipt, Run, Timestamp, Topic};
use peal_serve::Clock;
use peal_store::Stores;
use peal_store::log::{Headers, NewRecord};
use peal_store::simulated::{Outage, Store};
use serde_json::{Value, json};

use crate::bench::{Bench, PARTITIONS, simulation};

/// In the year 9999.
const NEVER: Timestamp = Timestamp::from_millis(253_402_300_799_000);

fn run(event: &str, first: u64, count: u32, fate: Fate) -> Run {
    Run { count, ..Run::of(event.parse::<EventId>().unwrap(), Offset::new(first), fate) }
}

fn settled(from: u64, to: u64, runs: Vec<Run>) -> Receipt {
    Receipt::Settled { from: Position::at(Offset::new(from)), to: Position::at(Offset::new(to)), runs }
}

/// As a node writes it.
async fn write(stores: &Stores, partition: u32, receipt: &Receipt) {
    let home = Receipt::partition(Partition::new(partition), PARTITIONS);
    let value = receipt.to_json().into();
    let record = NewRecord { partition: home, key: u64::from(partition), headers: Headers::default(), value };
    stores.log.append(Topic::Receipts, vec![record]).await.unwrap();
}

/// The account, once it is what it should be.
async fn becomes(bench: &Bench, event: &str, state: &str, numbers: Value) {
    let mut last = Value::Null;
    let reached = async {
        loop {
            let (status, account) = bench.get(&format!("/v1/events/{event}")).await;
            last = account.clone();
            let fields = ["members", "published", "delivered", "parked", "expired", "failed"];
            let found: Vec<_> = fields.iter().map(|field| account[*field].clone()).collect();
            if status == 200 && account["state"] == state && Value::from(found) == numbers {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let timely = tokio::time::timeout(Duration::from_secs(60), reached).await;
    assert!(timely.is_ok(), "{event} should be {state} {numbers}, and is {last}");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_settled_once_every_notification_is_accounted_for() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 6).await;
    bench.say(7, "e").await;
    becomes(&bench, "e", "published", json!([6, 6, 0, 0, 0, 0])).await;
    write(&bench.stores, 0, &settled(0, 3, vec![run("e", 0, 2, Fate::Delivered)])).await;
    write(&bench.stores, 1, &settled(0, 2, vec![run("e", 0, 1, Fate::Expired)])).await;
    becomes(&bench, "e", "published", json!([6, 6, 2, 0, 1, 0])).await;
    let parked = Fate::Parked { until: NEVER };
    write(&bench.stores, 2, &settled(0, 3, vec![run("e", 0, 3, parked)])).await;
    becomes(&bench, "e", "settled", json!([6, 6, 2, 3, 1, 0])).await;
    write(&bench.stores, 2, &Receipt::Replayed { runs: vec![run("e", 1, 2, Fate::Delivered)] }).await;
    becomes(&bench, "e", "settled", json!([6, 6, 4, 1, 1, 0])).await;
}

/// A node says that one is replaced before it says of the same that it was parked, and what is delivered after all counts.
#[tokio::test(start_paused = true)]
async fn what_was_replaced_is_a_fate_of_its_own_and_all_fates_add_up() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 4).await;
    bench.say(7, "e").await;
    let (parked, replaced) =
        (Fate::Parked { until: NEVER }, |first, count| vec![run("e", first, count, Fate::Replaced)]);
    write(&bench.stores, 1, &Receipt::Replayed { runs: replaced(1, 2) }).await;
    write(&bench.stores, 1, &settled(0, 4, vec![run("e", 0, 4, parked)])).await;
    becomes(&bench, "e", "settled", json!([4, 4, 0, 2, 0, 0])).await;
    let (_, account) = bench.get("/v1/events/e").await;
    assert_eq!(account["replaced"], 2, "{account}");
    write(&bench.stores, 1, &Receipt::Replayed { runs: vec![run("e", 2, 2, Fate::Delivered)] }).await;
    becomes(&bench, "e", "settled", json!([4, 4, 2, 1, 0, 0])).await;
    let (_, account) = bench.get("/v1/events/e").await;
    assert_eq!(account["replaced"], 1, "{account}");
}

#[tokio::test(start_paused = true)]
async fn what_a_node_settled_again_after_a_crash_is_counted_once() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 4).await;
    bench.say(7, "e").await;
    let parked = Fate::Parked { until: NEVER };
    write(&bench.stores, 1, &settled(0, 3, vec![run("e", 0, 2, Fate::Delivered), run("e", 2, 1, parked)])).await;
    write(&bench.stores, 1, &settled(0, 4, vec![run("e", 0, 2, parked), run("e", 2, 2, Fate::Delivered)])).await;
    becomes(&bench, "e", "settled", json!([4, 4, 4, 0, 0, 0])).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_parked_any_longer_than_the_inbox_keeps_it() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 2).await;
    bench.say(7, "e").await;
    let parked = Fate::Parked { until: Timestamp::from_millis(1) };
    write(&bench.stores, 1, &settled(0, 2, vec![run("e", 0, 2, parked)])).await;
    becomes(&bench, "e", "settled", json!([2, 2, 0, 0, 2, 0])).await;
}

#[tokio::test(start_paused = true)]
async fn a_community_without_members_is_settled_at_once() {
    let bench = Bench::start(simulation().stores());
    bench.say(7, "e").await;
    becomes(&bench, "e", "settled", json!([0, 0, 0, 0, 0, 0])).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_receipt_is_a_dead_letter_and_not_in_the_way() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 1).await;
    bench.say(7, "e").await;
    let poison = |partition, key, value: &'static str| {
        let record =
            NewRecord { partition: Partition::new(partition), key, headers: Headers::default(), value: value.into() };
        bench.stores.log.append(Topic::Receipts, vec![record])
    };
    let partition = Receipt::partition(Partition::new(1), PARTITIONS).get();
    poison(partition, 1, "rubbish").await.unwrap();
    poison(partition, 99, r#"{"version":1,"replayed":{"runs":[]}}"#).await.unwrap();
    write(&bench.stores, 1, &settled(0, 1, vec![run("e", 0, 1, Fate::Delivered)])).await;
    becomes(&bench, "e", "settled", json!([1, 1, 1, 0, 0, 0])).await;
    let (status, letters) = bench.get("/v1/dead-letters").await;
    let letters = letters["letters"].as_array().unwrap();
    assert_eq!((status, letters.len()), (200, 2), "{letters:?}");
    assert!(letters[0]["reason"].as_str().unwrap().contains("it is no receipt"), "{letters:?}");
    assert!(letters[1]["reason"].as_str().unwrap().contains("not a partition"), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn receipts_wait_in_the_log_while_the_store_is_away_and_are_counted_once() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(7, 40).await;
    bench.say(7, "e").await;
    becomes(&bench, "e", "published", json!([40, 40, 0, 0, 0, 0])).await;
    simulation.lose_answers(Store::Statuses, 40);
    for offset in 0..20 {
        if offset == 7 {
            simulation.break_down(Store::Statuses, Outage::Refuse);
        }
        write(&bench.stores, 1, &settled(offset, offset + 1, vec![run("e", offset, 1, Fate::Delivered)])).await;
        write(&bench.stores, 0, &settled(offset, offset + 1, vec![run("e", offset, 1, Fate::Expired)])).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    simulation.heal(Store::Statuses);
    simulation.lose_answers(Store::Statuses, 0);
    becomes(&bench, "e", "settled", json!([40, 40, 20, 0, 20, 0])).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_that_waits_is_answered_as_soon_as_the_event_is_so_far() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 2).await;
    let post = |event: &str, query: &str| {
        let body = format!(r#"{{"kind":"k","event":"{event}"}}"#);
        let path = format!("/v1/communities/7/events{query}");
        let bench = &bench;
        async move { bench.post(&path, body).await }
    };
    let (status, account) = post("published", "?wait=published").await;
    assert_eq!((status, &account["state"], &account["published"]), (200, &json!("published"), &json!(2)));
    let receipt = settled(0, 9, vec![run("settled", 0, 2, Fate::Delivered)]);
    let settle = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        write(&bench.stores, 1, &receipt).await;
    };
    let clock = Clock::simulated(Timestamp::from_millis(0));
    let began = clock.uptime();
    let ((status, account), ()) = tokio::join!(post("settled", "?wait=settled&timeout=20s"), settle);
    assert_eq!((status, &account["state"], &account["delivered"]), (200, &json!("settled"), &json!(2)));
    let took = clock.uptime() - began;
    assert!(took < Duration::from_millis(2_500), "not by asking now and then: {took:?}");
    let (status, account) = post("late", "?wait=settled&timeout=500ms").await;
    assert_eq!((status, &account["event"], &account["state"]), (202, &json!("late"), &json!("published")));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_makes_no_sense_is_told_and_nothing_is_stored() {
    let bench = Bench::start(simulation().stores());
    for (query, told) in [
        ("?wait=delivered", "published or settled"),
        ("?wait=settled&timeout=1h", "at most 30s"),
        ("?wait=settled&timeout=soon", "such as 500ms or 3s"),
        ("?waits=settled", "unknown field"),
    ] {
        let body = r#"{"kind":"k","event":"e"}"#;
        let (status, problem) = bench.post(&format!("/v1/communities/7/events{query}"), body).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains(told), "{query}: {status} {detail}");
    }
    assert_eq!(bench.get("/v1/events/e").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_waits_is_accepted_though_its_account_can_t_be_looked_at() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    simulation.break_down(Store::Statuses, Outage::Hang);
    let answer = bench.post("/v1/communities/7/events?wait=published", r#"{"kind":"k","event":"e"}"#).await;
    assert_eq!(answer, (202, json!({ "event": "e" })));
}

/// What a stream says until it ends, or until so many messages.
async fn stream(bench: &Bench, event: &str, seen: Option<&str>, count: usize) -> (u16, Vec<(String, Value)>) {
    let mut request = axum::http::Request::get(format!("/v1/events/{event}/stream"));
    if let Some(seen) = seen {
        request = request.header("last-event-id", seen);
    }
    let answer = bench.ask(request.body(axum::body::Body::empty()).unwrap()).await;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let (mut text, mut messages) = (String::new(), Vec::new());
    while messages.len() < count
        && let Some(frame) = body.frame().await
    {
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        while let Some((message, rest)) = text.split_once("\n\n") {
            let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                assert_eq!(field("event:"), Some("account"));
                messages.push((id.to_owned(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    (status, messages)
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_every_change_and_ends_when_there_will_be_none() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 2).await;
    bench.say(7, "e").await;
    becomes(&bench, "e", "published", json!([2, 2, 0, 0, 0, 0])).await;
    let parked = Fate::Parked { until: NEVER };
    let receipts = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        write(&bench.stores, 1, &settled(0, 2, vec![run("e", 0, 1, Fate::Delivered), run("e", 1, 1, parked)])).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        write(&bench.stores, 1, &Receipt::Replayed { runs: vec![run("e", 1, 1, Fate::Delivered)] }).await;
    };
    let ((status, messages), ()) = tokio::join!(stream(&bench, "e", None, usize::MAX), receipts);
    let said: Vec<_> = messages.iter().map(|(_, account)| (&account["delivered"], &account["parked"])).collect();
    assert_eq!((status, said), (200, vec![(&json!(0), &json!(0)), (&json!(1), &json!(1)), (&json!(2), &json!(0))]));
    let (status, resumed) = stream(&bench, "e", Some(&messages[1].0), usize::MAX).await;
    assert_eq!((status, &resumed[..]), (200, &messages[2..]), "what has changed since");
    assert_eq!(stream(&bench, "e", Some(&messages[2].0), usize::MAX).await, (204, Vec::new()), "nothing will change");
    assert_eq!(stream(&bench, "unknown", None, 1).await.0, 404);
}
