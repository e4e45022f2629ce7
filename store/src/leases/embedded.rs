//! Leases of an open data directory: in memory, because a directory is of one process, and its leases end with it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::{NodeId, Partition, Timestamp};

use super::table::Table;
use super::{Holder, Lease, Leases, Seat};
use crate::StoreError;

/// The leases between the nodes of one process.
#[derive(Default)]
pub(crate) struct EmbeddedLeases(Mutex<Table>);

impl EmbeddedLeases {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Leases for EmbeddedLeases {
    async fn claim(
        &self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        Ok(self.table().claim(holder, partitions, term, now))
    }

    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError> {
        self.table().release(holder, partitions);
        Ok(())
    }

    async fn holders(&self, partitions: &[Partition], now: Timestamp) -> Result<Vec<Option<Holder>>, StoreError> {
        Ok(self.table().holders(partitions, now))
    }

    async fn sit(&self, seat: &Seat, term: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        Ok(self.table().sit(seat, term, now))
    }

    async fn rise(&self, holder: &Holder, node: NodeId) -> Result<(), StoreError> {
        self.table().rise(holder, node);
        Ok(())
    }

    async fn seats(&self, now: Timestamp) -> Result<Vec<Seat>, StoreError> {
        Ok(self.table().seats(now))
    }
}
