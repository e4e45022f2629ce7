//! The simulated stores keep the promises of the traits, and break down when they are told to.
#![cfg(all(feature = "simulated", feature = "conformance"))]

use std::time::Duration;

use async_trait::async_trait;
use peal_proto::{CommunityId, Offset, Partition, Position, Topic, UserId};
use peal_store::conformance::{self, Factory, PARTITIONS, RETENTION, Subject, System};
use peal_store::inbox::{Entry, Marker, PageRequest, Parked, Retention};
use peal_store::log::{Commit, Headers, NewRecord, Source};
use peal_store::simulated::{Outage, Simulation, Store};
use peal_store::{StoreError, Stores};

struct Simulated(Simulation);

#[async_trait]
impl System for Simulated {
    fn stores(&self) -> Stores {
        self.0.stores()
    }

    async fn reopen(&mut self) {}

    async fn put_member(&mut self, community: CommunityId, member: &str) {
        self.0.put_member(community, member.as_bytes());
    }
}

/// Every call takes a while, so that calls overlap.
struct Slow(Duration);

#[async_trait]
impl Factory for Slow {
    async fn fresh(&self, partitions: u32, retention: Retention) -> Subject {
        let simulation = Simulation::new(7, partitions, retention);
        for store in Store::ALL {
            simulation.delay(store, self.0);
        }
        Box::new(Simulated(simulation))
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_keeps_its_promises() {
    conformance::hold(&Slow(Duration::ZERO), conformance::log()).await;
    conformance::hold(&Slow(Duration::from_millis(20)), conformance::log()).await;
}

#[tokio::test(start_paused = true)]
async fn the_inbox_keeps_its_promises() {
    conformance::hold(&Slow(Duration::ZERO), conformance::inbox()).await;
    conformance::hold(&Slow(Duration::from_millis(20)), conformance::inbox()).await;
}

#[tokio::test(start_paused = true)]
async fn members_statuses_subscriptions_shards_and_leases_keep_their_promises() {
    let cases = || {
        [
            conformance::members(),
            conformance::foreign_members(),
            conformance::following(),
            conformance::statuses(),
            conformance::subscriptions(),
            conformance::shards(),
            conformance::leases(),
        ]
        .concat()
    };
    conformance::hold(&Slow(Duration::ZERO), cases()).await;
    conformance::hold(&Slow(Duration::from_millis(20)), cases()).await;
}

#[test]
fn the_comparison_finds_no_difference_between_the_model_and_itself() {
    conformance::model::hold(&Slow(Duration::ZERO), 64);
}

fn simulation() -> Simulation {
    Simulation::new(1, PARTITIONS, RETENTION)
}

fn record(text: &'static str) -> NewRecord {
    NewRecord { partition: Partition::new(0), key: 0, headers: Headers::default(), value: text.into() }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_does_nothing_and_wakes_its_readers() {
    let simulation = simulation();
    let log = simulation.stores().log;
    let mut reader = log.reader(Topic::Events, Partition::new(0), Position::START).await.unwrap();
    let reading = tokio::spawn(async move {
        let refused = reader.next().await;
        (reader, refused)
    });
    tokio::task::yield_now().await;
    simulation.break_down(Store::Log, Outage::Refuse);
    let (mut reader, refused) = reading.await.unwrap();
    assert!(matches!(refused, Err(StoreError::Unavailable { store: "log", .. })));
    assert!(log.append(Topic::Events, vec![record("refused")]).await.is_err());
    assert_eq!(simulation.stores().inbox.marker(Partition::new(0)).await.unwrap(), None);
    simulation.heal(Store::Log);
    log.append(Topic::Events, vec![record("healed")]).await.unwrap();
    assert_eq!(reader.next().await.unwrap()[0].value, "healed");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_goes_on_when_it_is_healed() {
    let simulation = simulation();
    simulation.break_down(Store::Log, Outage::Hang);
    let log = simulation.stores().log;
    let appending = tokio::spawn(async move { log.append(Topic::Events, vec![record("late")]).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!appending.is_finished());
    simulation.heal(Store::Log);
    assert_eq!(appending.await.unwrap().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_the_first_few_records_behind() {
    let simulation = simulation();
    let log = simulation.stores().log;
    simulation.lose_answers(Store::Log, 100);
    let records = ["a", "b", "c", "d"].map(record).to_vec();
    assert!(log.append(Topic::Events, records).await.is_err());
    simulation.lose_answers(Store::Log, 0);
    log.append(Topic::Events, vec![record("last")]).await.unwrap();
    let mut reader = log.reader(Topic::Events, Partition::new(0), Position::START).await.unwrap();
    let mut values = Vec::new();
    while values.last().is_none_or(|value| value != "last") {
        values.extend(reader.next().await.unwrap().into_iter().map(|record| record.value));
    }
    values.pop();
    assert_eq!(values, ["a", "b", "c", "d"][..values.len()]);
}

#[tokio::test(start_paused = true)]
async fn a_wiped_inbox_has_no_marker_and_a_rewound_one_an_older() {
    let simulation = simulation();
    let (inbox, partition) = (simulation.stores().inbox, Partition::new(0));
    let user = UserId::new(4).unwrap();
    let entry = |offset| Entry { user, offset: Offset::new(offset), expires: None, collapse: None, value: "v".into() };
    let now = peal_proto::Timestamp::from_millis(1_795_341_600_000);
    let next = |expected: Option<Marker>| expected.map_or(Marker::new(1), Marker::next);
    let park = |expected, offset| inbox.park(partition, expected, next(expected), vec![entry(offset)], now);
    park(None, 1).await.unwrap();
    let snapshot = simulation.snapshot_inbox();
    park(Some(Marker::new(1)), 2).await.unwrap();
    simulation.rewind_inbox(&snapshot);
    let found = park(Some(Marker::new(2)), 3).await.unwrap();
    assert_eq!(found, Parked::Unexpected { found: Some(Marker::new(1)) });
    let request = PageRequest { user, from: Position::START, entries_max: 9, bytes_max: 999 };
    assert_eq!(inbox.pages(partition, vec![request], now).await.unwrap()[0].items.len(), 1);
    simulation.wipe_inbox();
    assert_eq!(park(Some(Marker::new(1)), 3).await.unwrap(), Parked::Unexpected { found: None });
}

#[tokio::test(start_paused = true)]
async fn only_commits_that_no_append_followed_can_be_lost() {
    let simulation = simulation();
    let log = simulation.stores().log;
    let source = Source { group: "g", topic: Topic::Events, partition: Partition::new(0) };
    let commit = |offset| Commit { position: Position::at(Offset::new(offset)), metadata: String::new() };
    log.commit(source, commit(1)).await.unwrap();
    log.append(Topic::Events, vec![record("behind")]).await.unwrap();
    log.commit(source, commit(2)).await.unwrap();
    assert_eq!(log.committed(source).await.unwrap(), Some(commit(2)));
    simulation.lose_commits();
    assert_eq!(log.committed(source).await.unwrap(), Some(commit(1)));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_schedule() {
    async fn schedule(seed: u64) -> Vec<bool> {
        let simulation = Simulation::new(seed, PARTITIONS, RETENTION);
        simulation.lose_answers(Store::Members, 50);
        let members = simulation.stores().members;
        let community = CommunityId::new(1).unwrap();
        let mut answered = Vec::new();
        for _ in 0..64 {
            answered.push(members.count(community).await.is_ok());
        }
        answered
    }
    assert_eq!(schedule(1).await, schedule(1).await);
    assert_ne!(schedule(1).await, schedule(2).await);
}
