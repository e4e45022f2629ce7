//! A batch is parked in two round trips, and nothing that happens between them, or to them, is lost or overwritten.

use std::sync::Arc;
use std::time::Duration;

use peal_proto::name::{floors_key, marker_key, users_key};
use peal_proto::{Offset, Partition, Position};
use peal_store::conformance::RETENTION;
use peal_store::inbox::{Entry, Marker, Parked};
use peal_store::redis::{self, Settings};
use peal_store::{Inbox, StoreError};
use tokio::task::JoinHandle;

use super::proxy::{Fate, Held, Proxy};
use super::server::Server;
use super::{NOW, PARTITION, count, done, entry, park, simulation, unexpected, user};

/// How often scripts have run.
fn scripts(server: &Server) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

/// Parks 2 onto 1, and does something when it was looked and nothing is done yet.
async fn park_while(proxy: &Proxy, inbox: &Arc<dyn Inbox>, meanwhile: impl AsyncFnOnce()) -> Parked {
    let (mut held, parking) = start_parking(proxy, inbox);
    held.reached().await;
    meanwhile().await;
    held.go(Fate::Done);
    parking.await.unwrap().unwrap()
}

fn start_parking(proxy: &Proxy, inbox: &Arc<dyn Inbox>) -> (Held, JoinHandle<Result<Parked, StoreError>>) {
    let (held, inbox) = (proxy.hold(), Arc::clone(inbox));
    (held, tokio::spawn(async move { park(&inbox, Some(1), 2).await }))
}

#[tokio::test]
async fn only_what_is_late_or_over_the_quota_and_every_sixteenth_batch_are_parked_by_the_script() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    let parked = async |next: u64, number, offsets: &[u64]| {
        let entries = offsets.iter().map(|offset| Entry { user: user(number), ..entry(offset) }).collect();
        let expected = (next > 1).then(|| Marker::new(next - 1));
        inbox.park(PARTITION, expected, Marker::new(next), entries, NOW).await.unwrap()
    };
    for batch in 1..=15 {
        assert_eq!(parked(batch, batch, &[10 * batch]).await, floor(batch, 10));
    }
    assert_eq!(scripts(&server), 0);
    assert_eq!(parked(16, 16, &[160]).await, floor(16, 10));
    assert_eq!(scripts(&server), 2, "Redis did not know it");
    assert_eq!(parked(17, 1, &[5]).await, floor(17, 5));
    assert_eq!(scripts(&server), 3);
    assert_eq!(parked(18, 1, &[170, 180]).await, floor(18, 5));
    assert_eq!(scripts(&server), 3);
    assert_eq!(parked(19, 1, &[190, 200]).await, floor(19, 10));
    assert_eq!(scripts(&server), 4);
    agrees(&server);
}

#[tokio::test]
async fn collapse_keys_are_forgotten_with_their_entries_however_those_go() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    let soon = Some(NOW.after(Duration::from_secs(60)));
    let keyed = |offset: u64, expires| {
        let collapse = Some(format!("k{}", offset % 3).parse().unwrap());
        Entry { collapse, expires, ..entry(&offset) }
    };
    let parked = async |next: u64, entries: Vec<Entry>, now| {
        let expected = (next > 1).then(|| Marker::new(next - 1));
        let parked = inbox.park(PARTITION, expected, Marker::new(next), entries, now).await.unwrap();
        assert!(matches!(parked, Parked::Done { .. }));
        agrees(&server);
    };
    let trim = async |below| {
        inbox.trim(PARTITION, vec![(user(42), Position::at(Offset::new(below)))]).await.unwrap();
        agrees(&server);
    };
    let plain = |offset: u64| vec![entry(&offset)];
    parked(1, vec![keyed(1, soon), keyed(3, soon), keyed(5, None)], NOW).await;
    let later = NOW.after(Duration::from_secs(61));
    parked(2, vec![keyed(4, None), keyed(6, None), keyed(7, None)], later).await;
    for next in 3..=16 {
        parked(next, if next < 6 { plain(20 + next) } else { Vec::new() }, later).await; // the quota, and then a sweep
    }
    parked(17, vec![keyed(32, None), keyed(33, None), keyed(35, None)], later).await;
    trim(33).await;
    trim(100).await;
    assert_eq!(server.cli(&["KEYS", "*"]), marker_key(PARTITION), "nothing else is left");
}

fn floor(marker: u64, floor: u64) -> Parked {
    Parked::Done { marker: Marker::new(marker), floor: Some(Offset::new(floor)) }
}

#[tokio::test]
async fn a_trim_between_look_and_transaction_is_not_overwritten() {
    let server = Server::start().await;
    let (proxy, direct) = (Proxy::to(&server).await, server.inbox().await);
    let inbox = proxy.inbox().await;
    assert_eq!(park(&inbox, None, 1).await.unwrap(), done(1));
    let below = Position::at(Offset::new(2));
    let trim = async || assert_eq!(direct.trim(PARTITION, vec![(user(42), below)]).await.unwrap(), None);
    assert_eq!(park_while(&proxy, &inbox, trim).await, floor(2, 2));
    assert_eq!((count(&inbox).await, scripts(&server)), (1, 4));
    agrees(&server);
}

#[tokio::test]
async fn nothing_is_parked_onto_an_inbox_that_is_wiped_between_look_and_transaction() {
    let server = Server::start().await;
    let proxy = Proxy::to(&server).await;
    let inbox = proxy.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    inbox.trim(PARTITION, vec![(user(42), Position::at(Offset::new(2)))]).await.unwrap();
    assert_eq!(server.cli(&["KEYS", "*"]), marker_key(PARTITION), "only the marker tells");
    let wipe = async || assert_eq!(server.cli(&["FLUSHALL"]), "OK");
    assert_eq!(park_while(&proxy, &inbox, wipe).await, unexpected(None));
    assert_eq!((inbox.marker(PARTITION).await.unwrap(), server.cli(&["DBSIZE"]).as_str()), (None, "0"));
}

#[tokio::test]
async fn nothing_is_parked_when_another_parks_between_look_and_transaction() {
    let server = Server::start().await;
    let (proxy, direct) = (Proxy::to(&server).await, server.inbox().await);
    let inbox = proxy.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    let other = async || {
        let entries = vec![Entry { user: user(7), ..entry(&5) }];
        let parked = direct.park(PARTITION, Some(Marker::new(1)), Marker::new(9), entries, NOW).await.unwrap();
        assert_eq!(parked, floor(9, 1));
    };
    assert_eq!(park_while(&proxy, &inbox, other).await, unexpected(Some(9)));
    assert_eq!(count(&inbox).await, 1);
    agrees(&server);
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_found_by_its_marker_and_parked_again_once() {
    let server = Server::start().await;
    let proxy = Proxy::to(&server).await;
    let inbox = proxy.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    let (mut held, parking) = start_parking(&proxy, &inbox);
    held.reached().await;
    held.go(Fate::AnswerLost);
    let lost = parking.await.unwrap();
    assert!(matches!(lost, Err(StoreError::Unavailable { store: "inbox", .. })), "{lost:?}");
    let again = async |expected, next| {
        inbox.park(PARTITION, Some(Marker::new(expected)), Marker::new(next), vec![entry(&2)], NOW).await.unwrap()
    };
    assert_eq!(again(1, 3).await, unexpected(Some(2)));
    assert_eq!(again(2, 4).await, floor(4, 1));
    assert_eq!(count(&inbox).await, 2);
    agrees(&server);
}

#[tokio::test]
async fn connections_that_were_closed_while_nobody_had_them_cost_nothing() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    park(&inbox, None, 1).await.unwrap();
    let clients = server.cli(&["CLIENT", "LIST"]);
    let idle: Vec<_> = clients.lines().filter(|client| client.contains(" cmd=exec ")).collect();
    assert_eq!(idle.len(), 1, "{clients}");
    let id = idle[0].split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
    assert_eq!(server.cli(&["CLIENT", "KILL", "ID", id]), "1");
    assert_eq!(park(&inbox, Some(1), 2).await.unwrap(), done(2));
    assert_eq!(park(&inbox, Some(2), 3).await.unwrap(), done(3));
}

#[tokio::test]
async fn many_partitions_share_a_few_connections() {
    let server = Server::start().await;
    let inbox = server.inbox().await;
    let parking: Vec<_> = (0..100)
        .map(|partition| {
            let inbox = Arc::clone(&inbox);
            tokio::spawn(async move {
                inbox.park(Partition::new(partition), None, Marker::new(1), vec![entry(&1)], NOW).await
            })
        })
        .collect();
    for parking in parking {
        assert_eq!(parking.await.unwrap().unwrap(), done(1));
    }
    let clients = server.cli(&["CLIENT", "LIST"]);
    let idle = clients.lines().filter(|client| client.contains(" cmd=exec ")).count();
    assert!((1..=8).contains(&idle), "{clients}");
}

#[tokio::test]
async fn the_newer_protocol_is_spoken_as_well() {
    let server = Server::start().await;
    let url = format!("redis://127.0.0.1:{}?protocol=resp3", server.port);
    let settings = Settings { retention: RETENTION, ..Settings::new(url) };
    let inbox = redis::connect(settings).await.unwrap().stores(simulation().stores().log).inbox;
    assert_eq!(park(&inbox, None, 1).await.unwrap(), done(1));
    assert_eq!(park(&inbox, Some(1), 2).await.unwrap(), done(2));
    assert_eq!((count(&inbox).await, scripts(&server)), (2, 0));
}

/// Summaries and floors say what is in the streams.
pub(super) fn agrees(server: &Server) {
    let (users, floors) = (users_key(PARTITION), floors_key(PARTITION));
    let differs = server.cli(&["EVAL", include_str!("agrees.lua"), "2", &users, &floors, "peal:{p1}:inbox:"]);
    assert_eq!(differs, "");
}
