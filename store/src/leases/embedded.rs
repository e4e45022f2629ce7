//! Leases of an open data directory: in memory, because a directory is of one process, and its leases end with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::{Partition, Timestamp};

use super::table::Table;
use super::{Holder, Lease, Leases};
use crate::StoreError;

/// The leases between the nodes of one process.
#[derive(Default)]
pub(crate) struct EmbeddedLeases(Mutex<Table>);

#[async_trait]
impl Leases for EmbeddedLeases {
    async fn claim(
        &self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).claim(holder, partitions, term, now))
    }

    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).release(holder, partitions);
        Ok(())
    }
}
