//! The shard map: which partition a user is in, and which node owns a partition.
//!
//! `partition = user % P`, `node = partition % N`, and because N divides P that is `user % N`. Owns the arithmetic and its
//! preconditions; where the map is stored and how it changes is not its business.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, Partition, UserId};
use crate::limits::PARTITIONS_MAX;

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
    urls: Vec<String>,
}

/// The stored shape of a map, before its rules were checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    epoch: u64,
    partitions: u32,
    urls: Vec<String>,
}

impl TryFrom<Unchecked> for ShardMap {
    type Error = InvalidShardMap;

    fn try_from(map: Unchecked) -> Result<Self, InvalidShardMap> {
        Self::new(map.epoch, map.partitions, map.urls)
    }
}

impl From<ShardMap> for Unchecked {
    fn from(map: ShardMap) -> Self {
        Self { epoch: map.epoch, partitions: map.partitions, urls: map.urls }
    }
}

impl ShardMap {
    /// A map of `partitions` over one node a URL (`ws://host:port`, in the order of the ordinals).
    ///
    /// # Errors
    /// [`InvalidShardMap`] unless the number of URLs divides the number of partitions.
    pub fn new(epoch: u64, partitions: u32, urls: Vec<String>) -> Result<Self, InvalidShardMap> {
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(InvalidShardMap::Partitions { given: partitions });
        }
        let divides = |nodes: u32| nodes > 0 && partitions.is_multiple_of(nodes);
        if !u32::try_from(urls.len()).is_ok_and(divides) {
            let nearest = nearest_divisors(partitions, urls.len());
            return Err(InvalidShardMap::Nodes { partitions, given: urls.len(), nearest });
        }
        Ok(Self { epoch, partitions, urls })
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

    /// N.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        u32::try_from(self.urls.len()).unwrap_or(u32::MAX) // at most P, by construction
    }

    /// The nodes' URLs, by ordinal.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The partition that holds a user's notifications.
    #[must_use]
    pub fn partition(&self, user: UserId) -> Partition {
        partition_of(user.get(), self.partitions)
    }

    /// The node that owns a partition.
    #[must_use]
    pub fn node(&self, partition: Partition) -> NodeId {
        NodeId::new(partition.get() % self.nodes())
    }

    /// The node that owns a user, and its URL.
    #[must_use]
    pub fn owner(&self, user: UserId) -> (NodeId, &str) {
        let node = self.node(self.partition(user));
        (node, &self.urls[node.get() as usize])
    }

    /// The partitions a node owns, ascending.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = Partition> + use<> {
        let nodes = self.nodes();
        (0..self.partitions).filter(move |p| p % nodes == node.get()).map(Partition::new)
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
