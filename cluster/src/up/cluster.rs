//! The running parts of a cluster: one publisher and its nodes, each served and each run.

use std::sync::Arc;
use std::time::Duration;

use peal_node::Node;
use peal_proto::{NodeId, ShardMap};
use peal_publisher::{Extras, Publisher, Push, Settings};
use peal_serve::{Clock, ConnectionLimits, serve, telemetry};
use peal_store::Stores;
use peal_store::leases::Holder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listeners::Listeners;
use crate::config::up::Up;

/// Tasks that stop together.
#[derive(Default)]
struct Part {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Part {
    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A cluster that runs until it is stopped.
pub(super) struct Cluster {
    publisher: Part,
    nodes: Part,
    /// The map does not change while a process runs; whoever watches it must not take that for the end.
    _map: watch::Sender<Arc<ShardMap>>,
}

impl Cluster {
    pub(super) fn start(stores: Stores, map: Arc<ShardMap>, listeners: Listeners, push: Option<Push>, up: &Up) -> Self {
        let (sender, map) = watch::channel(map);
        let cluster = Self { publisher: Part::default(), nodes: Part::default(), _map: sender };
        cluster.start_nodes(&stores, &map, listeners.nodes, up.push_after());
        let settings = Settings { admission: up.admission.clone(), ..Settings::default() };
        let private_endpoints = up.push.push_private_endpoints;
        let extras = Extras { push, private_endpoints, ..Extras::default() };
        let publisher = Publisher::with(stores, map, Clock::system(), settings, extras);
        cluster.start_publisher(publisher, listeners.publisher);
        cluster
    }

    fn start_nodes(
        &self,
        stores: &Stores,
        map: &watch::Receiver<Arc<ShardMap>>,
        listeners: Vec<peal_serve::accept::Tcp>,
        push_after: Option<Duration>,
    ) {
        let Part { stop, tasks } = &self.nodes;
        for (id, listener) in (0..).map(NodeId::new).zip(listeners) {
            let limits = peal_node::limits::Limits { push_after, ..peal_node::limits::Limits::default() };
            let holder = Holder::new(format!("node {id}"));
            let node = Node::new(id, holder, stores.clone(), map.clone(), Clock::system(), limits);
            tasks.spawn(serve(listener, node.router(), ConnectionLimits::default(), stop.clone()));
            tasks.spawn(node.run(stop.clone()));
        }
        tasks.spawn(telemetry::keep_metrics(stop.clone()));
    }

    fn start_publisher(&self, publisher: Publisher, listener: peal_serve::accept::Tcp) {
        let Part { stop, tasks } = &self.publisher;
        tasks.spawn(serve(listener, publisher.router(), ConnectionLimits::default(), stop.clone()));
        let stop = stop.clone();
        tasks.spawn(async move { publisher.run(stop).await });
    }

    /// First the publisher, so that what it has accepted is on its way, then the nodes, so that it arrives or is parked.
    pub(super) async fn stop(self) {
        self.publisher.stop().await;
        self.nodes.stop().await;
    }
}
