//! Two processes that park, and two that trim, all at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use peal_proto::{Offset, Position, UserId};
use peal_store::Inbox;
use peal_store::conformance::RETENTION;
use peal_store::inbox::{Entry, Item, Marker, PageRequest, Parked, Retention};

use super::parking::agrees;
use super::server::Server;
use super::{NOW, PARTITION, entry, simulation, user};

/// Each for users of its own.
const PARKERS: u64 = 2;
const USERS_A_PARKER: u64 = 10;
const BATCHES: u64 = 300;
const ENTRIES_A_BATCH: u64 = 12;
/// Offsets of a parker.
const END: u64 = BATCHES * ENTRIES_A_BATCH;
/// Entries kept for a user: some trims come too late for the quota.
const KEPT_MAX: u32 = 68;
/// Offsets from what is parked back to what is trimmed.
const BEHIND_MAX: u64 = 600;

/// Up to where a parker has parked.
type Progress = Arc<AtomicU64>;

/// Up to where something was trimmed.
type Trimmed = BTreeMap<UserId, Position>;

fn note(trimmed: &mut Trimmed, user: UserId, below: Position) {
    let position = trimmed.entry(user).or_default();
    *position = below.max(*position);
}

fn user_of(parker: u64, number: u64) -> UserId {
    user(parker + PARKERS * (number % USERS_A_PARKER))
}

/// Who gets what a parker parks at an offset.
fn whose(parker: u64, offset: u64) -> UserId {
    user_of(parker, offset * 7)
}

async fn park_all(inbox: Arc<dyn Inbox>, parker: u64, progress: Progress) {
    let mut expected = None;
    for first in (0..BATCHES).map(|batch| batch * ENTRIES_A_BATCH) {
        let entry = |offset: u64| Entry { user: whose(parker, offset), ..entry(&offset) };
        let entries: Vec<_> = (first..first + ENTRIES_A_BATCH).map(entry).collect();
        loop {
            let next = expected.map_or(Marker::new(1), Marker::next);
            match inbox.park(PARTITION, expected, next, entries.clone(), NOW).await.unwrap() {
                Parked::Done { marker, .. } => break expected = Some(marker),
                Parked::Unexpected { found } => expected = found,
            }
        }
        progress.store(first + ENTRIES_A_BATCH, Ordering::Release);
    }
}

/// Trims now and then, and never what is not parked yet.
async fn trim_meanwhile(inbox: Arc<dyn Inbox>, trimmer: u64, progress: [Progress; 2]) -> Trimmed {
    let (mut trimmed, mut seen) = (Trimmed::new(), [0; 2]);
    while seen != [END; 2] {
        for ((parker, progress), seen) in (0..).zip(&progress).zip(&mut seen) {
            let parked = progress.load(Ordering::Acquire);
            if parked == *seen {
                tokio::task::yield_now().await;
                continue;
            }
            *seen = parked;
            let user = user_of(parker, parked / ENTRIES_A_BATCH * (trimmer + 3));
            let below = Position::at(Offset::new(parked.saturating_sub(parked * 31 % BEHIND_MAX)));
            inbox.trim(PARTITION, vec![(user, below)]).await.unwrap();
            note(&mut trimmed, user, below);
        }
    }
    trimmed
}

/// What a user has.
async fn kept(inbox: &Arc<dyn Inbox>, user: UserId) -> Vec<u64> {
    let request = PageRequest { user, from: Position::START, entries_max: 1_000, bytes_max: 1 << 20 };
    let page = inbox.pages(PARTITION, vec![request], NOW).await.unwrap().remove(0);
    let offset = |item: &Item| match item {
        Item::Notification { offset, .. } => Some(offset.get()),
        Item::Gap { .. } => None,
    };
    page.items.iter().filter_map(offset).collect()
}

/// What a user should have: the last of what is not trimmed.
fn expected(parker: u64, user: UserId, below: Position) -> Vec<u64> {
    let untrimmed = |offset: &u64| whose(parker, *offset) == user && !below.covers(Offset::new(*offset));
    let mut last: Vec<_> = (0..END).rev().filter(untrimmed).take(KEPT_MAX as usize).collect();
    last.reverse();
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parks_and_trims_at_once_leave_what_one_after_the_other_leaves() {
    let server = Server::start_with(&["--appendonly", "no"]).await;
    let retention = Retention { notifications_max: KEPT_MAX, bytes_max: 1 << 20, ..RETENTION };
    let progress = [Progress::default(), Progress::default()];
    let (mut inboxes, mut parking, mut trimming) = (Vec::new(), Vec::new(), Vec::new());
    for (number, own) in (0..PARKERS).zip(&progress) {
        let inbox = server.connect(retention).await.stores(simulation().stores().log).inbox;
        parking.push(tokio::spawn(park_all(Arc::clone(&inbox), number, Arc::clone(own))));
        trimming.push(tokio::spawn(trim_meanwhile(Arc::clone(&inbox), number, progress.clone())));
        inboxes.push(inbox);
    }
    for parking in parking {
        parking.await.unwrap();
    }
    let mut trimmed = Trimmed::new();
    for trimming in trimming {
        for (user, below) in trimming.await.unwrap() {
            note(&mut trimmed, user, below);
        }
    }
    agrees(&server);
    for (parker, number) in (0..PARKERS).flat_map(|parker| (0..USERS_A_PARKER).map(move |number| (parker, number))) {
        let user = user_of(parker, number);
        let below = trimmed.get(&user).copied().unwrap_or_default();
        assert_eq!(kept(&inboxes[0], user).await, expected(parker, user, below), "user {user}, trimmed below {below}");
    }
}
