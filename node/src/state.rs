//! What the handlers of a node's requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use peal_proto::{NodeId, Partition, ShardMap};
use peal_serve::Clock;
use peal_store::Log;
use peal_store::leases::Seat;
use tokio::sync::watch;

use crate::handshakes::Handshakes;
use crate::limits::Limits;
use crate::relay::Relay;
use crate::shard::Shards;
use crate::shedding::Shed;

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
    pub(crate) handshakes: Arc<Handshakes>,
    /// What is shed for want of memory.
    pub(crate) shed: watch::Sender<Shed>,
    /// Where it relays.
    pub(crate) relay: Option<Relay>,
    /// The number of the next session.
    pub(crate) sessions: AtomicU64,
}

impl NodeState {
    /// The partitions whose loop stalls.
    pub(crate) fn stalled(&self) -> Vec<Partition> {
        let (now, timeout) = (self.clock.uptime(), self.limits.stall_timeout);
        let shards = self.shards.borrow();
        shards.iter().filter(|(_, shard)| shard.is_stalled(now, timeout)).map(|(partition, _)| *partition).collect()
    }
}
