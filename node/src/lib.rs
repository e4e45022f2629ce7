//! A socket node: reads its partitions of the notification log and delivers each record to its user's sockets, or parks
//! it for replay.
//!
//! The modules follow one notification: the [`shard`] of its partition reads it, the [`core`] decides, without IO, what
//! happens to it, and the [`session`] of each of its user's sockets sends it. [`http`] is how a socket gets there. Which
//! partitions are the node's is followed by [`ownership`], that no other process reads them is seen to by [`tenure`], and whether it
//! hears them is found out by the [`canary`]. How many sockets may open at a time is rationed by the [`handshakes`], and the [`guard`]
//! looks whether there is memory, and whether partitions answer; what is shed when there is none is said by [`shedding`].

mod canary;
mod ownership;
mod tenure;

mod shard;

pub mod core;

mod session;

mod guard;
mod handshakes;
mod http;
mod relay;
pub mod shedding;
mod state;

pub mod limits;
mod settings;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use peal_proto::ShardMap;
use peal_serve::Clock;
use peal_store::Stores;
use peal_store::leases::Seat;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::core::{Core, Input, Output};
use crate::handshakes::Handshakes;
use crate::limits::Limits;
use crate::ownership::Ownership;
use crate::relay::Relay;
pub use crate::settings::DefenceSettings;
use crate::shard::Shards;
use crate::shedding::Shed;
use crate::state::NodeState;
use crate::tenure::{Known, Tenant};

/// One node: its partitions and its HTTP interface.
pub struct Node {
    state: Arc<NodeState>,
    stores: Stores,
}

impl Node {
    /// The node of this seat, on these stores. It has the partitions that the map gives it, and none before the map names it.
    #[must_use]
    pub fn new(seat: Seat, stores: Stores, map: watch::Receiver<Arc<ShardMap>>, clock: Clock, limits: Limits) -> Self {
        let (id, log) = (seat.node, Arc::clone(&stores.log));
        let (seat, shards) = (watch::Sender::new(seat), watch::Sender::new(Shards::new()));
        let handshakes = Handshakes::new(id, clock.clone(), &limits);
        let (shed, relay) = (watch::Sender::new(Shed::Nothing), None);
        let sessions = AtomicU64::new(1);
        let state = NodeState { id, log, map, clock, limits, seat, shards, handshakes, shed, relay, sessions };
        Self { state: Arc::new(state), stores }
    }

    /// The same, carrying sockets of users of other nodes to their owners; clients are told this URL, at which any node may answer,
    /// instead of the nodes'. To be said before the router is taken.
    #[must_use]
    pub fn relaying(mut self, url: String) -> Self {
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.relay = Some(Relay::new(state.id, url));
        }
        self
    }

    /// The HTTP interface, to be served by [`peal_serve::serve`] as long as the node runs.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.state))
    }

    /// Serves the node's partitions until `stop`; then leaves them to others ([`Limits::drain_spread`]), closes the sockets, parks
    /// and commits what it can, and returns. Dropping the future is a crash, which is survived as well.
    pub async fn run(self, stop: CancellationToken) {
        let Self { state, stores } = self;
        let left = CancellationToken::new();
        let tenant = Tenant {
            leases: &*stores.leases,
            clock: &state.clock,
            term: state.limits.lease_term,
            seat: state.seat.subscribe(),
            shards: state.shards.subscribe(),
            known: Known::default(),
        };
        shard::warm_up(&*stores.log).await;
        let owning = async {
            Ownership::new(&state, stores.clone()).run(stop.clone()).await;
            state.relay.iter().for_each(Relay::stop);
            left.cancel();
        };
        let guarding = guard::run(&state, &*stores.leases, &left);
        tokio::join!(owning, tenant.run(left.clone()), guarding, send_canaries(&state, &left));
    }
}

async fn send_canaries(state: &NodeState, stop: &CancellationToken) {
    let Some(interval) = state.limits.canary_interval else { return };
    canary::run(&*state.log, &state.clock, &state.shards.subscribe(), interval, stop).await;
}
