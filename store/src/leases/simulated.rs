//! Leases in memory, with faults to order.

use std::time::Duration;

use async_trait::async_trait;
use peal_proto::{NodeId, Partition, Timestamp};

pub(crate) use super::table::Table as Model;
use super::{Holder, Lease, Leases, Seat};
use crate::StoreError;
use crate::simulated::Handle;

#[async_trait]
impl Leases for Handle<Model> {
    async fn claim(
        &self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        self.call(|model| model.claim(holder, partitions, term, now)).await
    }

    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError> {
        self.call(|model| model.release(holder, partitions)).await
    }

    async fn holders(&self, partitions: &[Partition], now: Timestamp) -> Result<Vec<Option<Holder>>, StoreError> {
        self.call(|model| model.holders(partitions, now)).await
    }

    async fn sit(&self, seat: &Seat, term: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        self.call(|model| model.sit(seat, term, now)).await
    }

    async fn rise(&self, holder: &Holder, node: NodeId) -> Result<(), StoreError> {
        self.call(|model| model.rise(holder, node)).await
    }

    async fn seats(&self, now: Timestamp) -> Result<Vec<Seat>, StoreError> {
        self.call(|model| model.seats(now)).await
    }
}
