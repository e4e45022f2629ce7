//! A cluster of real processes: one publisher, several nodes, on a Kafka and a Redis.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peal_cluster::api::{Api, ApiError, BaseUrl};
use peal_proto::NodeId;
use peal_store::log::{Log, kafka};
use tokio::time::{sleep, timeout};

use super::page::{self, metric};
use super::process::{Process, Recipe};
use crate::real::{LOOK_INTERVAL, PEAL, free_ports, program, run};
use crate::witness::scene::NODES;

pub(crate) const PARTITIONS: u32 = 12;

/// Nodes that there may be at most; those beyond the first map wait until it names them.
pub(crate) const NODES_MAX: u16 = 6;

/// Until a process is ready: a partition may first have to wait for the lease of one that was killed.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How a site differs from others.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) brokers: String,
    pub(crate) redis: String,
    pub(crate) prefix: String,
    /// Where the nodes listen.
    pub(crate) host: Ipv4Addr,
    pub(crate) copies: u16,
    pub(crate) lease: Option<Duration>,
    pub(crate) env: Vec<(String, String)>,
}

/// The most memory that was seen, in KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Peaks {
    pub(crate) node: u64,
    pub(crate) publisher: u64,
}

pub(crate) struct Site {
    place: Place,
    pub(crate) api: Api,
    publisher_port: u16,
    nodes_port: u16,
    publisher: Option<Process>,
    nodes: Vec<Option<Process>>,
    peaks: Peaks,
}

impl Site {
    /// Makes the topics, starts everything and waits until it is ready.
    pub(crate) async fn start(place: Place) -> Self {
        let (publisher_port, nodes_port) = (free_ports(1), free_ports(NODES_MAX));
        let api = Api::new(url(Ipv4Addr::LOCALHOST, publisher_port));
        let nodes = (0..NODES_MAX).map(|_| None).collect();
        let mut site = Self { place, api, publisher_port, nodes_port, publisher: None, nodes, peaks: Peaks::default() };
        site.make_topics().await;
        for node in 0..NODES {
            site.start_node(node);
        }
        site.start_publisher();
        site.is_ready().await;
        site
    }

    async fn make_topics(&self) {
        let Place { brokers, prefix, copies, .. } = self.place.clone();
        let make = move || {
            let mut peal = std::process::Command::new(PEAL);
            peal.args(["topics", "create", "--brokers", &brokers, "--prefix", &prefix]);
            peal.args(["--partitions", &PARTITIONS.to_string(), "--copies", &copies.to_string()]);
            run(&mut peal)
        };
        tokio::task::spawn_blocking(make).await.unwrap();
    }

    /// The log of this site, to look at and to write what no publisher would.
    pub(crate) async fn log(&self) -> Arc<dyn Log> {
        let Place { brokers, prefix, .. } = self.place.clone();
        kafka::open(kafka::Settings { brokers, prefix, partitions: Some(PARTITIONS), ..Default::default() })
            .await
            .unwrap()
    }

    /// Where a node listens.
    pub(crate) fn address(&self, node: NodeId) -> SocketAddr {
        (self.place.host, self.nodes_port + u16::try_from(node.get()).unwrap()).into()
    }

    fn node_url(&self, node: u16) -> String {
        format!("ws://{}:{}", self.place.host, self.nodes_port + node)
    }

    /// A handle on what a node answers beside sockets.
    pub(crate) fn node_api(&self, node: u16) -> Api {
        Api::new(url(self.place.host, self.nodes_port + node))
    }

    /// A metric of the publisher.
    pub(crate) async fn publisher_metric(&self, words: &[&str]) -> f64 {
        metric((Ipv4Addr::LOCALHOST, self.publisher_port).into(), words).await
    }

    /// A metric of all nodes together.
    pub(crate) async fn nodes_metric(&self, words: &[&str]) -> f64 {
        let mut sum = 0.0;
        for node in 0..NODES {
            sum += metric((self.place.host, self.nodes_port + node).into(), words).await;
        }
        sum
    }

    /// Whether `/readyz` of every node has this in it.
    pub(crate) async fn all_nodes_say(&self, words: &str) -> bool {
        for node in 0..NODES {
            let says = page::get((self.place.host, self.nodes_port + node).into(), "/readyz").await.unwrap_or_default();
            if !says.contains(words) {
                return false;
            }
        }
        true
    }

    /// Waits until publisher and nodes say that they are ready.
    pub(crate) async fn is_ready(&mut self) {
        let (host, port) = (self.place.host, self.nodes_port);
        let publisher = (Ipv4Addr::LOCALHOST, self.publisher_port).into();
        let is_due = |node: &u16| *node < NODES || self.nodes[usize::from(*node)].is_some();
        let nodes: Vec<_> = (0..NODES_MAX).filter(is_due).collect();
        let nodes = nodes.into_iter().map(|node| (format!("node {node}"), (host, port + node).into()));
        for (name, address) in [("the publisher".to_owned(), publisher)].into_iter().chain(nodes) {
            let mut says = String::new();
            let ready = async {
                while !says.starts_with("HTTP/1.1 200") {
                    self.still_runs();
                    says = page::get(address, "/readyz").await.unwrap_or_default();
                    sleep(LOOK_INTERVAL).await;
                }
            };
            if timeout(READY_TIMEOUT, ready).await.is_err() {
                panic!("{name} is not ready within {} s: {says}", READY_TIMEOUT.as_secs());
            }
        }
    }

    /// Fails when a process has ended by itself.
    pub(crate) fn still_runs(&mut self) {
        self.publisher.iter_mut().chain(self.nodes.iter_mut().flatten()).for_each(Process::still_runs);
    }

    fn recipe(&self, name: &str, binary: &str, args: &[&str]) -> Recipe {
        let Place { dir, brokers, redis, prefix, env, .. } = &self.place;
        let stores = ["--brokers", brokers, "--redis", redis, "--prefix", prefix, "--log", "info"];
        Recipe {
            name: name.to_owned(),
            program: program(binary),
            args: args.iter().chain(&stores).map(|&word| word.to_owned()).collect(),
            env: env.clone(),
            log: dir.join(format!("{name}.log")),
        }
    }

    /// Another publisher beside this one.
    pub(crate) fn another_publisher(&self) -> (Process, Api) {
        let port = free_ports(1);
        let listen = format!("127.0.0.1:{port}");
        let process = self.recipe("publisher-2", "peal-publisher", &["--listen", &listen]).start();
        (process, Api::new(url(Ipv4Addr::LOCALHOST, port)))
    }

    /// Another process that claims to be this node, though nobody is told where it listens.
    pub(crate) fn another_node(&self, node: u16) -> (Process, SocketAddr) {
        let port = free_ports(1);
        (self.node_recipe(&format!("node-{node}-twin"), node, port).start(), (self.place.host, port).into())
    }

    fn node_recipe(&self, name: &str, node: u16, port: u16) -> Recipe {
        let urls: Vec<_> = (0..NODES).map(|node| self.node_url(node)).collect();
        let (number, urls, listen) = (node.to_string(), urls.join(","), format!("{}:{port}", self.place.host));
        let lease = self.place.lease.map(|lease| format!("{}s", lease.as_secs()));
        let mut args = vec!["--node", &number, "--nodes", &urls, "--listen", &listen];
        args.extend(lease.iter().flat_map(|lease| ["--lease", lease]));
        let own = self.node_url(node);
        if node >= NODES {
            args.extend(["--url", &own]);
        }
        self.recipe(name, "peal-node", &args)
    }

    pub(crate) fn start_publisher(&mut self) {
        let listen = format!("127.0.0.1:{}", self.publisher_port);
        self.publisher = Some(self.recipe("publisher", "peal-publisher", &["--listen", &listen]).start());
    }

    pub(crate) fn start_node(&mut self, node: u16) {
        let recipe = self.node_recipe(&format!("node-{node}"), node, self.nodes_port + node);
        self.nodes[usize::from(node)] = Some(recipe.start());
    }

    pub(crate) fn node(&self, node: u16) -> &Process {
        self.nodes[usize::from(node)].as_ref().unwrap()
    }

    pub(crate) async fn kill_node(&mut self, node: u16) {
        self.look_at_memory();
        self.nodes[usize::from(node)].take().unwrap().kill().await;
    }

    pub(crate) async fn stop_node(&mut self, node: u16, at_most: Duration) {
        self.look_at_memory();
        self.nodes[usize::from(node)].take().unwrap().stop(at_most).await;
    }

    pub(crate) async fn kill_publisher(&mut self) {
        self.look_at_memory();
        self.publisher.take().unwrap().kill().await;
    }

    pub(crate) async fn stop_publisher(&mut self, at_most: Duration) {
        self.look_at_memory();
        self.publisher.take().unwrap().stop(at_most).await;
    }

    fn look_at_memory(&mut self) {
        let nodes = self.nodes.iter().flatten().map(Process::peak_kib).max();
        self.peaks.node = self.peaks.node.max(nodes.unwrap_or_default());
        let publisher = self.publisher.as_ref().map(Process::peak_kib);
        self.peaks.publisher = self.peaks.publisher.max(publisher.unwrap_or_default());
    }

    /// The most memory that a node and the publisher had at once, those that were killed included.
    pub(crate) fn peaks(&mut self) -> Peaks {
        self.still_runs();
        self.look_at_memory();
        self.peaks
    }
}

fn url(host: Ipv4Addr, port: u16) -> BaseUrl {
    format!("http://{}:{port}", IpAddr::from(host)).parse().unwrap()
}

/// What a process says of itself when it is not ready, if it is not.
pub(crate) async fn why_not_ready(api: &Api) -> Option<String> {
    match api.ready().await {
        Err(ApiError::Problem(refusal)) => Some(refusal.to_string()),
        Ok(()) | Err(ApiError::NotRunning { .. } | ApiError::Broken { .. } | ApiError::Foreign { .. }) => None,
    }
}
