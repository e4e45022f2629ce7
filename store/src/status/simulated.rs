//! Event status in memory: kept for ever, and a claim an event.

use std::collections::BTreeMap;

use async_trait::async_trait;
use peal_proto::{EventId, Timestamp};

use super::{Claim, Origin, Status, Statuses};
use crate::StoreError;
use crate::simulated::Handle;

/// All statuses and claims.
#[derive(Default)]
pub(crate) struct Model {
    statuses: BTreeMap<EventId, Status>,
    claims: BTreeMap<EventId, Origin>,
    duplicates: BTreeMap<EventId, u64>,
}

impl Model {
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
            model.statuses.insert(status.event.clone(), status);
        })
        .await
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        self.call(|model| model.get(event)).await
    }
}
