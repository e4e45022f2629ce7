//! What a partition writes down: receipts, of what is about to be trimmed from the inbox or was replaced in it too, and who is away;
//! and their records in the log.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use peal_proto::{CollapseKey, Fate, Offline, Offset, Partition, Position, Receipt, Run, Timestamp, UserId};
use peal_store::inbox::{Entry, Item, PageRequest};
use peal_store::log::{Headers, NewRecord};
use peal_store::{Inbox, Log, StoreError};

use super::notification::event_of;
use crate::limits::{RECEIPT_RUNS_MAX, REPLAYED_PAGE_BYTES_MAX, REPLAYED_PAGE_ENTRIES_MAX, REPLAYED_PAGES_MAX};

/// Receipts of a partition as they stand in the log.
pub(super) fn records(log: &dyn Log, partition: Partition, receipts: Vec<Receipt>) -> Vec<NewRecord> {
    let (home, key) = (Receipt::partition(partition, log.partitions()), u64::from(partition.get()));
    let record = |receipt: Receipt| NewRecord {
        partition: home,
        key,
        headers: Headers::default(),
        value: receipt.to_json().into(),
    };
    receipts.into_iter().map(record).collect()
}

/// Those who are away as they stand in the log.
pub(super) fn entries(log: &dyn Log, offline: Vec<Offline>) -> Vec<NewRecord> {
    let record = |entry: Offline| NewRecord {
        partition: Offline::partition(entry.user, log.partitions()),
        key: entry.user.get(),
        headers: Headers::default(),
        value: entry.to_json().into(),
    };
    offline.into_iter().map(record).collect()
}

/// What these users' inboxes hold below the positions, as it is delivered now.
pub(super) async fn replayed(
    inbox: &dyn Inbox,
    partition: Partition,
    trims: &[(UserId, Position)],
    now: Timestamp,
) -> Result<Vec<Receipt>, StoreError> {
    let mut runs = Vec::new();
    let mut ahead: VecDeque<_> = trims.iter().map(|(user, upto)| (*user, Position::START, *upto)).collect();
    while !ahead.is_empty() {
        let looked: Vec<_> = ahead.drain(..ahead.len().min(REPLAYED_PAGES_MAX)).collect();
        let requests = looked.iter().map(|(user, from, _)| request(*user, *from)).collect();
        let pages = inbox.pages(partition, requests, now).await?;
        for ((user, from, upto), page) in looked.into_iter().zip(pages) {
            let mut reached = from;
            for item in page.items {
                match item {
                    Item::Notification { offset, value, .. } => {
                        reached = Position::behind(offset);
                        if upto.covers(offset)
                            && let Some(event) = event_of(&value)
                        {
                            runs.push(Run::of(event, offset, Fate::Delivered));
                        }
                    }
                    Item::Gap { to, .. } => reached = to,
                }
            }
            if !page.end && from < reached && reached < upto {
                ahead.push_back((user, reached, upto));
            }
        }
    }
    Ok(receipts(&runs))
}

/// What newer ones of the same collapse key replace once these entries are parked, in the inbox and among themselves.
pub(super) async fn replaced(
    inbox: &dyn Inbox,
    partition: Partition,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Vec<Receipt>, StoreError> {
    let mut by_key: BTreeMap<(UserId, CollapseKey), BTreeMap<Offset, Bytes>> = BTreeMap::new();
    for Entry { user, offset, collapse, value, .. } in entries {
        if let Some(key) = collapse {
            by_key.entry((*user, key.clone())).or_default().insert(*offset, value.clone());
        }
    }
    if by_key.is_empty() {
        return Ok(Vec::new());
    }
    let parked = inbox.of_keys(partition, by_key.keys().cloned().collect(), now).await?;
    let mut runs = Vec::new();
    for (mut of_key, parked) in by_key.into_values().zip(parked) {
        of_key.extend(parked);
        of_key.pop_last(); // which stays
        let run = |(offset, value): (Offset, Bytes)| Some(Run::of(event_of(&value)?, offset, Fate::Replaced));
        runs.extend(of_key.into_iter().filter_map(run));
    }
    Ok(receipts(&runs))
}

fn receipts(runs: &[Run]) -> Vec<Receipt> {
    runs.chunks(RECEIPT_RUNS_MAX).map(|runs| Receipt::Replayed { runs: runs.to_vec() }).collect()
}

fn request(user: UserId, from: Position) -> PageRequest {
    PageRequest { user, from, entries_max: REPLAYED_PAGE_ENTRIES_MAX, bytes_max: REPLAYED_PAGE_BYTES_MAX }
}
