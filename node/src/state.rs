//! What the handlers of a node's requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use peal_proto::{NodeId, ShardMap};
use peal_serve::Clock;
use peal_store::Log;
use peal_store::leases::Seat;
use tokio::sync::watch;

use crate::limits::Limits;
use crate::shard::Shards;

/// A node as its handlers see it.
pub(crate) struct NodeState {
    pub(crate) id: NodeId,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) map: watch::Receiver<Arc<ShardMap>>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// What the cluster is told of it.
    pub(crate) seat: watch::Sender<Seat>,
    /// Its partitions, as [`crate::ownership`] says.
    pub(crate) shards: watch::Sender<Shards>,
    /// The number of the next session.
    pub(crate) sessions: AtomicU64,
}
