//! The inbox in the embedded database: entries by user, a summary of each user, and users by their oldest entry.

mod shelf;

use std::collections::{BTreeMap, btree_map};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{CollapseKey, Offset, Partition, Position, Timestamp, UserId};

use self::shelf::Shelf;
use super::{Entry, Inbox, Item, Marker, Page, PageRequest, Parked, Retention};
use crate::StoreError;
use crate::embedded::schema::{self, Collapsed, Kept, Summary};
use crate::embedded::{Durability, Engine, Fault, Stage, Table, View};

/// What is parked at once.
struct Batch {
    partition: Partition,
    expected: Option<Marker>,
    next: Marker,
    entries: Vec<Entry>,
}

/// The inbox of an open directory.
pub(crate) struct EmbeddedInbox {
    engine: Engine,
    retention: Retention,
}

impl EmbeddedInbox {
    pub(crate) fn new(engine: Engine, retention: Retention) -> Self {
        Self { engine, retention }
    }
}

fn park(stage: &mut Stage<'_>, batch: Batch, retention: Retention, now: Timestamp) -> Result<Parked, Fault> {
    let Batch { partition, expected, next, entries } = batch;
    let stored = stage.get(Table::Inbox, &schema::marker_key(partition))?;
    let found = decode_marker(stored)?;
    if found != expected {
        return Ok(Parked::Unexpected { found });
    }
    let mut shelves: BTreeMap<UserId, Shelf> = BTreeMap::new();
    for Entry { user, offset, expires, collapse, value } in entries {
        let shelf = match shelves.entry(user) {
            btree_map::Entry::Occupied(shelf) => shelf.into_mut(),
            btree_map::Entry::Vacant(place) => place.insert(Shelf::open(stage, partition, user)?),
        };
        let until = now.after(retention.ttl);
        let until = expires.map_or(until, |expires| expires.min(until));
        let collapsed = match collapse {
            None => None,
            Some(key) => match shelf.replace(stage, offset, &key, now)? {
                Some(replaced) => Some(Collapsed { key, replaced }),
                None => continue,
            },
        };
        shelf.park(stage, offset, Kept::Entry { until, collapsed, value })?;
    }
    for (_, mut shelf) in shelves {
        shelf.enforce(stage, retention, now)?;
        shelf.save(stage);
    }
    stage.put(Table::Inbox, schema::marker_key(partition), schema::encode_number(next.get()));
    Ok(Parked::Done { marker: next, floor: floor(stage, partition)? })
}

fn decode_marker(stored: Option<Bytes>) -> Result<Option<Marker>, Fault> {
    Ok(stored.map(|stored| schema::decode_number(&stored)).transpose()?.map(Marker::new))
}

fn trim(stage: &mut Stage<'_>, partition: Partition, trims: Vec<(UserId, Position)>) -> Result<Option<Offset>, Fault> {
    for (user, below) in trims {
        let mut shelf = Shelf::open(stage, partition, user)?;
        shelf.trim(stage, below)?;
        shelf.save(stage);
    }
    floor(stage, partition)
}

/// Turns a user's expired entries into losses; what a page shows does not change.
pub(crate) fn expire(stage: &mut Stage<'_>, partition: Partition, user: UserId, now: Timestamp) -> Result<(), Fault> {
    let mut shelf = Shelf::open(stage, partition, user)?;
    shelf.expire(stage, now)?;
    shelf.save(stage);
    Ok(())
}

/// The lowest offset parked for anybody.
fn floor(stage: &mut Stage<'_>, partition: Partition) -> Result<Option<Offset>, Fault> {
    let range = schema::floors(partition, stage.memory.floor(partition));
    let first = stage.range(Table::Inbox, range, 1)?;
    let floor = first.first().map(|(key, _)| schema::floor_of(key)).transpose()?;
    stage.memory.set_floor(partition, floor.unwrap_or(Offset::new(u64::MAX)));
    Ok(floor)
}

/// The entry of a key that has not expired.
fn of_key(
    view: &View<'_>,
    partition: Partition,
    (user, key): &(UserId, CollapseKey),
    now: Timestamp,
) -> Result<Option<(Offset, Bytes)>, Fault> {
    let Some(stored) = view.get(Table::Inbox, &schema::collapse_key(partition, *user, key))? else { return Ok(None) };
    let offset = Offset::new(schema::decode_number(&stored)?);
    let stored = view.get(Table::Inbox, &schema::entry_key(partition, *user, offset))?;
    Ok(match stored.map(Kept::decode).transpose()?.map(|kept| kept.at(now)) {
        Some(Kept::Entry { value, .. }) => Some((offset, value)),
        Some(Kept::Lost(_)) | None => None,
    })
}

fn page(view: &View<'_>, partition: Partition, request: PageRequest, now: Timestamp) -> Result<Page, Fault> {
    let PageRequest { user, from, entries_max, bytes_max } = request;
    let mut items = Vec::new();
    let Some(summary) = view.get(Table::Inbox, &schema::summary_key(partition, user))? else {
        return Ok(Page { items, end: true });
    };
    let first = Position::at(Offset::new(Summary::decode(&summary)?.first)); // below lies only what was trimmed
    let (mut entries, mut bytes) = (0, 0);
    for pair in view.range(Table::Inbox, schema::entries(partition, user, from.max(first))) {
        if entries >= entries_max.max(1) || bytes > bytes_max {
            return Ok(Page { items, end: false });
        }
        let (key, value) = pair?;
        let offset = schema::offset_of(&key)?;
        match Kept::decode(value)?.at(now) {
            Kept::Entry { value, collapsed, .. } => {
                (entries, bytes) = (entries + 1, bytes + value.len());
                let replaced = collapsed.map_or(0, |collapsed| collapsed.replaced);
                items.push(Item::Notification { offset, replaced, value });
            }
            Kept::Lost(reason) => {
                items.pop_if(|item| matches!(item, Item::Gap { reason: before, .. } if *before == reason));
                items.push(Item::Gap { to: Position::behind(offset), reason });
            }
        }
    }
    Ok(Page { items, end: true })
}

#[async_trait]
impl Inbox for EmbeddedInbox {
    fn ttl(&self) -> Duration {
        self.retention.ttl
    }

    async fn park(
        &self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Parked, StoreError> {
        let bytes = entries.iter().map(|entry| entry.value.len()).sum();
        let retention = self.retention;
        let batch = Batch { partition, expected, next, entries };
        self.engine.run(Durability::Synced, bytes, move |stage| park(stage, batch, retention, now)).await
    }

    async fn of_keys(
        &self,
        partition: Partition,
        keys: Vec<(UserId, CollapseKey)>,
        now: Timestamp,
    ) -> Result<Vec<Option<(Offset, Bytes)>>, StoreError> {
        let look = move |view: &View<'_>| keys.iter().map(|key| of_key(view, partition, key, now)).collect();
        self.engine.look(look).await
    }

    async fn pages(
        &self,
        partition: Partition,
        requests: Vec<PageRequest>,
        now: Timestamp,
    ) -> Result<Vec<Page>, StoreError> {
        let pages =
            move |view: &View<'_>| requests.into_iter().map(|request| page(view, partition, request, now)).collect();
        self.engine.look(pages).await
    }

    async fn trim(&self, partition: Partition, trims: Vec<(UserId, Position)>) -> Result<Option<Offset>, StoreError> {
        self.engine.run(Durability::Riding, 0, move |stage| trim(stage, partition, trims)).await
    }

    async fn marker(&self, partition: Partition) -> Result<Option<Marker>, StoreError> {
        let key = schema::marker_key(partition);
        self.engine.look(move |view| decode_marker(view.get(Table::Inbox, &key)?)).await
    }
}
