//! Leases in memory, of processes that share it: what holds them up is gone when it is.

use std::collections::BTreeMap;
use std::time::Duration;

use peal_proto::{Partition, Timestamp};

use super::{Holder, Lease};

/// Who holds what, and until when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table(BTreeMap<Partition, (Holder, Timestamp)>);

impl Table {
    pub(crate) fn claim(
        &mut self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Vec<Lease> {
        let claim = |partition: &Partition| match self.0.get(partition) {
            Some((by, until)) if by != holder && *until > now => Lease::Taken { by: by.clone() },
            Some(_) | None => {
                self.0.insert(*partition, (holder.clone(), now.after(term)));
                Lease::Held
            }
        };
        partitions.iter().map(claim).collect()
    }

    pub(crate) fn release(&mut self, holder: &Holder, partitions: &[Partition]) {
        self.0.retain(|partition, (by, _)| by != holder || !partitions.contains(partition));
    }
}
