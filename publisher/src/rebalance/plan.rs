//! Which partitions move next. Pure: a map, who is there and who reads what go in, the next map comes out.
//!
//! A partition belongs where the map's rule says, or with another node while that one is leaving. It is moved to nobody who is not
//! there; and while a few are under way, because their new owners do not read them yet, no more are.

use std::collections::{BTreeMap, BTreeSet};

use peal_proto::{NodeId, Partition, ShardMap};
use peal_store::leases::{Holder, Seat};

use crate::limits::{WAVE_INTERVAL, WAVE_SHARE};

/// A partition that is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) partition: Partition,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

/// What there is to decide from.
pub(super) struct Scene<'s> {
    map: &'s ShardMap,
    seats: BTreeMap<NodeId, &'s Seat>,
    /// By partition.
    holders: &'s [Option<Holder>],
}

impl<'s> Scene<'s> {
    pub(super) fn new(map: &'s ShardMap, seats: &'s [Seat], holders: &'s [Option<Holder>]) -> Self {
        Self { map, seats: seats.iter().map(|seat| (seat.node, seat)).collect(), holders }
    }

    /// Whether there is nothing to do, whoever reads what.
    pub(super) fn is_settled(&self) -> bool {
        self.moves().is_empty() && self.urls().is_none()
    }

    /// The next map, if it is time for one.
    pub(super) fn next(&self) -> Option<ShardMap> {
        if let Some(urls) = self.urls() {
            return self.map.at(urls).ok();
        }
        let wave: Vec<_> = self.wave().into_iter().map(|one| (one.partition, one.to)).collect();
        if wave.is_empty() { None } else { self.map.moving(wave).ok() }
    }

    /// The nodes that a number of nodes has and that are not there.
    pub(super) fn missing(&self) -> Vec<NodeId> {
        (0..self.map.nodes()).map(NodeId::new).filter(|node| !self.seats.contains_key(node)).collect()
    }

    /// Nodes that say to be where another one is as well. Where clients are sent then, only one of them can be.
    pub(super) fn ambiguous(&self) -> Vec<NodeId> {
        let is_elsewhere =
            |seat: &&Seat| self.seats.values().any(|other| other.node < seat.node && other.url == seat.url);
        self.seats.values().copied().filter(is_elsewhere).map(|seat| seat.node).collect()
    }

    /// Partitions whose owner is there and does not read them yet.
    pub(super) fn under_way(&self) -> Vec<Partition> {
        let owners = self.map.owners().zip(self.holders);
        let is_read = |node: NodeId, holder: &Option<Holder>| {
            self.seats.get(&node).is_none_or(|seat| holder.as_ref() == Some(&seat.holder))
        };
        owners.filter(|((_, node), holder)| !is_read(*node, holder)).map(|((partition, _), _)| partition).collect()
    }

    /// Every partition that is not where it belongs, ascending.
    pub(super) fn moves(&self) -> Vec<Move> {
        let helpers: Vec<_> = (0..self.map.nodes()).map(NodeId::new).filter(|node| self.is_usable(*node)).collect();
        let to = |(partition, from)| Move { partition, from, to: self.belongs(partition, from, &helpers) };
        self.map.owners().map(to).filter(|one| one.from != one.to).collect()
    }

    fn belongs(&self, partition: Partition, now: NodeId, helpers: &[NodeId]) -> NodeId {
        let rule = self.map.rule(partition);
        if self.is_usable(rule) {
            return rule;
        }
        if !self.is_leaving(now) || helpers.is_empty() {
            return now;
        }
        helpers[(partition.get() / self.map.nodes()) as usize % helpers.len()]
    }

    /// As many as there is room for beside those under way; of a node that is leaving as many as it wants to give at a time.
    fn wave(&self) -> Vec<Move> {
        let room = self.wave_max().saturating_sub(self.under_way().len());
        let mut given: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut wave = self.moves();
        wave.retain(|one| {
            let given = given.entry(one.from).or_default();
            *given += 1;
            *given <= self.at_a_time(one.from)
        });
        wave.truncate(room);
        wave
    }

    /// Partitions that may be under way at a time: a share of all, but for a node that has less time than that takes.
    fn wave_max(&self) -> usize {
        let in_haste = self.seats.keys().map(|node| self.at_a_time(*node)).max();
        self.calm().max(in_haste.unwrap_or(0))
    }

    fn at_a_time(&self, node: NodeId) -> usize {
        let spread_ms = self.seats.get(&node).and_then(|seat| seat.leaving_ms);
        let Some(spread_ms) = spread_ms else { return self.calm() };
        let waves = u128::from(spread_ms) / WAVE_INTERVAL.as_millis();
        let share = u128::from(self.map.partitions().div_ceil(self.map.nodes()));
        usize::try_from(share.div_ceil(waves.max(1))).unwrap_or(usize::MAX)
    }

    /// Partitions of a wave that nobody waits for.
    fn calm(&self) -> usize {
        (self.map.partitions() as usize / WAVE_SHARE).max(1)
    }

    /// Whether a node can take partitions.
    fn is_usable(&self, node: NodeId) -> bool {
        let is_reached = |seat: &&Seat| self.map.url(node) == Some(&seat.url) && seat.leaving_ms.is_none();
        self.seats.get(&node).is_some_and(is_reached)
    }

    fn is_leaving(&self, node: NodeId) -> bool {
        self.seats.get(&node).is_some_and(|seat| seat.leaving_ms.is_some())
    }

    /// The URLs of all nodes that have partitions or will have, if they are not those of the map: a node came, moved, or is no
    /// longer needed.
    fn urls(&self) -> Option<Vec<String>> {
        let owners: BTreeSet<_> = self.map.owners().map(|(_, node)| node.get() + 1).collect();
        let most = owners.last().copied().unwrap_or(0).max(self.map.nodes());
        let ambiguous = self.ambiguous();
        let url = |node: NodeId| {
            let seat = self.seats.get(&node).filter(|_| !ambiguous.contains(&node));
            seat.map(|seat| seat.url.clone()).or_else(|| self.map.url(node).map(str::to_owned))
        };
        let urls: Vec<_> = (0..most).map(NodeId::new).map_while(url).collect();
        (urls != self.map.urls()).then_some(urls)
    }
}

#[cfg(test)]
#[path = "model.rs"]
mod model;
