//! Which partitions are the node's: it starts each that the shard map gives it, and hands over each that the map takes away.
//!
//! Says so to whoever wants to know ([`NodeState::shards`]): the leases are taken and given back by [`crate::tenure`]. When the node
//! is to stop, it asks to be relieved of its partitions, and leaves with those that it still has when the time is up.

use std::time::Duration;

use peal_proto::{Partition, ShardMap};
use peal_store::Stores;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::limits::DRAIN_LATE_MAX;
use crate::shard::{Departure, Shard};
use crate::state::NodeState;

/// The partitions of a node that runs.
pub(crate) struct Ownership<'n> {
    node: &'n NodeState,
    stores: Stores,
    running: JoinSet<(Partition, Departure)>,
    /// Sockets of partitions that were given up.
    departing: JoinSet<()>,
}

impl<'n> Ownership<'n> {
    pub(crate) fn new(node: &'n NodeState, stores: Stores) -> Self {
        Self { node, stores, running: JoinSet::new(), departing: JoinSet::new() }
    }

    /// Follows the map until `stop`; then leaves in order, and returns when the last socket is told.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.follow(stop.cancelled()).await;
        if let Some(spread) = self.node.limits.drain_spread {
            self.asks_to_leave(spread).await;
        }
        self.node.shards.borrow().values().for_each(|shard| shard.leave());
        while let Some(given_up) = self.running.join_next().await {
            self.given_up(given_up.ok());
        }
        while self.departing.join_next().await.is_some() {}
    }

    async fn follow(&mut self, until: impl Future<Output = ()>) {
        let mut map = self.node.map.clone();
        tokio::pin!(until);
        loop {
            let now = map.borrow_and_update().clone();
            self.reconcile(&now);
            tokio::select! {
                biased;
                () = &mut until => return,
                () = changed(&mut map) => {}
                Some(given_up) = self.running.join_next() => self.given_up(given_up.ok()),
                Some(_) = self.departing.join_next() => {}
            }
        }
    }

    /// Others take the partitions one after the other, if there are any.
    async fn asks_to_leave(&mut self, spread: Duration) {
        let leaving_ms = u64::try_from(spread.as_millis()).ok();
        self.node.seat.send_modify(|seat| seat.leaving_ms = leaving_ms);
        let mut shards = self.node.shards.subscribe();
        let relieved = async move { drop(shards.wait_for(|shards| shards.is_empty()).await) };
        if timeout(spread + DRAIN_LATE_MAX, self.follow(relieved)).await.is_err() {
            let left = self.node.shards.borrow().len();
            tracing::warn!(partitions = left, "nobody has taken these partitions; they wait for the next process");
        }
    }

    fn reconcile(&mut self, map: &ShardMap) {
        let id = self.node.id;
        let (mut begun, mut moved) = (Vec::new(), Vec::new());
        for partition in map.owned_by(id).filter(|partition| !self.node.shards.borrow().contains_key(partition)) {
            let (clock, shed) = (self.node.clock.clone(), self.node.shed.subscribe());
            let (shard, handle) = Shard::new(id, partition, self.stores.clone(), clock, self.node.limits, shed);
            self.running.spawn(async move { (partition, shard.run().await) });
            self.node.shards.send_modify(|shards| drop(shards.insert(partition, handle)));
            begun.push(partition.get());
        }
        for (partition, shard) in &*self.node.shards.borrow() {
            let owner = map.node(*partition);
            if owner != id && shard.hand_over(map.url(owner).unwrap_or_default()) {
                moved.push(partition.get());
            }
        }
        if !begun.is_empty() || !moved.is_empty() {
            tracing::info!(epoch = map.epoch(), takes = ?begun, gives = ?moved, "the partitions of this node");
        }
    }

    /// A partition is no longer this node's; unless the map has given it back, when it starts anew. A task that was not, is gone with
    /// the node.
    fn given_up(&mut self, given_up: Option<(Partition, Departure)>) {
        let Some((partition, departure)) = given_up else { return };
        self.node.shards.send_modify(|shards| drop(shards.remove(&partition)));
        self.departing.spawn(departure.run());
    }
}

/// Waits for another map; for ever where whoever would tell is gone.
async fn changed(map: &mut watch::Receiver<std::sync::Arc<ShardMap>>) {
    if map.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
