//! Whether notifications are still parked.
//!
//! One that the inbox does not have was acknowledged, or is beyond the quota, or the inbox lost it. The last can be told from the
//! commit of its partition: while the node that reads it settles again what was lost, the commit lies below the notification,
//! and before that the inbox's marker lies below the commit's. So an inbox that was wiped cancels nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use peal_proto::name::NODES_GROUP;
use peal_proto::shard::partition_of;
use peal_proto::{Offline, Partition, Position, Settled, Timestamp, Topic};
use peal_store::inbox::{Item, PageRequest};
use peal_store::log::{Commit, Source};
use peal_store::{StoreError, Stores};

/// What the inbox says of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// It is parked.
    Parked(Bytes),
    /// It was acknowledged, or has expired, or went with the quota.
    Gone,
    /// It was lost, or is being settled again, and will be there again.
    Lost,
}

/// What the inbox says of each of these, in their order.
pub(super) async fn look(stores: &Stores, entries: &[&Offline], now: Timestamp) -> Result<Vec<Look>, StoreError> {
    let mut by_partition = BTreeMap::<Partition, Vec<usize>>::new();
    for (index, entry) in entries.iter().enumerate() {
        by_partition.entry(partition_of(entry.user.get(), stores.log.partitions())).or_default().push(index);
    }
    let mut looks = vec![Look::Gone; entries.len()];
    for (partition, indices) in by_partition {
        let of_partition: Vec<_> = indices.iter().map(|index| entries[*index]).collect();
        for (index, look) in indices.into_iter().zip(look_at(stores, partition, &of_partition, now).await?) {
            looks[index] = look;
        }
    }
    Ok(looks)
}

async fn look_at(
    stores: &Stores,
    partition: Partition,
    entries: &[&Offline],
    now: Timestamp,
) -> Result<Vec<Look>, StoreError> {
    let values = parked(stores, partition, entries, now).await?;
    let is_over = |entry: &Offline| {
        entry.expires.is_some_and(|expires| expires <= now) || entry.cursor.generation != stores.log.generation()
    };
    if values.iter().zip(entries).all(|(value, entry)| value.is_some() || is_over(entry)) {
        return Ok(values.into_iter().map(|value| value.map_or(Look::Gone, Look::Parked)).collect());
    }
    let before = commit(stores, partition).await?;
    // Once more: what the commit says is settled was parked before it, or never.
    let values = parked(stores, partition, entries, now).await?;
    let marker = stores.inbox.marker(partition).await?;
    // A node that found something lost commits that before it parks anything again.
    let is_whole = |settled: &Settled| settled.marker <= marker;
    let after = commit(stores, partition).await?;
    let settled = before.filter(|before| Some(*before) == after && is_whole(before));
    let look = |(value, entry): (Option<Bytes>, &&Offline)| match value {
        Some(value) if !is_over(entry) => Look::Parked(value),
        Some(_) => Look::Gone,
        None if is_over(entry) => Look::Gone,
        None if settled.is_some_and(|settled| settled.position.covers(entry.offset())) => Look::Gone,
        None => Look::Lost,
    };
    Ok(values.into_iter().zip(entries).map(look).collect())
}

/// What the inbox has of these.
async fn parked(
    stores: &Stores,
    partition: Partition,
    entries: &[&Offline],
    now: Timestamp,
) -> Result<Vec<Option<Bytes>>, StoreError> {
    let request = |entry: &&Offline| PageRequest {
        user: entry.user,
        from: Position::at(entry.offset()),
        entries_max: 1,
        bytes_max: 0, // at least one is given
    };
    let pages = stores.inbox.pages(partition, entries.iter().map(request).collect(), now).await?;
    let value = |(page, entry): (peal_store::inbox::Page, &&Offline)| {
        page.items.into_iter().find_map(|item| match item {
            Item::Notification { offset, value, .. } => (offset == entry.offset()).then_some(value),
            Item::Gap { .. } => None,
        })
    };
    Ok(pages.into_iter().zip(entries).map(value).collect())
}

/// How far a partition of the notifications is settled.
async fn commit(stores: &Stores, partition: Partition) -> Result<Option<Settled>, StoreError> {
    let source = Source { group: NODES_GROUP, topic: Topic::Notifications, partition };
    let Some(Commit { position, metadata }) = stores.log.committed(source).await? else { return Ok(None) };
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        store: "log",
        reason: format!("the commit of the nodes on partition {partition} can't be read: {error}"),
    };
    Settled::of(position, &metadata).map(Some).map_err(damaged)
}
