//! A real Redis Cluster of three keeps the same promises as one server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::CommunityId;
use peal_store::conformance::{self, Factory, RETENTION, Subject, System};
use peal_store::inbox::Retention;
use peal_store::redis::{self, Concern, Redis, Settings};
use peal_store::simulated::Simulation;
use peal_store::{Members, Stores};

use super::server::{START_TIME_MAX, Server, free_port};
use super::{simulation, user};

/// Slots of a cluster, of which each server has a third.
const SLOTS: u32 = 16_384;

/// Long after a change is told, and long before what was kept is too old.
const HEARD_TIME_MAX: Duration = Duration::from_secs(5);

struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    async fn start() -> Self {
        let mut servers = Vec::new();
        for number in 0..3 {
            let bus = free_port().to_string().leak();
            let options = ["--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port", bus];
            let server = Server::start_with(&options).await;
            let (first, end) = (number * SLOTS / 3, (number + 1) * SLOTS / 3);
            server.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]);
            server.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            servers.push(server);
        }
        let cluster = Self { servers };
        tokio::time::timeout(START_TIME_MAX, cluster.stands()).await.expect("the servers do not meet");
        cluster
    }

    /// Until all know of all. A meeting that one of them missed is called again.
    async fn stands(&self) {
        loop {
            for server in &self.servers[1..] {
                let (port, bus) = (server.port.to_string(), server.options[5]);
                self.servers[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
            }
            for _ in 0..100 {
                let stands = |server: &Server| {
                    let info = server.cli(&["CLUSTER", "INFO"]);
                    info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
                };
                if self.servers.iter().all(stands) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn connect(&self, retention: Retention) -> Redis {
        // One server is enough to find the others.
        let url = format!("redis+cluster://127.0.0.1:1,127.0.0.1:{}", self.servers[1].port);
        redis::connect(Settings { retention, ..Settings::new(url) }).await.unwrap()
    }

    /// Of all servers together.
    fn reads(&self) -> u64 {
        self.servers.iter().map(super::members::reads).sum()
    }
}

struct OnCluster {
    cluster: Arc<Cluster>,
    simulation: Simulation,
    retention: Retention,
    stores: Stores,
}

#[async_trait]
impl System for OnCluster {
    fn stores(&self) -> Stores {
        self.stores.clone()
    }

    async fn reopen(&mut self) {
        self.stores = self.cluster.connect(self.retention).await.stores(self.simulation.stores().log);
    }

    async fn put_member(&mut self, community: CommunityId, member: &str) {
        let key = format!("community:{community}:members");
        assert_eq!(self.cluster.servers[0].cli(&["-c", "SADD", &key, member]), "1");
    }
}

/// The same cluster for each case, emptied before.
struct Emptied(Arc<Cluster>);

#[async_trait]
impl Factory for Emptied {
    async fn fresh(&self, partitions: u32, retention: Retention) -> Subject {
        for server in &self.0.servers {
            server.cli(&["FLUSHALL", "SYNC"]);
        }
        let simulation = Simulation::new(1, partitions, retention);
        let stores = self.0.connect(retention).await.stores(simulation.stores().log);
        Box::new(OnCluster { cluster: Arc::clone(&self.0), simulation, retention, stores })
    }
}

#[tokio::test]
async fn a_cluster_keeps_the_promises_of_one_server() {
    let emptied = Emptied(Arc::new(Cluster::start().await));
    let cases = [
        conformance::inbox(),
        conformance::members(),
        conformance::foreign_members(),
        conformance::following(),
        conformance::statuses(),
        conformance::subscriptions(),
        conformance::shards(),
        conformance::leases(),
    ];
    conformance::hold(&emptied, cases.concat()).await;
}

#[tokio::test]
async fn what_makes_one_server_of_a_cluster_unsafe_is_a_concern() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.connect(RETENTION).await.check().await.unwrap(), []);
    cluster.servers[2].cli(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(cluster.connect(RETENTION).await.check().await.unwrap(), [Concern::Forgets]);
}

#[tokio::test]
async fn small_communities_on_every_server_of_a_cluster_are_kept_until_they_change() {
    let cluster = Cluster::start().await;
    let members = cluster.connect(RETENTION).await.stores(simulation().stores().log).members;
    let other = cluster.connect(RETENTION).await.stores(simulation().stores().log).members;
    for number in 0..12 {
        let community = CommunityId::new(number).unwrap();
        other.add(community, vec![user(1)]).await.unwrap();
        until(&members, community, 1).await;
        until_kept(&cluster, &members, community).await;
        other.add(community, vec![user(2)]).await.unwrap();
        until(&members, community, 2).await;
    }
}

/// Asks until there are so many members.
async fn until(members: &Arc<dyn Members>, community: CommunityId, count: usize) {
    let asking = async {
        while members.scan(community, None).await.unwrap().users.len() != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HEARD_TIME_MAX, asking).await.expect("a change is not heard");
}

/// Asks until that no longer reads anything.
async fn until_kept(cluster: &Cluster, members: &Arc<dyn Members>, community: CommunityId) {
    let asking = async {
        loop {
            let before = cluster.reads();
            members.scan(community, None).await.unwrap();
            if cluster.reads() == before {
                return;
            }
        }
    };
    tokio::time::timeout(HEARD_TIME_MAX, asking).await.expect("nothing is kept");
}
