//! The shard map: which partition a user is in, and which node owns a partition.
//!
//! `partition = user % P`, `node = partition % N`, and because N divides P that is `user % N`. While the cluster changes,
//! some partitions are *placed* at another node than that rule says: those that have not moved yet to where a new N puts
//! them, and those of a node that is leaving. Owns the arithmetic and its preconditions; where the map is stored, and which
//! partition is to move when, is not its business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, Partition, UserId};
use crate::limits::{CLOSE_REASON_BYTES_MAX, PARTITIONS_MAX};

/// Why a shard map can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShardMap {
    /// P out of range.
    #[error("a log has 1 to {PARTITIONS_MAX} partitions, not {given}")]
    Partitions {
        /// What was given.
        given: u32,
    },
    /// N does not divide P.
    #[error("the number of nodes must divide the {partitions} partitions; {given} does not, {} would", or(nearest))]
    Nodes {
        /// P.
        partitions: u32,
        /// What was given.
        given: usize,
        /// The divisors of P next to it.
        nearest: Vec<u32>,
    },
    /// There is no such partition to place.
    #[error("there is no partition {given} to place; there are {partitions}, from 0")]
    Partition {
        /// P.
        partitions: u32,
        /// What was given.
        given: Partition,
    },
    /// A partition belongs to a node that nobody can reach.
    #[error("partition {partition} belongs to node {node}, and only the URLs of {known} nodes are known")]
    Unreachable {
        /// Which.
        partition: Partition,
        /// Whose.
        node: NodeId,
        /// How many URLs there are.
        known: usize,
    },
    /// A URL that no close frame can carry (4001).
    #[error("a node's URL has at most {CLOSE_REASON_BYTES_MAX} bytes, not the {} of {given:?}", .given.len())]
    Url {
        /// What was given.
        given: String,
    },
}

fn or(numbers: &[u32]) -> String {
    let texts: Vec<_> = numbers.iter().map(u32::to_string).collect();
    texts.join(" or ")
}

/// Who owns what, as of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct ShardMap {
    epoch: u64,
    partitions: u32,
    nodes: u32,
    urls: Vec<String>,
    /// Exceptions to the rule, and only those.
    placed: BTreeMap<Partition, NodeId>,
}

/// The stored shape of a map, before its rules were checked. A map without exceptions reads as it always did.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    epoch: u64,
    partitions: u32,
    /// As many as there are URLs, unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nodes: Option<u32>,
    urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    placed: BTreeMap<u32, u32>,
}

impl TryFrom<Unchecked> for ShardMap {
    type Error = InvalidShardMap;

    fn try_from(map: Unchecked) -> Result<Self, InvalidShardMap> {
        let Unchecked { epoch, partitions, nodes, urls, placed } = map;
        let placed = placed.into_iter().map(|(partition, node)| (Partition::new(partition), NodeId::new(node)));
        Self::checked(epoch, partitions, nodes, urls, placed.collect())
    }
}

impl From<ShardMap> for Unchecked {
    fn from(map: ShardMap) -> Self {
        let ShardMap { epoch, partitions, nodes, urls, placed } = map;
        let nodes = (urls.len() != nodes as usize).then_some(nodes);
        let placed = placed.into_iter().map(|(partition, node)| (partition.get(), node.get())).collect();
        Self { epoch, partitions, nodes, urls, placed }
    }
}

impl ShardMap {
    /// A map of `partitions` over one node a URL (`ws://host:port`, in the order of the ordinals).
    ///
    /// # Errors
    /// [`InvalidShardMap`] unless the number of URLs divides the number of partitions.
    pub fn new(epoch: u64, partitions: u32, urls: Vec<String>) -> Result<Self, InvalidShardMap> {
        Self::checked(epoch, partitions, None, urls, BTreeMap::new())
    }

    fn checked(
        epoch: u64,
        partitions: u32,
        nodes: Option<u32>,
        urls: Vec<String>,
        mut placed: BTreeMap<Partition, NodeId>,
    ) -> Result<Self, InvalidShardMap> {
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(InvalidShardMap::Partitions { given: partitions });
        }
        let given = nodes.unwrap_or(u32::try_from(urls.len()).unwrap_or(u32::MAX));
        if given == 0 || !partitions.is_multiple_of(given) {
            let given = given as usize;
            return Err(InvalidShardMap::Nodes { partitions, given, nearest: nearest_divisors(partitions, given) });
        }
        if let Some(given) = placed.keys().copied().find(|partition| partition.get() >= partitions) {
            return Err(InvalidShardMap::Partition { partitions, given });
        }
        if let Some(given) = urls.iter().find(|url| url.len() > CLOSE_REASON_BYTES_MAX).cloned() {
            return Err(InvalidShardMap::Url { given });
        }
        placed.retain(|partition, node| node.get() != partition.get() % given);
        let map = Self { epoch, partitions, nodes: given, urls, placed };
        let out_of_reach = map.owners().find(|(_, node)| node.get() as usize >= map.urls.len());
        match out_of_reach {
            Some((partition, node)) => Err(InvalidShardMap::Unreachable { partition, node, known: map.urls.len() }),
            None => Ok(map),
        }
    }

    /// The next epoch of this map, towards another number of nodes: nothing has moved yet.
    ///
    /// # Errors
    /// [`InvalidShardMap`] unless it divides the number of partitions.
    pub fn towards(&self, nodes: u32) -> Result<Self, InvalidShardMap> {
        Self::checked(self.epoch + 1, self.partitions, Some(nodes), self.urls.clone(), self.owners().collect())
    }

    /// The next epoch of this map, with these partitions at these nodes.
    ///
    /// # Errors
    /// [`InvalidShardMap`] when a partition or a node is not known.
    pub fn moving(&self, moves: impl IntoIterator<Item = (Partition, NodeId)>) -> Result<Self, InvalidShardMap> {
        let mut placed = self.placed.clone();
        placed.extend(moves);
        Self::checked(self.epoch + 1, self.partitions, Some(self.nodes), self.urls.clone(), placed)
    }

    /// The next epoch of this map, with the nodes at these URLs.
    ///
    /// # Errors
    /// [`InvalidShardMap`] when that of an owner is missing.
    pub fn at(&self, urls: Vec<String>) -> Result<Self, InvalidShardMap> {
        Self::checked(self.epoch + 1, self.partitions, Some(self.nodes), urls, self.placed.clone())
    }

    /// Which version of the map this is; a higher one replaces it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// P.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// N, to which partitions may still be moving.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// The URLs of the nodes that are known, by ordinal; while N changes, they may be more or fewer than N.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The URL of a node, if it is known.
    #[must_use]
    pub fn url(&self, node: NodeId) -> Option<&str> {
        self.urls.get(node.get() as usize).map(String::as_str)
    }

    /// Partitions that are not where the rule says.
    #[must_use]
    pub fn placed(&self) -> &BTreeMap<Partition, NodeId> {
        &self.placed
    }

    /// The partition that holds a user's notifications.
    #[must_use]
    pub fn partition(&self, user: UserId) -> Partition {
        partition_of(user.get(), self.partitions)
    }

    /// The node that owns a partition by the rule.
    #[must_use]
    pub fn rule(&self, partition: Partition) -> NodeId {
        NodeId::new(partition.get() % self.nodes)
    }

    /// The node that owns a partition.
    #[must_use]
    pub fn node(&self, partition: Partition) -> NodeId {
        self.placed.get(&partition).copied().unwrap_or_else(|| self.rule(partition))
    }

    /// Every partition and the node that owns it, ascending.
    pub fn owners(&self) -> impl Iterator<Item = (Partition, NodeId)> + '_ {
        (0..self.partitions).map(Partition::new).map(|partition| (partition, self.node(partition)))
    }

    /// The node that owns a user, and its URL.
    #[must_use]
    pub fn owner(&self, user: UserId) -> (NodeId, &str) {
        let node = self.node(self.partition(user));
        (node, &self.urls[node.get() as usize])
    }

    /// The partitions a node owns, ascending.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = Partition> + '_ {
        self.owners().filter(move |(_, owner)| *owner == node).map(|(partition, _)| partition)
    }
}

/// `key % partitions`: the rule for users in the notification log, and for communities in the event log.
///
/// # Panics
/// When `partitions` is 0.
#[must_use]
pub fn partition_of(key: u64, partitions: u32) -> Partition {
    let partition = key % u64::from(partitions);
    Partition::new(u32::try_from(partition).unwrap_or_default()) // below a u32 by construction
}

fn nearest_divisors(partitions: u32, given: usize) -> Vec<u32> {
    let divisors = || (1..=partitions).filter(|n| partitions.is_multiple_of(*n));
    let below = divisors().rfind(|n| (*n as usize) < given);
    let above = divisors().find(|n| (*n as usize) > given);
    below.into_iter().chain(above).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn urls(nodes: usize) -> Vec<String> {
        (0..nodes).map(|node| format!("ws://node-{node}")).collect()
    }

    #[test]
    fn a_map_without_exceptions_reads_and_is_written_as_it_always_was() {
        let text = r#"{"epoch":5,"partitions":4,"urls":["ws://a","ws://b"]}"#;
        let map: ShardMap = serde_json::from_str(text).unwrap();
        assert_eq!((map.nodes(), map.node(Partition::new(3)).get()), (2, 1));
        assert_eq!(serde_json::to_string(&map).unwrap(), text);
    }

    #[test]
    fn partitions_stay_where_they_are_until_they_are_moved() {
        let map = ShardMap::new(1, 12, urls(2)).unwrap().towards(4).unwrap();
        assert_eq!((map.epoch(), map.nodes(), map.placed().len()), (2, 4, 6));
        assert_eq!(map.node(Partition::new(2)).get(), 0);
        let [two, three] = [2, 3].map(Partition::new);
        let away = map.moving([(two, NodeId::new(2))]).unwrap_err().to_string();
        assert_eq!(away, "partition 2 belongs to node 2, and only the URLs of 2 nodes are known");
        let moved = map.at(urls(4)).unwrap().moving([(two, NodeId::new(2)), (three, NodeId::new(3))]).unwrap();
        assert_eq!((moved.epoch(), moved.node(two).get(), moved.node(three).get()), (4, 2, 3));
        assert_eq!(moved.placed().keys().map(|partition| partition.get()).collect::<Vec<_>>(), [6, 7, 10, 11]);
        let text = serde_json::to_string(&moved).unwrap();
        assert_eq!(serde_json::from_str::<ShardMap>(&text).unwrap(), moved);
    }

    #[test]
    fn a_url_that_no_close_frame_can_carry_is_refused() {
        let refused = ShardMap::new(1, 1, vec![format!("ws://{}", "x".repeat(119))]).unwrap_err().to_string();
        assert!(refused.contains("at most 123 bytes, not the 124"), "{refused}");
    }

    proptest! {
        #[test]
        fn another_number_of_nodes_moves_nobody_and_ends_at_the_rule(from in 0..6_usize, to in 0..6_usize) {
            let nodes = [1, 2, 3, 4, 6, 12];
            let before = ShardMap::new(1, 12, urls(nodes[from])).unwrap();
            let begun = before.towards(u32::try_from(nodes[to]).unwrap()).unwrap();
            prop_assert!(begun.owners().eq(before.owners()));
            let known = urls(nodes[from].max(nodes[to]));
            let rule: Vec<_> = begun.owners().map(|(partition, _)| (partition, begun.rule(partition))).collect();
            let done = begun.at(known).unwrap().moving(rule).unwrap().at(urls(nodes[to])).unwrap();
            prop_assert!(done.placed().is_empty());
            prop_assert!(done.owners().eq(ShardMap::new(1, 12, urls(nodes[to])).unwrap().owners()));
        }
    }
}
