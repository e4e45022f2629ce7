//! A socket node: reads its partitions of the notification log and delivers each record to its user's sockets, or parks
//! it for replay.
//!
//! The modules follow one notification: the [`shard`] of its partition reads it, the [`core`] decides, without IO, what
//! happens to it, and the [`session`] of each of its user's sockets sends it. [`http`] is how a socket gets there. Which
//! partitions are the node's to read is held by [`tenure`], and whether it hears them is found out by the [`canary`].

mod canary;
mod tenure;

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
use peal_store::leases::Holder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::core::{Core, Input, Output};
use crate::limits::Limits;
use crate::shard::Shard;
use crate::state::NodeState;
use crate::tenure::{Tenant, Tenure};

/// One node: its partitions and its HTTP interface.
pub struct Node {
    state: Arc<NodeState>,
    stores: Stores,
    clock: Clock,
    tenant: Tenant,
    shards: Vec<(Shard, Tenure)>,
}

impl Node {
    /// The node of this ordinal in the shard map, on these stores. `holder` names this run of it in the leases.
    #[must_use]
    pub fn new(
        id: NodeId,
        holder: Holder,
        stores: Stores,
        map: watch::Receiver<Arc<ShardMap>>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let owned = map.borrow().owned_by(id);
        let mut tenant = Tenant::new(holder);
        let (mut shards, mut handles) = (Vec::new(), BTreeMap::new());
        for partition in owned {
            let (shard, handle) = Shard::new(id, partition, stores.clone(), clock.clone(), limits);
            shards.push((shard, tenant.add(partition)));
            handles.insert(partition, handle);
        }
        let log = Arc::clone(&stores.log);
        let sessions = AtomicU64::new(1);
        let state = NodeState { id, log, map, clock: clock.clone(), limits, shards: handles, sessions };
        Self { state: Arc::new(state), stores, clock, tenant, shards }
    }

    /// The HTTP interface, to be served by [`peal_serve::serve`].
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.state))
    }

    /// Serves the node's partitions until `stop`; then closes the sockets, parks and commits what it can, and returns.
    /// Dropping the future is a crash, which is survived as well.
    pub async fn run(self, stop: CancellationToken) {
        let Self { state, stores, clock, tenant, shards } = self;
        let limits = state.limits;
        let tasks = TaskTracker::new();
        for (shard, tenure) in shards {
            tasks.spawn(shard.run(tenure, stop.clone()));
        }
        tasks.close();
        let left = CancellationToken::new();
        let serving = async {
            tasks.wait().await;
            left.cancel();
        };
        let holding = tenant.run(&*stores.leases, &clock, limits.lease_term, left.clone());
        tokio::join!(serving, holding, send_canaries(&state, &stop));
    }
}

async fn send_canaries(state: &NodeState, stop: &CancellationToken) {
    let Some(interval) = state.limits.canary_interval else { return };
    let shards: Vec<_> = state.shards.iter().map(|(partition, shard)| (*partition, shard.clone())).collect();
    canary::run(&*state.log, &state.clock, &shards, interval, stop.clone()).await;
}
