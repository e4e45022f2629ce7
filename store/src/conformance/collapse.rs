//! What the inbox promises of collapse keys: a newer entry takes the place of the older one, without a gap, and once.

use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{CollapseKey, Offset, Position, Timestamp};

use super::parking::{PARTITION, all, at, entry, notification, park, user};
use super::{Case, Subject, cases};
use crate::Stores;
use crate::clock;
use crate::inbox::{Entry, Item};

pub(super) const CASES: &[Case] = cases![
    a_newer_entry_takes_the_place_of_the_older_one_of_its_key_without_a_gap,
    entries_of_one_batch_replace_each_other,
    an_entry_says_how_many_it_stands_for,
    keys_are_those_of_one_user,
    what_is_parked_again_replaces_nothing_twice,
    an_older_entry_that_comes_late_is_needless,
    a_newer_entry_that_comes_late_stands_at_its_place,
    what_has_expired_stays_a_gap,
    what_was_trimmed_is_not_replaced,
    what_the_quota_took_is_not_replaced,
    what_was_replaced_counts_towards_no_quota,
    the_floor_rises_when_the_oldest_is_replaced,
    it_is_known_what_the_next_of_a_key_would_replace,
    keys_outlive_the_process,
];

fn key(name: &str) -> CollapseKey {
    name.parse().unwrap()
}

fn keyed(number: u64, offset: u64, name: &str) -> Entry {
    Entry { collapse: Some(key(name)), ..entry(number, offset) }
}

/// A page's item that stands for others as well.
fn standing_for(number: u64, offset: u64, others: u32) -> Item {
    match notification(number, offset) {
        Item::Notification { offset, value, .. } => Item::Notification { offset, replaced: others, value },
        gap @ Item::Gap { .. } => gap,
    }
}

/// The offset of the entry that the next of a key would replace.
async fn of_key(stores: &Stores, number: u64, name: &str, now: Timestamp) -> Option<u64> {
    let found = stores.inbox.of_keys(PARTITION, vec![(user(number), key(name))], now).await.unwrap();
    assert_eq!(found.len(), 1);
    found[0].as_ref().map(|(offset, value)| {
        assert_eq!(*value, format!("{number}@{offset}"));
        offset.get()
    })
}

async fn a_newer_entry_takes_the_place_of_the_older_one_of_its_key_without_a_gap(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 1), keyed(1, 2, "a"), entry(1, 3), keyed(1, 4, "b")], now).await;
    park(&stores, vec![keyed(1, 7, "a")], now).await;
    let expected = [notification(1, 1), notification(1, 3), notification(1, 4), standing_for(1, 7, 1)];
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
    assert_eq!(all(&stores, 1, at(2), now).await, expected[1..]);
}

async fn entries_of_one_batch_replace_each_other(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 1, "a"), entry(1, 2), keyed(1, 3, "a"), keyed(1, 5, "a")], now).await;
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 2), standing_for(1, 5, 2)]);
}

async fn an_entry_says_how_many_it_stands_for(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    for offset in 0..17 {
        park(&stores, vec![keyed(1, offset, "joins.7")], now).await;
    }
    assert_eq!(all(&stores, 1, Position::START, now).await, [standing_for(1, 16, 16)]);
}

async fn keys_are_those_of_one_user(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 1, "a"), keyed(11, 2, "a"), keyed(1, 3, "aa")], now).await;
    park(&stores, vec![keyed(1, 4, "a")], now).await;
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 3), standing_for(1, 4, 1)]);
    assert_eq!(all(&stores, 11, Position::START, now).await, [notification(11, 2)]);
}

async fn what_is_parked_again_replaces_nothing_twice(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let batch = || vec![keyed(1, 1, "a"), entry(1, 2), keyed(1, 3, "a")];
    for _ in 0..3 {
        park(&stores, batch(), now).await;
    }
    let expected = [notification(1, 2), standing_for(1, 3, 1)];
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
    park(&stores, [batch(), vec![keyed(1, 4, "a")]].concat(), now).await;
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 2), standing_for(1, 4, 2)]);
}

async fn an_older_entry_that_comes_late_is_needless(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 9, "a"), entry(1, 10)], now).await;
    park(&stores, vec![keyed(1, 5, "a"), entry(1, 6)], now).await;
    let expected = [6, 9, 10].map(|offset| notification(1, offset));
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
}

async fn a_newer_entry_that_comes_late_stands_at_its_place(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 3, "a"), keyed(1, 9, "b")], now).await;
    park(&stores, vec![entry(1, 4), keyed(1, 5, "a"), keyed(1, 6, "a"), entry(1, 7)], now).await;
    let expected = [notification(1, 4), standing_for(1, 6, 2), notification(1, 7), notification(1, 9)];
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
    park(&stores, vec![keyed(1, 12, "b")], now).await;
    assert_eq!(all(&stores, 1, at(7), now).await, [notification(1, 7), standing_for(1, 12, 1)]);
}

async fn what_has_expired_stays_a_gap(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let soon = Some(now.after(Duration::from_secs(60)));
    park(&stores, vec![Entry { expires: soon, ..keyed(1, 2, "a") }, entry(1, 3)], now).await;
    let later = now.after(Duration::from_secs(120));
    assert_eq!(of_key(&stores, 1, "a", later).await, None);
    park(&stores, vec![keyed(1, 5, "a")], later).await;
    let items = all(&stores, 1, Position::START, later).await;
    assert!(matches!(items[0], Item::Gap { reason: GapReason::Expired, .. }), "{items:?}");
    assert_eq!(items[1..], [notification(1, 3), notification(1, 5)]);
    assert_eq!(of_key(&stores, 1, "a", later).await, Some(5));
}

async fn what_was_trimmed_is_not_replaced(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 2, "a"), keyed(1, 4, "b")], now).await;
    stores.inbox.trim(PARTITION, vec![(user(1), at(3))]).await.unwrap();
    assert_eq!((of_key(&stores, 1, "a", now).await, of_key(&stores, 1, "b", now).await), (None, Some(4)));
    park(&stores, vec![keyed(1, 6, "a")], now).await;
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 4), notification(1, 6)]);
    stores.inbox.trim(PARTITION, vec![(user(1), at(7))]).await.unwrap();
    park(&stores, vec![keyed(1, 8, "a")], now).await;
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 8)]);
}

async fn what_the_quota_took_is_not_replaced(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 1, "a")], now).await;
    park(&stores, (2..7).map(|offset| entry(1, offset)).collect(), now).await;
    assert_eq!(of_key(&stores, 1, "a", now).await, None);
    park(&stores, vec![keyed(1, 8, "a")], now).await;
    let items = all(&stores, 1, Position::START, now).await;
    assert!(matches!(items[0], Item::Gap { reason: GapReason::Quota, .. }), "{items:?}");
    assert_eq!(items[1..], [3, 4, 5, 6, 8].map(|offset| notification(1, offset)));
}

async fn what_was_replaced_counts_towards_no_quota(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, (1..5).map(|offset| entry(1, offset)).collect(), now).await;
    let large = |offset| Entry { value: vec![b'x'; 900].into(), ..keyed(1, offset, "a") };
    for offset in 5..9 {
        park(&stores, vec![large(offset), large(offset + 10)], now).await;
    }
    let items = all(&stores, 1, Position::START, now).await;
    assert_eq!(items[..4], [1, 2, 3, 4].map(|offset| notification(1, offset)));
    assert!(
        matches!(items[4], Item::Notification { offset, replaced: 4, .. } if offset == Offset::new(18)),
        "{items:?}"
    );
}

async fn the_floor_rises_when_the_oldest_is_replaced(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 2, "a"), entry(1, 4)], now).await;
    assert_eq!(park(&stores, vec![keyed(1, 6, "a")], now).await, Some(Offset::new(4)));
    stores.inbox.trim(PARTITION, vec![(user(1), at(5))]).await.unwrap();
    assert_eq!(park(&stores, vec![keyed(1, 8, "a")], now).await, Some(Offset::new(8)));
}

async fn it_is_known_what_the_next_of_a_key_would_replace(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    assert_eq!(of_key(&stores, 1, "a", now).await, None);
    park(&stores, vec![keyed(1, 2, "a"), keyed(1, 3, "b"), keyed(2, 4, "a"), keyed(1, 5, "a")], now).await;
    let keys = [(2, "a"), (1, "c"), (1, "a"), (3, "a"), (1, "b")].map(|(number, name)| (user(number), key(name)));
    let found = stores.inbox.of_keys(PARTITION, keys.into(), now).await.unwrap();
    let offsets: Vec<_> = found.iter().map(|found| found.as_ref().map(|(offset, _)| offset.get())).collect();
    assert_eq!(offsets, [Some(4), None, Some(5), None, Some(3)]);
    assert_eq!(stores.inbox.of_keys(PARTITION, Vec::new(), now).await.unwrap(), []);
}

async fn keys_outlive_the_process(mut subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![keyed(1, 2, "a"), keyed(1, 3, "a")], now).await;
    drop(stores);
    subject.reopen().await;
    let stores = subject.stores();
    assert_eq!(of_key(&stores, 1, "a", now).await, Some(3));
    park(&stores, vec![keyed(1, 4, "a")], now).await;
    assert_eq!(all(&stores, 1, Position::START, now).await, [standing_for(1, 4, 2)]);
}
