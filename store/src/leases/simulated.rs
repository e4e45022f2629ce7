//! Leases in memory, with faults to order.

use std::time::Duration;

use async_trait::async_trait;
use peal_proto::{Partition, Timestamp};

pub(crate) use super::table::Table as Model;
use super::{Holder, Lease, Leases};
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
}
