//! The running parts of a cluster: one publisher and its nodes, each served and each run.

use std::sync::Arc;

use peal_proto::ShardMap;
use peal_publisher::{Extras, Publisher, Push, Settings};
use peal_serve::{Clock, ConnectionLimits, serve, shard_map, telemetry};
use peal_store::Stores;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listeners::Listeners;
use super::nodes::Nodes;
use crate::config::up::Up;

/// Tasks that stop together.
#[derive(Default)]
pub(super) struct Part {
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Part {
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A cluster that runs until it is stopped.
pub(super) struct Cluster {
    publisher: Part,
    nodes: Part,
}

impl Cluster {
    pub(super) fn start(stores: Stores, map: Arc<ShardMap>, listeners: Listeners, push: Option<Push>, up: &Up) -> Self {
        let (sender, map) = watch::channel(map);
        let cluster = Self { publisher: Part::default(), nodes: Part::default() };
        cluster.start_nodes(Nodes::new(stores.clone(), map.clone(), up.clone()), listeners.nodes);
        cluster.follow(Arc::clone(&stores.shards), sender);
        let settings = Settings { admission: up.admission.clone(), ..Settings::default() };
        let private_endpoints = up.push.push_private_endpoints;
        let extras = Extras { push, private_endpoints, ..Extras::default() };
        let publisher = Publisher::with(stores, map, Clock::system(), settings, extras);
        cluster.start_publisher(publisher, listeners.publisher);
        cluster
    }

    fn start_nodes(&self, nodes: Nodes, listeners: Vec<peal_serve::accept::Tcp>) {
        let Part { stop, tasks } = &self.nodes;
        tasks.spawn(nodes.run(listeners, stop.clone()));
        tasks.spawn(telemetry::keep_metrics(stop.clone()));
    }

    /// The publisher changes the map in the store; everybody here is told of it.
    fn follow(&self, shards: Arc<dyn peal_store::Shards>, map: watch::Sender<Arc<ShardMap>>) {
        let stop = self.nodes.stop.clone();
        self.nodes.tasks.spawn(async move { shard_map::follow(&*shards, &map, &stop).await });
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
