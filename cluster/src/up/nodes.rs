//! The nodes of the process: as many as the shard map knows or asks for, so that they come and go with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::{NodeId, ShardMap};
use peal_serve::accept::Tcp;
use peal_serve::{Clock, ConnectionLimits, serve};
use peal_store::Stores;
use peal_store::leases::{Holder, Seat};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cluster::Part;
use super::listeners;
use crate::config::up::Up;
use crate::limits::{NODE_RETRY_INTERVAL, NODES_MAX};

/// The nodes that run, by ordinal.
pub(super) struct Nodes {
    stores: Stores,
    map: watch::Receiver<Arc<ShardMap>>,
    up: Up,
    running: BTreeMap<u32, Part>,
}

impl Nodes {
    pub(super) fn new(stores: Stores, map: watch::Receiver<Arc<ShardMap>>, up: Up) -> Self {
        Self { stores, map, up, running: BTreeMap::new() }
    }

    /// Starts the first nodes, and starts and stops nodes as the map says until `stop`; then stops them all.
    pub(super) async fn run(mut self, first: Vec<Tcp>, stop: CancellationToken) {
        for (node, listener) in (0..).zip(first) {
            self.start(node, listener);
        }
        loop {
            let whole = self.reconcile().await;
            let retry = async {
                match whole {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(NODE_RETRY_INTERVAL).await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = self.map.changed() => if changed.is_err() { break },
                () = retry => {}
            }
        }
        stop.cancelled().await;
        join_all(self.running.values().map(Part::stop)).await;
    }

    /// Whether all nodes run that are to.
    async fn reconcile(&mut self) -> bool {
        let wanted = {
            let map = self.map.borrow_and_update();
            map.nodes().max(u32::try_from(map.urls().len()).unwrap_or(u32::MAX)).min(NODES_MAX)
        };
        let superfluous: Vec<_> = self.running.split_off(&wanted).into_iter().collect();
        for (node, part) in superfluous {
            part.stop().await;
            tracing::info!(node, "the node is no longer needed, and has stopped");
        }
        let mut whole = true;
        for node in (0..wanted).filter(|node| !self.running.contains_key(node)).collect::<Vec<_>>() {
            match listeners::bind_node(&self.up, node).await {
                Ok(listener) => self.start(node, listener),
                Err(error) => {
                    tracing::error!(node, %error, "the node can't start; trying again");
                    whole = false;
                }
            }
        }
        whole
    }

    fn start(&mut self, node: u32, listener: Tcp) {
        let url = listeners::node_url(&self.up, &listener);
        let holder = Holder::new(format!("node {node} at {url}"));
        let seat = Seat::new(NodeId::new(node), url, holder);
        let limits = Limits { push_after: self.up.push_after(), ..Limits::default() };
        let limits = self.up.defence.applied_to(limits);
        let part = Part::default();
        let (served, stop) = (CancellationToken::new(), part.stop.clone());
        let serving = Node::new(seat, self.stores.clone(), self.map.clone(), Clock::system(), limits);
        part.tasks.spawn(serve(listener, serving.router(), ConnectionLimits::default(), served.clone()));
        part.tasks.spawn(async move {
            serving.run(stop).await;
            served.cancel();
        });
        self.running.insert(node, part);
    }
}
