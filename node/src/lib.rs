//! A socket node: reads its partitions of the notification log and delivers each record to its user's sockets, or parks
//! it for replay.
//!
//! The modules follow one notification: the [`shard`] of its partition reads it, the [`core`] decides, without IO, what
//! happens to it, and the [`session`] of each of its user's sockets sends it. [`http`] is how a socket gets there.

mod shard;

pub mod core;

mod session;

mod http;
mod state;

pub mod limits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use peal_proto::{NodeId, ShardMap};
use peal_serve::Clock;
use peal_store::Stores;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::core::{Core, Input, Output};
use crate::limits::Limits;
use crate::shard::Shard;
use crate::state::NodeState;

/// One node: its partitions and its HTTP interface.
pub struct Node {
    state: Arc<NodeState>,
    shards: Vec<Shard>,
}

impl Node {
    /// The node of this ordinal in the shard map, on these stores.
    #[must_use]
    pub fn new(id: NodeId, stores: Stores, map: watch::Receiver<Arc<ShardMap>>, clock: Clock, limits: Limits) -> Self {
        let owned = map.borrow().owned_by(id);
        let (mut shards, mut handles) = (Vec::new(), BTreeMap::new());
        for partition in owned {
            let (shard, handle) = Shard::new(id, partition, stores.clone(), clock.clone(), limits);
            shards.push(shard);
            handles.insert(partition, handle);
        }
        let state = NodeState { id, log: stores.log, map, limits, shards: handles, sessions: AtomicU64::new(1) };
        Self { state: Arc::new(state), shards }
    }

    /// The HTTP interface, to be served by [`peal_serve::serve`].
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.state))
    }

    /// Serves the node's partitions until `stop`; then closes the sockets, parks and commits what it can, and returns.
    /// Dropping the future is a crash, which is survived as well.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        for shard in self.shards {
            tasks.spawn(shard.run(stop.clone()));
        }
        tasks.close();
        tasks.wait().await;
    }
}
