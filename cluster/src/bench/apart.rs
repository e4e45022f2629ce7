//! A cluster on Kafka and Redis, publisher and node in processes of their own, of which the node counts; and then, in the node's
//! place, librdkafka and a loop that writes to plain sockets.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use peal_proto::Topic;
use peal_serve::Clock;
use peal_serve::services::KafkaArgs;
use peal_store::log::kafka::{Storage, create_topics};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::Failure;
use super::process::Observed;
use super::site::{Running, Site};
use crate::api::{Api, BaseUrl};
use crate::child::free_ports;
use crate::config::bench::Services;

/// One, as its time is compared with that of one reader.
const NODES: u16 = 1;

/// How long all processes may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How often they are asked.
const READY_INTERVAL: Duration = Duration::from_millis(200);

/// A process of the cluster; killed when it is dropped.
type Part = Child;

/// The processes of a cluster.
pub(super) struct Apart {
    programs: PathBuf,
    kafka: KafkaArgs,
    nodes: Vec<Part>,
    publisher: Part,
}

/// The least there can be in place of nodes or a publisher.
pub(super) struct Floor {
    process: Part,
    words: Lines<BufReader<ChildStdout>>,
    pub(super) port: u16,
    pub(super) observed: Observed,
}

/// Starts a cluster with topics of its own.
pub(super) async fn start(services: &Services) -> Result<Site, Failure> {
    let mut kafka = services.kafka.clone();
    kafka.prefix = format!("bench-{}.", Clock::system().now().millis());
    create_topics(kafka.settings(), Storage::default()).await.map_err(io::Error::other)?;
    let own = std::env::current_exe()?;
    let programs = own.parent().unwrap_or(Path::new(".")).to_owned();
    let port = free_ports(NODES + 1)?;
    let urls: Vec<_> = (1..=NODES).map(|node| format!("ws://127.0.0.1:{}", port + node)).collect();
    let start = |program: &str, listen: u16, words: &[&str]| {
        let mut command = Command::new(programs.join(program));
        command.args(["--listen", &format!("127.0.0.1:{listen}"), "--log", "warn", "--redis", &services.redis.redis]);
        command.args(["--brokers", &kafka.brokers, "--prefix", &kafka.prefix]).args(words);
        command.stdin(Stdio::null()).kill_on_drop(true).spawn()
    };
    let mut nodes = Vec::new();
    for node in 0..NODES {
        nodes.push(start("peal-node", port + 1 + node, &["--node", &node.to_string(), "--nodes", &urls.join(",")])?);
    }
    let observed: Vec<_> = nodes.iter().filter_map(Child::id).collect();
    let publisher = start("peal-publisher", port, &[])?;
    for port in port..=port + NODES {
        timeout(READY_TIMEOUT, ready(port)).await.map_err(|_| io::Error::other(format!("port {port} is not ready")))?;
    }
    let id = publisher.id().ok_or_else(|| io::Error::other("the publisher ended early"))?;
    let apart = Apart { programs, kafka, nodes, publisher };
    Ok(Site::of(Api::new(BaseUrl::of_port(port)), urls, &observed, id, Running::Apart(apart)))
}

impl Apart {
    /// Ends the nodes, and has in their place what reads the same records and writes them to plain sockets, for so many sockets
    /// and frames of so many bytes.
    pub(super) async fn replace_nodes(&mut self, sockets: u32, frame_bytes: usize) -> io::Result<Floor> {
        self.end_nodes().await?;
        let words = [self.topic(Topic::Notifications), sockets.to_string(), frame_bytes.to_string()];
        self.floor("kafka_floor", &words).await
    }

    pub(super) async fn end_nodes(&mut self) -> io::Result<()> {
        for mut node in self.nodes.drain(..) {
            node.kill().await?;
        }
        Ok(())
    }

    /// Ends the publisher, and has a bare handler around a bare producer in its place.
    pub(super) async fn replace_publisher(&mut self) -> io::Result<Floor> {
        self.publisher.kill().await?;
        self.floor("publisher_floor", &[self.topic(Topic::Events), self.topic(Topic::Notifications)]).await
    }

    fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.kafka.prefix)
    }

    async fn floor(&self, example: &str, words: &[String]) -> io::Result<Floor> {
        let mut command = Command::new(self.programs.join("examples").join(example));
        command.arg(&self.kafka.brokers).args(words);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (id, stdout) = (process.id(), process.stdout.take());
        let (id, stdout) = id.zip(stdout).ok_or_else(ended)?;
        let mut words = BufReader::new(stdout).lines();
        let port = word(&mut words).await?.parse().map_err(io::Error::other)?;
        Ok(Floor { process, words, port, observed: Observed::new(&[id]) })
    }
}

impl Floor {
    /// Once all sockets are open: waits until it reads.
    pub(super) async fn reads(&mut self) -> io::Result<()> {
        word(&mut self.words).await.map(drop)
    }

    pub(super) async fn end(mut self) -> io::Result<()> {
        self.process.kill().await
    }
}

async fn word(words: &mut Lines<BufReader<ChildStdout>>) -> io::Result<String> {
    timeout(READY_TIMEOUT, words.next_line()).await??.ok_or_else(ended)
}

fn ended() -> io::Error {
    io::Error::other("the floor ended early")
}

async fn ready(port: u16) {
    while !is_ready(port).await.unwrap_or(false) {
        sleep(READY_INTERVAL).await;
    }
}

async fn is_ready(port: u16) -> io::Result<bool> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.write_all(b"GET /readyz HTTP/1.1\r\nhost: peal\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
