//! The software of the hosts that serve: the real publisher and the real nodes, on the simulated services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peal_node::Node;
use peal_proto::{NodeId, ShardMap, Timestamp};
use peal_publisher::{Publisher, Settings};
use peal_serve::{Clock, ConnectionLimits, shard_map};
use peal_store::Stores;
use peal_store::leases::{Holder, Seat};
use peal_store::simulated::Outage;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::schedule::{Host, Layout};
use crate::services::{Line, Services};
use crate::wire::{Door, Kernel, PORT, now};

/// What time it is when a simulation begins.
const EPOCH: Timestamp = Timestamp::from_millis(1_795_341_600_000);

/// How long a process waits that does not reach the map when it starts.
const RETRY: Duration = Duration::from_millis(300);

/// What the processes share, and what is known of each.
pub(super) struct Processes {
    layout: Layout,
    services: Mutex<Services>,
    map: watch::Sender<Arc<ShardMap>>,
    handles: Mutex<BTreeMap<Host, Handle>>,
}

/// What is known of one process.
#[derive(Default)]
struct Handle {
    /// Its wall clock is this much fast.
    skew_millis: i64,
    clock: Option<Clock>,
    stop: CancellationToken,
    kernel: Arc<Kernel>,
    line: Arc<Line>,
    /// Whether the machine has no process.
    is_down: bool,
    boots: u32,
}

impl Processes {
    pub(super) fn new(layout: &Layout, services: Services) -> Self {
        let urls = (0..layout.nodes).map(|node| url(Host::Node(node))).collect();
        let map = ShardMap::new(1, layout.partitions, urls).unwrap();
        Self {
            layout: layout.clone(),
            services: Mutex::new(services),
            map: watch::Sender::new(Arc::new(map)),
            handles: Mutex::default(),
        }
    }

    pub(super) fn services(&self) -> MutexGuard<'_, Services> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle<T>(&self, host: Host, with: impl FnOnce(&mut Handle) -> T) -> T {
        with(self.handles.lock().unwrap_or_else(PoisonError::into_inner).entry(host).or_default())
    }

    /// The software of a host: what is left of the process before is closed, and another serves unless the host is down.
    pub(super) fn boot(self: Arc<Self>, host: Host) -> impl Future<Output = turmoil::Result> {
        let (kernel, is_down) = self.handle(host, |handle| (Arc::clone(&handle.kernel), handle.is_down));
        kernel.bury();
        async move { if is_down { std::future::pending().await } else { self.serve(host, kernel).await } }
    }

    /// The process of this host is about to die; whether another takes its place when the host boots.
    pub(super) fn dies(&self, host: Host, is_down: bool) {
        self.handle(host, |handle| {
            handle.kernel.process_dies();
            handle.is_down = is_down;
        });
    }

    async fn serve(self: Arc<Self>, host: Host, kernel: Arc<Kernel>) -> turmoil::Result {
        let clock = Clock::simulated(EPOCH.after(now()));
        let stop = CancellationToken::new();
        self.handle(host, |handle| {
            clock.set_skew(handle.skew_millis);
            handle.clock = Some(clock.clone());
            handle.stop = stop.clone();
        });
        let line = self.handle(host, |handle| Arc::clone(&handle.line));
        let stores = self.services().stores(&host.to_string(), line);
        let door = Door::open(self.layout.segment_bytes_max, kernel).await?;
        let left = CancellationToken::new();
        let (map, following) = self.map(&stores, left.clone()).await;
        let serve = |router| peal_serve::serve(door, router, ConnectionLimits::default(), left.clone());
        match host {
            Host::Publisher | Host::Relief => {
                let settings = Settings { fanout: self.layout.fanout, ..Settings::default() };
                let publisher = Publisher::new(stores, map, clock, settings);
                let leaving = async {
                    stop.cancelled().await;
                    left.cancel();
                };
                tokio::join!(serve(publisher.router()), publisher.run(stop.clone()), following, leaving);
            }
            Host::Node(node) | Host::Twin(node) => {
                let id = NodeId::new(u32::try_from(node)?);
                let boots = self.handle(host, |handle| {
                    handle.boots += 1;
                    handle.boots
                });
                let seat = Seat::new(id, url(host), Holder::new(format!("{host}, boot {boots}")));
                let node = Node::new(seat, stores, map, clock, self.layout.limits);
                let router = node.router();
                let leaving = async {
                    node.run(stop.clone()).await;
                    left.cancel();
                };
                tokio::join!(serve(router), leaving, following);
            }
            Host::Community | Host::Clients(_) => unreachable!("{host} does not serve"),
        }
        Ok(())
    }

    /// The map as this process knows it: the stored one where the number of nodes changes, which it follows until `left`.
    async fn map(
        &self,
        stores: &Stores,
        left: CancellationToken,
    ) -> (watch::Receiver<Arc<ShardMap>>, impl Future<Output = ()> + use<>) {
        let first = Arc::clone(&self.map.borrow());
        if !self.layout.reshards() {
            let map = self.map.subscribe();
            return (map, futures_util::future::Either::Left(async move { left.cancelled().await }));
        }
        let stored = loop {
            match shard_map::join(stores, first.urls().to_vec()).await {
                Ok(map) => break map,
                Err(_) => sleep(RETRY).await,
            }
        };
        let (sender, shards) = (watch::Sender::new(stored), Arc::clone(&stores.shards));
        let map = sender.subscribe();
        let following = async move { shard_map::follow(&*shards, &sender, &left).await };
        (map, futures_util::future::Either::Right(following))
    }

    /// Asks a process to leave in order.
    pub(super) fn stop(&self, host: Host) {
        self.handle(host, |handle| handle.stop.cancel());
    }

    /// How a process reaches the stores.
    pub(super) fn set_line(&self, host: Host, outage: Option<Outage>) {
        self.handle(host, |handle| handle.line.set(outage));
    }

    pub(super) fn set_skew(&self, host: Host, millis: i64) {
        self.handle(host, |handle| {
            handle.skew_millis = millis;
            if let Some(clock) = &handle.clock {
                clock.set_skew(millis);
            }
        });
    }

    /// Sends clients to the other node of this ordinal, which is the answer.
    pub(super) fn switch(&self, node: usize) -> Host {
        let map = Arc::clone(&self.map.borrow());
        let mut urls = map.urls().to_vec();
        let other = if self.is_spare(Host::Twin(node)) { Host::Twin(node) } else { Host::Node(node) };
        urls[node] = url(other);
        self.map.send_replace(Arc::new(ShardMap::new(map.epoch() + 1, map.partitions(), urls).unwrap()));
        other
    }

    /// Whether no client is sent there.
    pub(super) fn is_spare(&self, host: Host) -> bool {
        match host {
            Host::Node(_) if self.layout.reshards() => false,
            Host::Node(node) | Host::Twin(node) => self.map.borrow().urls()[node] != url(host),
            Host::Relief => true,
            Host::Publisher | Host::Community | Host::Clients(_) => false,
        }
    }
}

fn url(host: Host) -> String {
    format!("ws://{host}:{PORT}")
}
