//! What the inbox promises of what it does not keep: never more than the quota, and never a loss without its gap.

use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{Offset, Position, Timestamp};

use super::parking::{PARTITION, all, at, entry, notification, page, park, user};
use super::{Case, RETENTION, Subject, cases};
use crate::clock;
use crate::inbox::{Entry, Item, PageRequest};

pub(super) const CASES: &[Case] = cases![
    beyond_the_quota_the_oldest_go_and_leave_a_gap,
    beyond_the_bytes_the_oldest_go_and_leave_a_gap,
    the_quota_is_of_one_user,
    the_floor_rises_with_what_the_quota_takes,
    an_expired_entry_is_a_gap,
    an_entry_expires_between_two_that_do_not,
    the_time_to_live_ends_an_entry_without_its_own,
    the_own_end_does_not_outlast_the_time_to_live,
    a_gap_is_forgotten_when_it_is_trimmed,
    a_gap_is_not_given_behind_its_end,
    a_gap_outlives_the_process,
    what_was_lost_and_parked_again_is_never_missing_in_silence,
];

/// Checks one gap: behind what was lost, and not into what follows.
fn assert_gap(item: &Item, lost: u64, next: u64, expected: GapReason) {
    let Item::Gap { to, reason } = item else { panic!("no gap but {item:?}") };
    assert!(to.covers(Offset::new(lost)), "the gap to {to} ends before {lost}, which was lost");
    assert!(!to.covers(Offset::new(next)), "the gap to {to} takes {next}, which is kept");
    assert_eq!(*reason, expected);
}

fn minutes(now: Timestamp, minutes: u64) -> Timestamp {
    now.after(Duration::from_secs(60 * minutes))
}

fn expiring(offset: u64, expires: Timestamp) -> Entry {
    Entry { expires: Some(expires), ..entry(1, offset) }
}

async fn beyond_the_quota_the_oldest_go_and_leave_a_gap(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, (10..18).map(|offset| entry(1, offset)).collect(), now).await;
    let items = all(&stores, 1, Position::START, now).await;
    assert_gap(&items[0], 12, 13, GapReason::Quota);
    assert_eq!(items[1..], [13, 14, 15, 16, 17].map(|offset| notification(1, offset)));
    park(&stores, vec![entry(1, 20), entry(1, 21)], now).await;
    let items = all(&stores, 1, Position::START, now).await;
    assert_gap(&items[0], 14, 15, GapReason::Quota);
    assert_eq!(items[1..], [15, 16, 17, 20, 21].map(|offset| notification(1, offset)));
}

async fn beyond_the_bytes_the_oldest_go_and_leave_a_gap(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let large = |offset, bytes| Entry { value: vec![0; bytes].into(), ..entry(1, offset) };
    park(&stores, vec![large(1, 400), large(2, 400), large(3, 400)], now).await;
    let items = all(&stores, 1, Position::START, now).await;
    assert_gap(&items[0], 1, 2, GapReason::Quota);
    assert_eq!(items.len(), 3);
    park(&stores, vec![large(4, 900)], now).await;
    let items = all(&stores, 1, Position::START, now).await;
    assert_gap(&items[0], 3, 4, GapReason::Quota);
    assert_eq!(items.len(), 2);
}

async fn the_quota_is_of_one_user(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, (0..10).map(|offset| entry(1 + offset % 2, offset)).collect(), now).await;
    for number in [1, 2] {
        let items = all(&stores, number, Position::START, now).await;
        assert_eq!(items.len(), 5);
        assert!(items.iter().all(|item| matches!(item, Item::Notification { .. })), "{items:?}");
    }
}

async fn the_floor_rises_with_what_the_quota_takes(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let floor = park(&stores, (10..20).map(|offset| entry(1, offset)).collect(), now).await;
    assert_eq!(floor, Some(Offset::new(15)));
}

async fn an_expired_entry_is_a_gap(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![expiring(3, minutes(now, 10)), entry(1, 4)], now).await;
    let items = all(&stores, 1, Position::START, minutes(now, 9)).await;
    assert_eq!(items[1], notification(1, 4));
    let items = all(&stores, 1, Position::START, minutes(now, 11)).await;
    assert_gap(&items[0], 3, 4, GapReason::Expired);
    assert_eq!(items[1..], [notification(1, 4)]);
}

async fn an_entry_expires_between_two_that_do_not(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let soon = minutes(now, 10);
    park(&stores, vec![entry(1, 3), expiring(5, soon), entry(1, 8), expiring(9, soon)], now).await;
    let items = all(&stores, 1, Position::START, minutes(now, 20)).await;
    assert_eq!(items.len(), 4, "{items:?}");
    assert_eq!(items[0], notification(1, 3));
    assert_gap(&items[1], 5, 8, GapReason::Expired);
    assert_eq!(items[2], notification(1, 8));
    assert_gap(&items[3], 9, u64::MAX, GapReason::Expired);
}

async fn the_time_to_live_ends_an_entry_without_its_own(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 3)], now).await;
    assert_eq!(all(&stores, 1, Position::START, minutes(now, 59)).await, [notification(1, 3)]);
    let later = now.after(RETENTION.ttl + Duration::from_secs(60));
    let items = all(&stores, 1, Position::START, later).await;
    assert_gap(&items[0], 3, 4, GapReason::Expired);
    assert_eq!(items.len(), 1);
}

async fn the_own_end_does_not_outlast_the_time_to_live(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![expiring(3, minutes(now, 600))], now).await;
    let items = all(&stores, 1, Position::START, minutes(now, 61)).await;
    assert_gap(&items[0], 3, 4, GapReason::Expired);
}

async fn a_gap_is_forgotten_when_it_is_trimmed(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, (10..17).map(|offset| entry(1, offset)).collect(), now).await;
    stores.inbox.trim(PARTITION, vec![(user(1), at(11))]).await.unwrap();
    assert_gap(&all(&stores, 1, Position::START, now).await[0], 11, 12, GapReason::Quota);
    stores.inbox.trim(PARTITION, vec![(user(1), at(14))]).await.unwrap();
    let expected = [14, 15, 16].map(|offset| notification(1, offset));
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
    stores.inbox.trim(PARTITION, vec![(user(1), at(17))]).await.unwrap();
    assert_eq!(all(&stores, 1, Position::START, now).await, []);
}

async fn a_gap_is_not_given_behind_its_end(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, (10..17).map(|offset| entry(1, offset)).collect(), now).await;
    let request = PageRequest { user: user(1), from: at(12), entries_max: 1, bytes_max: 10_000 };
    assert_eq!(page(&stores, request, now).await.items, [notification(1, 12)]);
    let before = page(&stores, PageRequest { from: at(11), ..request }, now).await;
    assert_gap(&before.items[0], 11, 12, GapReason::Quota);
}

async fn a_gap_outlives_the_process(mut subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, (10..17).map(|offset| entry(1, offset)).collect(), now).await;
    drop(stores);
    subject.reopen().await;
    let items = all(&subject.stores(), 1, Position::START, now).await;
    assert_gap(&items[0], 11, 12, GapReason::Quota);
    assert_eq!(items[1..], [12, 13, 14, 15, 16].map(|offset| notification(1, offset)));
}

/// The log is read again after a loss, and some of what was lost is parked again: it is given, or a gap covers it.
async fn what_was_lost_and_parked_again_is_never_missing_in_silence(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let soon = minutes(now, 1);
    park(&stores, [2, 4, 6].map(|offset| expiring(offset, soon)).into(), now).await;
    let now = minutes(now, 2);
    all(&stores, 1, Position::START, now).await;
    park(&stores, vec![entry(1, 8)], now).await;
    park(&stores, vec![entry(1, 4)], now).await;
    let mut told = Position::START;
    let mut covered = Vec::new();
    for item in all(&stores, 1, Position::START, now).await {
        match item {
            Item::Notification { offset, .. } => {
                covered.push(offset.get());
                told = Position::behind(offset);
            }
            Item::Gap { to, .. } => {
                covered.extend(told.next().get()..to.next().get());
                told = to;
            }
        }
    }
    for offset in [2, 4, 6, 8] {
        assert!(covered.contains(&offset), "{offset} is neither given nor in a gap: {covered:?}");
    }
}
