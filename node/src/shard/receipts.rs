//! Receipts as they are written: what is about to be trimmed from the inbox, and the record in the log.

use std::collections::VecDeque;

use peal_proto::{Fate, Partition, Position, Receipt, Run, Timestamp, UserId};
use peal_store::inbox::{Item, PageRequest};
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
                    Item::Notification { offset, value } => {
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
    let receipts = runs.chunks(RECEIPT_RUNS_MAX).map(|runs| Receipt::Replayed { runs: runs.to_vec() });
    Ok(receipts.collect())
}

fn request(user: UserId, from: Position) -> PageRequest {
    PageRequest { user, from, entries_max: REPLAYED_PAGE_ENTRIES_MAX, bytes_max: REPLAYED_PAGE_BYTES_MAX }
}
