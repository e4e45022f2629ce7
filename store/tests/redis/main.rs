//! The stores in Redis keep the promises of the traits, on a real server that is killed, wiped and put back in time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cluster;
mod members;
mod parking;
mod proxy;
mod race;
mod server;
mod tls;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::frame::GapReason;
use peal_proto::{CommunityId, Offset, Partition, Position, Timestamp, UserId};
use peal_store::conformance::{self, Factory, PARTITIONS, RETENTION, Subject, System};
use peal_store::inbox::{Entry, Item, Marker, PageRequest, Parked, Retention};
use peal_store::redis::Concern;
use peal_store::simulated::Simulation;
use peal_store::{Inbox, StoreError, Stores};

use self::server::{START_TIME_MAX, Server, spawn};

const PARTITION: Partition = Partition::new(1);
const NOW: Timestamp = Timestamp::from_millis(1_795_341_600_000);

fn simulation() -> Simulation {
    Simulation::new(1, PARTITIONS, RETENTION)
}

/// A server of its own, with a simulated log beside it.
struct Kept {
    server: Server,
    simulation: Simulation,
    retention: Retention,
    stores: Stores,
}

#[async_trait]
impl System for Kept {
    fn stores(&self) -> Stores {
        self.stores.clone()
    }

    async fn reopen(&mut self) {
        self.server.restart(|_| {}).await;
        self.stores = self.server.connect(self.retention).await.stores(self.simulation.stores().log);
    }

    async fn put_member(&mut self, community: CommunityId, member: &str) {
        assert_eq!(self.server.cli(&["SADD", &format!("community:{community}:members"), member]), "1");
    }
}

struct Fresh;

#[async_trait]
impl Factory for Fresh {
    async fn fresh(&self, partitions: u32, retention: Retention) -> Subject {
        let (server, simulation) = (Server::start().await, Simulation::new(1, partitions, retention));
        let stores = server.connect(retention).await.stores(simulation.stores().log);
        // Before anything is fanned out, so that it is known that no members were lost.
        stores.members.scan(CommunityId::new(0).unwrap(), None).await.unwrap();
        Box::new(Kept { server, simulation, retention, stores })
    }
}

#[tokio::test]
async fn the_inbox_keeps_its_promises() {
    conformance::hold(&Fresh, conformance::inbox()).await;
}

#[tokio::test]
async fn members_statuses_subscriptions_shards_and_leases_keep_their_promises() {
    let cases = [
        conformance::members(),
        conformance::foreign_members(),
        conformance::following(),
        conformance::statuses(),
        conformance::subscriptions(),
        conformance::shards(),
        conformance::leases(),
    ];
    conformance::hold(&Fresh, cases.concat()).await;
}

#[test]
fn it_answers_what_the_model_answers() {
    conformance::model::hold(&Fresh, 40);
}

async fn park(inbox: &Arc<dyn Inbox>, expected: Option<u64>, offset: u64) -> Result<Parked, StoreError> {
    let next = Marker::new(expected.unwrap_or(0) + 1);
    inbox.park(PARTITION, expected.map(Marker::new), next, vec![entry(&offset)], NOW).await
}

fn entry(offset: &u64) -> Entry {
    Entry {
        user: user(42),
        offset: Offset::new(*offset),
        expires: None,
        collapse: None,
        value: offset.to_string().into(),
    }
}

fn notification(offset: u64) -> Item {
    Item::Notification { offset: Offset::new(offset), replaced: 0, value: offset.to_string().into() }
}

fn done(marker: u64) -> Parked {
    Parked::Done { marker: Marker::new(marker), floor: Some(Offset::new(1)) }
}

fn unexpected(found: Option<u64>) -> Parked {
    Parked::Unexpected { found: found.map(Marker::new) }
}

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

async fn count(inbox: &Arc<dyn Inbox>) -> usize {
    let request = PageRequest { user: user(42), from: Position::START, entries_max: 9, bytes_max: 999 };
    inbox.pages(PARTITION, vec![request], NOW).await.unwrap()[0].items.len()
}

#[tokio::test]
async fn entries_parked_in_any_order_and_repeated_are_given_once_in_order() {
    let server = Server::start().await;
    let retention = Retention { notifications_max: 1_000, bytes_max: 1 << 20, ..RETENTION };
    let inbox = server.connect(retention).await.stores(simulation().stores().log).inbox;
    // 7 has no factor in common with 101, so that every offset comes; each batch repeats half of the one before.
    let shuffled: Vec<u64> = (0..101).map(|number| number * 7 % 101).collect();
    for (batch, offsets) in (0..).zip(shuffled.windows(10).step_by(5).chain([&shuffled[96..]])) {
        let expected = (batch > 0).then(|| Marker::new(batch));
        let parked = inbox.park(PARTITION, expected, Marker::new(batch + 1), offsets.iter().map(entry).collect(), NOW);
        assert!(matches!(parked.await.unwrap(), Parked::Done { .. }));
    }
    let request = PageRequest { user: user(42), from: Position::START, entries_max: 200, bytes_max: 1 << 20 };
    let page = inbox.pages(PARTITION, vec![request], NOW).await.unwrap().remove(0);
    let expected: Vec<_> = (0..101).map(notification).collect();
    assert_eq!((page.items, page.end), (expected, true));
}

#[tokio::test]
async fn an_entry_parked_late_below_what_expired_is_given_and_the_gap_told() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    let soon = Some(NOW.after(Duration::from_secs(5)));
    let expiring = |offset: u64| Entry { expires: soon, ..entry(&offset) };
    inbox.park(PARTITION, None, Marker::new(1), vec![expiring(3), expiring(7)], NOW).await.unwrap();
    let later = NOW.after(Duration::from_secs(6));
    // Every sixteenth batch takes away what expired; the last one here comes late.
    for (marker, next, offset) in [(1, 16, 9), (16, 17, 5)] {
        let (expected, next) = (Some(Marker::new(marker)), Marker::new(next));
        inbox.park(PARTITION, expected, next, vec![entry(&offset)], later).await.unwrap();
    }
    let request = PageRequest { user: user(42), from: Position::START, entries_max: 9, bytes_max: 999 };
    let page = inbox.pages(PARTITION, vec![request], later).await.unwrap().remove(0);
    let gap = |to| Item::Gap { to: Position::at(Offset::new(to)), reason: GapReason::Expired };
    assert_eq!(page.items, [gap(5), notification(5), gap(8), notification(9)]);
}

#[tokio::test]
async fn nothing_is_parked_onto_an_inbox_that_was_wiped() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    assert_eq!(park(&inbox, None, 1).await.unwrap(), done(1));
    server.cli(&["FLUSHALL"]);
    assert_eq!(park(&inbox, Some(1), 2).await.unwrap(), unexpected(None));
    assert_eq!(inbox.marker(PARTITION).await.unwrap(), None);
    assert_eq!(park(&inbox, None, 1).await.unwrap(), done(1));
    assert_eq!(count(&inbox).await, 1);
}

#[tokio::test]
async fn nothing_is_parked_onto_an_inbox_that_came_back_empty() {
    let mut server = Server::start().await;
    let inbox = server.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    server.restart(|directory| std::fs::remove_dir_all(directory.join("appendonlydir")).unwrap()).await;
    assert_eq!(eventually(&inbox, Some(1), 2).await, unexpected(None));
}

#[tokio::test]
async fn nothing_is_parked_onto_an_inbox_that_went_back_in_time() {
    let mut server = Server::start().await;
    let inbox = server.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    let older = Snapshot::of(server.directory.path());
    park(&inbox, Some(1), 2).await.unwrap();
    server.restart(|directory| older.put_back(directory)).await;
    assert_eq!(eventually(&inbox, Some(2), 3).await, unexpected(Some(1)));
    assert_eq!(count(&inbox).await, 1);
    assert_eq!(park(&inbox, Some(1), 2).await.unwrap(), done(2));
}

#[tokio::test]
async fn a_torn_append_only_file_leaves_whole_batches_and_their_marker() {
    let mut server = Server::start().await;
    let inbox = server.inbox().await;
    for offset in 1..=3 {
        park(&inbox, (offset > 1).then(|| offset - 1), offset).await.unwrap();
    }
    server.restart(|directory| tear(&directory.join("appendonlydir"), 40)).await;
    assert_eq!(eventually(&inbox, Some(3), 4).await, unexpected(Some(2)));
    assert_eq!(count(&inbox).await, 2);
}

/// Parks as soon as the connection stands again.
async fn eventually(inbox: &Arc<dyn Inbox>, expected: Option<u64>, offset: u64) -> Parked {
    let parking = async {
        loop {
            if let Ok(parked) = park(inbox, expected, offset).await {
                return parked;
            }
        }
    };
    tokio::time::timeout(START_TIME_MAX, parking).await.expect("the connection does not come back")
}

/// The files of a server's directory at some time.
struct Snapshot(Vec<(std::ffi::OsString, Vec<u8>)>);

impl Snapshot {
    fn of(directory: &Path) -> Self {
        let files = std::fs::read_dir(directory.join("appendonlydir")).unwrap().map(|file| file.unwrap());
        Self(files.map(|file| (file.file_name(), std::fs::read(file.path()).unwrap())).collect())
    }

    fn put_back(&self, directory: &Path) {
        for (name, bytes) in &self.0 {
            std::fs::write(directory.join("appendonlydir").join(name), bytes).unwrap();
        }
    }
}

/// Cuts the last bytes of the append-only file.
fn tear(directory: &Path, bytes: u64) {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let tail = files.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap();
    let file = std::fs::File::options().write(true).open(tail).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

#[tokio::test]
async fn what_an_older_log_left_behind_is_forgotten_and_an_older_process_refused() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    server.cli(&["SET", "peal:{p1}:marker", "0.7"]);
    assert_eq!((inbox.marker(PARTITION).await.unwrap(), count(&inbox).await), (None, 0));
    assert_eq!(park(&inbox, None, 1).await.unwrap(), done(1));
    assert_eq!(count(&inbox).await, 1);
    server.cli(&["SET", "peal:{p1}:marker", "4000000000.7"]);
    assert!(matches!(park(&inbox, Some(1), 2).await, Err(StoreError::Fenced { .. })));
    assert!(matches!(inbox.marker(PARTITION).await, Err(StoreError::Fenced { .. })));
}

#[tokio::test]
async fn a_server_that_is_away_is_told_as_unavailable_within_a_limit_and_found_again() {
    let mut server = Server::start().await;
    let inbox = server.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    server.kill();
    let refused = tokio::time::timeout(START_TIME_MAX, park(&inbox, Some(1), 2)).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Unavailable { store: "inbox", .. })), "{refused:?}");
    server.process = spawn(server.directory.path(), server.port, &server.options);
    assert_eq!(eventually(&inbox, Some(1), 2).await, done(2));
}

#[tokio::test]
async fn a_server_that_hangs_is_told_as_unavailable_within_a_limit() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    let signal = |name: &str| Command::new("kill").args([name, &server.process.id().to_string()]).status().unwrap();
    signal("-STOP");
    let refused = tokio::time::timeout(START_TIME_MAX, park(&inbox, Some(1), 2)).await.unwrap();
    signal("-CONT");
    assert!(matches!(refused, Err(StoreError::Unavailable { store: "inbox", .. })), "{refused:?}");
    // The batch was given up before it was sent.
    assert_eq!(park(&inbox, Some(1), 3).await.unwrap(), done(2));
}

#[tokio::test]
async fn a_server_that_may_drop_keys_is_a_concern() {
    let server = Server::start().await;
    assert_eq!(server.connect(RETENTION).await.check().await.unwrap(), []);
    server.cli(&["CONFIG", "SET", "maxmemory", "104857600", "maxmemory-policy", "allkeys-lru"]);
    let evicts = Concern::Evicts { bytes_max: 104_857_600, policy: "allkeys-lru".to_owned() };
    assert_eq!(server.connect(RETENTION).await.check().await.unwrap(), [evicts]);
    let forgetful = Server::start_with(&["--appendonly", "no"]).await;
    assert_eq!(forgetful.connect(RETENTION).await.check().await.unwrap(), [Concern::Forgets]);
}

#[tokio::test]
async fn a_server_that_takes_too_much_for_a_user_is_told_and_is_not_unsafe() {
    let server = Server::start().await;
    server.cli(&["CONFIG", "SET", "stream-node-max-bytes", "4096"]);
    let concerns = server.connect(RETENTION).await.check().await.unwrap();
    assert_eq!(concerns, [Concern::Wastes { node_bytes: 4_096 }]);
    assert!(!concerns[0].is_unsafe());
    let silent = Server::start_with(&["--appendonly", "yes", "--rename-command", "CONFIG", ""]).await;
    assert_eq!(silent.connect(RETENTION).await.check().await.unwrap(), []);
}
