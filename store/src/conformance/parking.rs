//! What parking promises: entries in order and once, the marker, the floor, pages, trims, one user apart from another.

use peal_proto::{Offset, Partition, Position, Timestamp, UserId};

use super::{Case, Subject, cases};
use crate::Stores;
use crate::clock;
use crate::inbox::{Entry, Item, Marker, Page, PageRequest, Parked};

pub(super) const CASES: &[Case] = cases![
    parked_entries_are_given_in_the_order_of_offsets,
    parking_twice_is_harmless,
    an_entry_parked_late_stands_at_its_place,
    users_are_apart,
    partitions_are_apart,
    parked_entries_outlive_the_process,
    a_batch_leaves_the_marker_that_it_was_given,
    nothing_is_parked_when_the_marker_is_not_the_expected_one,
    the_floor_is_the_lowest_offset_still_parked,
    a_page_starts_at_its_position,
    a_page_ends_at_its_limits,
    pages_come_in_the_order_of_the_requests,
    a_trim_drops_what_is_below_its_position,
];

/// The partition that most cases use.
pub(super) const PARTITION: Partition = Partition::new(1);

/// User `number`.
pub(super) fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

/// The position at an offset.
pub(super) fn at(offset: u64) -> Position {
    Position::at(Offset::new(offset))
}

/// An entry whose value says what it is.
pub(super) fn entry(number: u64, offset: u64) -> Entry {
    let value = format!("{number}@{offset}").into();
    Entry { user: user(number), offset: Offset::new(offset), expires: None, collapse: None, value }
}

/// That entry as a page gives it.
pub(super) fn notification(number: u64, offset: u64) -> Item {
    Item::Notification { offset: Offset::new(offset), replaced: 0, value: format!("{number}@{offset}").into() }
}

/// Parks one batch whatever the marker is, and answers the floor.
pub(super) async fn park(stores: &Stores, entries: Vec<Entry>, now: Timestamp) -> Option<Offset> {
    let expected = stores.inbox.marker(PARTITION).await.unwrap();
    match stores
        .inbox
        .park(PARTITION, expected, expected.map_or(Marker::new(1), Marker::next), entries, now)
        .await
        .unwrap()
    {
        Parked::Done { floor, .. } => floor,
        Parked::Unexpected { found } => panic!("the marker moved from {expected:?} to {found:?}"),
    }
}

/// One page.
pub(super) async fn page(stores: &Stores, request: PageRequest, now: Timestamp) -> Page {
    let mut pages = stores.inbox.pages(PARTITION, vec![request], now).await.unwrap();
    assert_eq!(pages.len(), 1);
    pages.remove(0)
}

/// Everything of a user from a position on, in pages of two entries.
pub(super) async fn all(stores: &Stores, number: u64, mut from: Position, now: Timestamp) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        let request = PageRequest { user: user(number), from, entries_max: 2, bytes_max: 10_000 };
        let page = page(stores, request, now).await;
        for item in &page.items {
            let behind = match item {
                Item::Notification { offset, .. } => Position::behind(*offset),
                Item::Gap { to, .. } => *to,
            };
            assert!(behind > from, "{item:?} lies before {from}");
            from = behind;
        }
        let nothing = page.items.is_empty();
        items.extend(page.items);
        if page.end {
            return items;
        }
        assert!(!nothing, "an empty page that is not the end");
    }
}

async fn parked_entries_are_given_in_the_order_of_offsets(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 0), entry(1, 3), entry(1, 4)], now).await;
    park(&stores, vec![entry(1, 9)], now).await;
    let expected = [0, 3, 4, 9].map(|offset| notification(1, offset));
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
}

async fn parking_twice_is_harmless(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    for _ in 0..3 {
        park(&stores, vec![entry(1, 3), entry(1, 7)], now).await;
    }
    park(&stores, vec![entry(1, 3), entry(1, 7), entry(1, 8), entry(1, 9), entry(1, 11)], now).await;
    let expected = [3, 7, 8, 9, 11].map(|offset| notification(1, offset));
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
}

async fn an_entry_parked_late_stands_at_its_place(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 12)], now).await;
    assert_eq!(park(&stores, vec![entry(1, 10), entry(2, 11)], now).await, Some(Offset::new(10)));
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 10), notification(1, 12)]);
}

async fn users_are_apart(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let largest = (1 << 53) - 1;
    park(&stores, vec![entry(0, 1), entry(1, 2), entry(largest, 3), entry(1, 4)], now).await;
    stores.inbox.trim(PARTITION, vec![(user(0), at(100))]).await.unwrap();
    assert_eq!(all(&stores, 0, Position::START, now).await, []);
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 2), notification(1, 4)]);
    assert_eq!(all(&stores, largest, Position::START, now).await, [notification(largest, 3)]);
    assert_eq!(all(&stores, 7, Position::START, now).await, []);
}

async fn partitions_are_apart(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 5)], now).await;
    let other = Partition::new(2);
    assert_eq!(stores.inbox.marker(other).await.unwrap(), None);
    let parked = stores.inbox.park(other, None, Marker::new(1), vec![entry(2, 8)], now).await.unwrap();
    assert_eq!(parked, Parked::Done { marker: Marker::new(1), floor: Some(Offset::new(8)) });
    assert_eq!(stores.inbox.trim(PARTITION, vec![(user(1), at(6))]).await.unwrap(), None);
    assert_eq!(stores.inbox.trim(other, Vec::new()).await.unwrap(), Some(Offset::new(8)));
}

async fn parked_entries_outlive_the_process(mut subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 3), entry(2, 4)], now).await;
    park(&stores, vec![entry(1, 5)], now).await;
    drop(stores);
    subject.reopen().await;
    let stores = subject.stores();
    assert_eq!(stores.inbox.marker(PARTITION).await.unwrap(), Some(Marker::new(2)));
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 3), notification(1, 5)]);
    assert_eq!(park(&stores, vec![entry(3, 9)], now).await, Some(Offset::new(3)));
}

async fn a_batch_leaves_the_marker_that_it_was_given(subject: Subject) {
    let (inbox, now) = (subject.stores().inbox, clock::now());
    assert_eq!(inbox.marker(PARTITION).await.unwrap(), None);
    let mut expected = None;
    for batch in 1..5 {
        let parked =
            inbox.park(PARTITION, expected, Marker::new(10 * batch), vec![entry(1, batch)], now).await.unwrap();
        assert_eq!(parked, Parked::Done { marker: Marker::new(10 * batch), floor: Some(Offset::new(1)) });
        expected = Some(Marker::new(10 * batch));
        assert_eq!(inbox.marker(PARTITION).await.unwrap(), expected);
    }
}

async fn nothing_is_parked_when_the_marker_is_not_the_expected_one(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let missing =
        stores.inbox.park(PARTITION, Some(Marker::new(3)), Marker::new(4), vec![entry(1, 1)], now).await.unwrap();
    assert_eq!(missing, Parked::Unexpected { found: None });
    assert_eq!(all(&stores, 1, Position::START, now).await, []);
    for offset in [5, 6, 7] {
        park(&stores, vec![entry(1, offset)], now).await;
    }
    let found = Parked::Unexpected { found: Some(Marker::new(3)) };
    for expected in [None, Some(Marker::new(2)), Some(Marker::new(4))] {
        assert_eq!(
            stores.inbox.park(PARTITION, expected, Marker::new(9), vec![entry(1, 8)], now).await.unwrap(),
            found
        );
    }
    let expected = [5, 6, 7].map(|offset| notification(1, offset));
    assert_eq!(all(&stores, 1, Position::START, now).await, expected);
    assert_eq!(stores.inbox.marker(PARTITION).await.unwrap(), Some(Marker::new(3)));
}

async fn the_floor_is_the_lowest_offset_still_parked(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let trim = |number, below| stores.inbox.trim(PARTITION, vec![(user(number), at(below))]);
    assert_eq!(stores.inbox.trim(PARTITION, Vec::new()).await.unwrap(), None);
    assert_eq!(park(&stores, vec![entry(1, 10), entry(2, 11), entry(1, 12)], now).await, Some(Offset::new(10)));
    assert_eq!(park(&stores, vec![entry(3, 13)], now).await, Some(Offset::new(10)));
    assert_eq!(trim(1, 11).await.unwrap(), Some(Offset::new(11)));
    assert_eq!(trim(2, 100).await.unwrap(), Some(Offset::new(12)));
    assert_eq!(trim(4, 100).await.unwrap(), Some(Offset::new(12)));
    assert_eq!(trim(1, 13).await.unwrap(), Some(Offset::new(13)));
    assert_eq!(trim(3, 14).await.unwrap(), None);
    assert_eq!(park(&stores, vec![entry(1, 20)], now).await, Some(Offset::new(20)));
}

async fn a_page_starts_at_its_position(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 2), entry(1, 4), entry(1, 6)], now).await;
    for (from, offsets) in [(0, &[2, 4, 6][..]), (2, &[2, 4, 6]), (3, &[4, 6]), (5, &[6]), (7, &[])] {
        let expected: Vec<_> = offsets.iter().map(|offset| notification(1, *offset)).collect();
        assert_eq!(all(&stores, 1, at(from), now).await, expected, "from {from}");
    }
}

async fn a_page_ends_at_its_limits(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    let large = |offset| Entry { value: vec![0; 100].into(), ..entry(1, offset) };
    park(&stores, (0..5).map(large).collect(), now).await;
    let request = PageRequest { user: user(1), from: at(0), entries_max: 3, bytes_max: 10_000 };
    let three = page(&stores, request, now).await;
    assert_eq!((three.items.len(), three.end), (3, false));
    let two = page(&stores, PageRequest { from: at(3), ..request }, now).await;
    assert_eq!((two.items.len(), two.end), (2, true));
    for (bytes_max, entries) in [(10, 1), (150, 2), (250, 3)] {
        let cut = page(&stores, PageRequest { bytes_max, entries_max: 100, ..request }, now).await;
        assert_eq!((cut.items.len(), cut.end), (entries, false), "{bytes_max} bytes");
    }
    let rest = page(&stores, PageRequest { entries_max: 100, ..request }, now).await;
    assert_eq!((rest.items.len(), rest.end), (5, true));
}

async fn pages_come_in_the_order_of_the_requests(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 1), entry(2, 2), entry(2, 3)], now).await;
    let request = |number| PageRequest { user: user(number), from: at(0), entries_max: 10, bytes_max: 10_000 };
    let requests = vec![request(2), request(3), request(1), request(2)];
    let pages = stores.inbox.pages(PARTITION, requests, now).await.unwrap();
    let counts: Vec<_> = pages.iter().map(|page| page.items.len()).collect();
    assert_eq!(counts, [2, 0, 1, 2]);
    assert!(pages.iter().all(|page| page.end));
    assert_eq!(stores.inbox.pages(PARTITION, Vec::new(), now).await.unwrap(), []);
}

async fn a_trim_drops_what_is_below_its_position(subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    park(&stores, vec![entry(1, 2), entry(1, 4), entry(2, 5)], now).await;
    stores.inbox.trim(PARTITION, vec![(user(1), at(4)), (user(2), at(5))]).await.unwrap();
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 4)]);
    assert_eq!(all(&stores, 2, Position::START, now).await, [notification(2, 5)]);
    stores.inbox.trim(PARTITION, vec![(user(1), at(1)), (user(2), at(6))]).await.unwrap();
    assert_eq!(all(&stores, 1, Position::START, now).await, [notification(1, 4)]);
    assert_eq!(all(&stores, 2, Position::START, now).await, []);
}
