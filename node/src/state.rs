//! What the handlers of a node's requests share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use peal_proto::{NodeId, Partition, ShardMap};
use peal_serve::Clock;
use peal_store::Log;
use tokio::sync::watch;

use crate::limits::Limits;
use crate::shard::ShardHandle;

/// A node as its handlers see it.
pub(crate) struct NodeState {
    pub(crate) id: NodeId,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) map: watch::Receiver<Arc<ShardMap>>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// The partitions it owns.
    pub(crate) shards: BTreeMap<Partition, ShardHandle>,
    /// The number of the next session.
    pub(crate) sessions: AtomicU64,
}
