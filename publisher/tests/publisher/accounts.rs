//! The account of an event, from the receipts of nodes to what is answered.

use std::time::Duration;

use peal_proto::{EventId, Fate, Offset, Partition, Position, Receipt, Run, Timestamp, Topic};
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
