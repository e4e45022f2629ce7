//! Leases in memory, of processes that share it: what holds them up is gone when it is.

use std::collections::BTreeMap;
use std::time::Duration;

use peal_proto::{NodeId, Partition, Timestamp};

use super::{Holder, Lease, Seat};

/// Who holds what, and until when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    partitions: BTreeMap<Partition, (Holder, Timestamp)>,
    seats: BTreeMap<NodeId, (Seat, Timestamp)>,
    /// Who else wants a seat.
    rivals: BTreeMap<NodeId, (Holder, Timestamp)>,
}

impl Table {
    pub(crate) fn claim(
        &mut self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Vec<Lease> {
        let claim = |partition: &Partition| match self.partitions.get(partition) {
            Some((by, until)) if by != holder && *until > now => Lease::Taken { by: by.clone() },
            Some(_) | None => {
                self.partitions.insert(*partition, (holder.clone(), now.after(term)));
                Lease::Held
            }
        };
        partitions.iter().map(claim).collect()
    }

    pub(crate) fn release(&mut self, holder: &Holder, partitions: &[Partition]) {
        self.partitions.retain(|partition, (by, _)| by != holder || !partitions.contains(partition));
    }

    pub(crate) fn holders(&self, partitions: &[Partition], now: Timestamp) -> Vec<Option<Holder>> {
        let held = |partition| self.partitions.get(partition).filter(|(_, until)| *until > now);
        partitions.iter().map(|partition| held(partition).map(|(by, _)| by.clone())).collect()
    }

    pub(crate) fn sit(&mut self, seat: &Seat, term: Duration, now: Timestamp) -> Lease {
        match self.seats.get(&seat.node) {
            Some((by, until)) if by.holder != seat.holder && *until > now => {
                self.rivals.insert(seat.node, (seat.holder.clone(), now.after(term)));
                Lease::Taken { by: by.holder.clone() }
            }
            Some(_) | None => {
                self.seats.insert(seat.node, (seat.clone(), now.after(term)));
                Lease::Held
            }
        }
    }

    pub(crate) fn rise(&mut self, holder: &Holder, node: NodeId) {
        self.seats.retain(|sits, (by, _)| *sits != node || by.holder != *holder);
    }

    pub(crate) fn seats(&self, now: Timestamp) -> Vec<Seat> {
        let rival = |node| self.rivals.get(node).filter(|(_, until)| *until > now).map(|(rival, _)| rival.clone());
        let counts = self.seats.iter().filter(|(_, (_, until))| *until > now);
        counts.map(|(node, (seat, _))| seat.clone().wanted_by(rival(node))).collect()
    }
}
