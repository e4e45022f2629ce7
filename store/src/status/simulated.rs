//! Event status in memory: kept for ever, and a claim an event.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{EventId, Partition, Timestamp};

use super::{Change, Changes, Claim, Origin, PartKey, Status, Statuses, Watching};
use crate::StoreError;
use crate::simulated::Handle;

/// All statuses and claims.
pub(crate) struct Model {
    statuses: BTreeMap<EventId, Status>,
    claims: BTreeMap<EventId, Origin>,
    duplicates: BTreeMap<EventId, u64>,
    parts: BTreeMap<PartKey, Bytes>,
    watching: Watching,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            statuses: BTreeMap::new(),
            claims: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            parts: BTreeMap::new(),
            watching: Watching::new(),
        }
    }
}

impl Model {
    /// Those who listen stay.
    pub(crate) fn wipe(&mut self) {
        let Self { statuses, claims, duplicates, parts, watching: _ } = self;
        statuses.clear();
        claims.clear();
        duplicates.clear();
        parts.clear();
    }

    fn claim(&mut self, event: &EventId, origin: Origin) -> Claim {
        if *self.claims.entry(event.clone()).or_insert(origin) == origin {
            return Claim::Ours;
        }
        *self.duplicates.entry(event.clone()).or_default() += 1;
        Claim::Duplicate
    }

    fn release(&mut self, event: &EventId, origin: Origin) {
        if self.claims.get(event) == Some(&origin) {
            self.claims.remove(event);
        }
    }

    fn change(&mut self, changes: Vec<Change>) -> bool {
        let mut all = true;
        for Change { key, before, after } in changes {
            let now = self.parts.get(&key);
            if now == before.as_ref() {
                self.watching.changed([&key.event]);
                self.parts.insert(key, after);
            } else {
                all &= now == Some(&after);
            }
        }
        all
    }

    fn account(&self, event: &EventId) -> Option<(Status, Vec<Bytes>)> {
        let first = PartKey { event: event.clone(), partition: Partition::new(0), number: 0 };
        let parts = self.parts.range(first..).take_while(|(key, _)| key.event == *event);
        Some((self.get(event)?, parts.map(|(_, part)| part.clone()).collect()))
    }

    fn get(&self, event: &EventId) -> Option<Status> {
        let duplicates = self.duplicates.get(event).copied().unwrap_or_default();
        self.statuses.get(event).map(|status| Status { duplicates, ..status.clone() })
    }
}

#[async_trait]
impl Statuses for Handle<Model> {
    async fn accept(&self, status: Status) -> Result<(), StoreError> {
        self.call(|model| {
            model.statuses.entry(status.event.clone()).or_insert(status);
        })
        .await
    }

    async fn claim(&self, event: &EventId, origin: Origin, _: Timestamp) -> Result<Claim, StoreError> {
        self.call(|model| model.claim(event, origin)).await
    }

    async fn release(&self, event: &EventId, origin: Origin) -> Result<(), StoreError> {
        self.call(|model| model.release(event, origin)).await
    }

    async fn update(&self, status: Status) -> Result<(), StoreError> {
        self.call(|model| {
            model.watching.changed([&status.event]);
            model.statuses.insert(status.event.clone(), status);
        })
        .await
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        self.call(|model| model.get(event)).await
    }

    async fn parts(&self, keys: &[PartKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.call(|model| keys.iter().map(|key| model.parts.get(key).cloned()).collect()).await
    }

    async fn change(&self, changes: Vec<Change>) -> Result<bool, StoreError> {
        self.call(|model| model.change(changes)).await
    }

    async fn account(&self, event: &EventId) -> Result<Option<(Status, Vec<Bytes>)>, StoreError> {
        self.call(|model| model.account(event)).await
    }

    async fn watch(&self, event: &EventId) -> Result<(), StoreError> {
        self.call(|model| model.watching.watch(event)).await
    }

    fn changes(&self) -> Changes {
        self.with(|model| model.watching.changes())
    }
}
