//! The inbox in memory: what is parked and what was lost, entry by entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::frame::GapReason;
use peal_proto::{CollapseKey, Offset, Partition, Position, Timestamp, UserId};

use super::{Entry, Inbox, Item, Marker, Page, PageRequest, Parked, Retention};
use crate::StoreError;
use crate::simulated::Handle;

/// All partitions.
#[derive(Clone)]
pub(crate) struct Model {
    retention: Retention,
    partitions: BTreeMap<Partition, PartitionInbox>,
}

#[derive(Clone, Default)]
struct PartitionInbox {
    marker: Option<Marker>,
    users: BTreeMap<UserId, UserInbox>,
}

#[derive(Clone, Default)]
struct UserInbox {
    kept: BTreeMap<Offset, Kept>,
    lost: BTreeMap<Offset, GapReason>,
}

#[derive(Clone)]
struct Kept {
    value: Bytes,
    until: Timestamp,
    collapse: Option<CollapseKey>,
    replaced: u32,
}

impl Model {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { retention, partitions: BTreeMap::new() }
    }

    pub(crate) fn wipe(&mut self) {
        self.partitions.clear();
    }

    fn park(
        &mut self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Parked {
        let retention = self.retention;
        let inbox = self.partitions.entry(partition).or_default();
        if inbox.marker != expected {
            return Parked::Unexpected { found: inbox.marker };
        }
        let users: BTreeSet<_> = entries.iter().map(|entry| entry.user).collect();
        for entry in entries {
            let user = inbox.users.entry(entry.user).or_default();
            user.expire(now);
            user.park(entry, now.after(retention.ttl));
        }
        for user in users {
            inbox.users.entry(user).or_default().enforce(retention, now);
        }
        inbox.marker = Some(next);
        Parked::Done { marker: next, floor: inbox.floor() }
    }

    fn of_keys(
        &mut self,
        partition: Partition,
        keys: &[(UserId, CollapseKey)],
        now: Timestamp,
    ) -> Vec<Option<(Offset, Bytes)>> {
        let inbox = self.partitions.entry(partition).or_default();
        let of_key = |(user, key): &(UserId, CollapseKey)| {
            let user = inbox.users.entry(*user).or_default();
            user.expire(now);
            let offset = user.of_key(key)?;
            Some((offset, user.kept.get(&offset)?.value.clone()))
        };
        keys.iter().map(of_key).collect()
    }

    fn pages(&mut self, partition: Partition, requests: &[PageRequest], now: Timestamp) -> Vec<Page> {
        let inbox = self.partitions.entry(partition).or_default();
        let page = |request: &PageRequest| {
            let user = inbox.users.entry(request.user).or_default();
            user.expire(now);
            user.page(request)
        };
        requests.iter().map(page).collect()
    }

    fn trim(&mut self, partition: Partition, trims: Vec<(UserId, Position)>) -> Option<Offset> {
        let inbox = self.partitions.entry(partition).or_default();
        for (user, below) in trims {
            let user = inbox.users.entry(user).or_default();
            user.kept.retain(|offset, _| !below.covers(*offset));
            user.lost.retain(|offset, _| !below.covers(*offset));
        }
        inbox.floor()
    }
}

impl PartitionInbox {
    fn floor(&self) -> Option<Offset> {
        self.users.values().filter_map(|user| user.kept.keys().next()).min().copied()
    }
}

impl UserInbox {
    fn park(&mut self, entry: Entry, until: Timestamp) {
        let Entry { user: _, offset, expires, collapse, value } = entry;
        let until = expires.map_or(until, |expires| expires.min(until));
        let mut replaced = 0;
        if let Some(other) = collapse.as_ref().and_then(|key| self.of_key(key)) {
            if other >= offset {
                return;
            }
            replaced = self.kept.remove(&other).map_or(0, |other| other.replaced + 1);
        }
        self.lost.remove(&offset);
        self.kept.entry(offset).or_insert(Kept { value, until, collapse, replaced });
    }

    fn of_key(&self, key: &CollapseKey) -> Option<Offset> {
        self.kept.iter().find(|(_, kept)| kept.collapse.as_ref() == Some(key)).map(|(offset, _)| *offset)
    }

    fn enforce(&mut self, retention: Retention, now: Timestamp) {
        self.expire(now);
        while self.kept.len() > retention.notifications_max as usize || self.bytes() > retention.bytes_max {
            let Some((oldest, _)) = self.kept.pop_first() else { return };
            self.lost.insert(oldest, GapReason::Quota);
        }
    }

    fn expire(&mut self, now: Timestamp) {
        let expired: Vec<_> = self.kept.extract_if(.., |_, kept| kept.until <= now).collect();
        self.lost.extend(expired.into_iter().map(|(offset, _)| (offset, GapReason::Expired)));
    }

    fn bytes(&self) -> u64 {
        self.kept.values().map(|kept| kept.value.len() as u64).sum()
    }

    fn page(&self, request: &PageRequest) -> Page {
        let mut items = Vec::new();
        let (mut entries, mut bytes) = (0, 0);
        let offsets: BTreeSet<_> = self.kept.keys().chain(self.lost.keys()).copied().collect();
        for offset in offsets.range(request.from.next()..) {
            if entries >= request.entries_max.max(1) || bytes > request.bytes_max {
                return Page { items, end: false };
            }
            if let Some(Kept { value, replaced, .. }) = self.kept.get(offset) {
                items.push(Item::Notification { offset: *offset, replaced: *replaced, value: value.clone() });
                (entries, bytes) = (entries + 1, bytes + value.len());
            } else if let Some(reason) = self.lost.get(offset) {
                items.pop_if(|item| matches!(item, Item::Gap { reason: before, .. } if before == reason));
                items.push(Item::Gap { to: Position::behind(*offset), reason: *reason });
            }
        }
        Page { items, end: true }
    }
}

#[async_trait]
impl Inbox for Handle<Model> {
    fn ttl(&self) -> Duration {
        self.with(|model| model.retention.ttl)
    }

    async fn park(
        &self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Parked, StoreError> {
        self.call(|model| model.park(partition, expected, next, entries, now)).await
    }

    async fn of_keys(
        &self,
        partition: Partition,
        keys: Vec<(UserId, CollapseKey)>,
        now: Timestamp,
    ) -> Result<Vec<Option<(Offset, Bytes)>>, StoreError> {
        self.call(|model| model.of_keys(partition, &keys, now)).await
    }

    async fn pages(
        &self,
        partition: Partition,
        requests: Vec<PageRequest>,
        now: Timestamp,
    ) -> Result<Vec<Page>, StoreError> {
        self.call(|model| model.pages(partition, &requests, now)).await
    }

    async fn trim(&self, partition: Partition, trims: Vec<(UserId, Position)>) -> Result<Option<Offset>, StoreError> {
        self.call(|model| model.trim(partition, trims)).await
    }

    async fn marker(&self, partition: Partition) -> Result<Option<Marker>, StoreError> {
        self.call(|model| model.partitions.get(&partition).and_then(|inbox| inbox.marker)).await
    }
}
