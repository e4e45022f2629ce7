//! A cluster on Kafka and Redis, publisher and node in processes of their own, of which the node counts; and beside it
//! librdkafka alone, reading the same records at the same time.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use peal_proto::Topic;
use peal_serve::Clock;
use peal_serve::services::KafkaArgs;
use peal_store::log::kafka::{Storage, create_topics};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::Failure;
use super::process::Observed;
use super::site::Site;
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

/// Starts a cluster with topics of its own.
pub(super) async fn start(services: &Services) -> Result<Site, Failure> {
    let mut kafka = services.kafka.clone();
    kafka.prefix = format!("bench-{}.", Clock::system().now().millis());
    create_topics(kafka.settings(), Storage::default()).await.map_err(io::Error::other)?;
    let own = std::env::current_exe()?;
    let programs = own.parent().unwrap_or(Path::new(".")).to_owned();
    let port = free_ports(NODES + 1)?;
    let nodes: Vec<_> = (1..=NODES).map(|node| format!("ws://127.0.0.1:{}", port + node)).collect();
    let start = |program: &str, listen: u16, words: &[&str]| {
        let mut command = Command::new(programs.join(program));
        command.args(["--listen", &format!("127.0.0.1:{listen}"), "--log", "warn", "--redis", &services.redis.redis]);
        command.args(["--brokers", &kafka.brokers, "--prefix", &kafka.prefix]).args(words);
        command.stdin(Stdio::null()).kill_on_drop(true).spawn()
    };
    let (mut parts, urls) = (Vec::new(), nodes.join(","));
    for node in 0..NODES {
        parts.push(start("peal-node", port + 1 + node, &["--node", &node.to_string(), "--nodes", &urls])?);
    }
    let observed: Vec<_> = parts.iter().filter_map(Child::id).collect();
    parts.push(start("peal-publisher", port, &[])?);
    for port in port..=port + NODES {
        timeout(READY_TIMEOUT, ready(port)).await.map_err(|_| io::Error::other(format!("port {port} is not ready")))?;
    }
    let alone = read_alone(&programs, &kafka).await?;
    let floor = alone.id().map(|id| Observed::new(&[id]));
    parts.push(alone);
    let mut site = Site::of(Api::new(BaseUrl::of_port(port)), nodes, &observed, Box::new(parts));
    site.alone = floor;
    Ok(site)
}

/// Librdkafka alone, once it reads.
async fn read_alone(programs: &Path, kafka: &KafkaArgs) -> io::Result<Part> {
    let topic = format!("{}{}", kafka.prefix, Topic::Notifications);
    let mut floor = Command::new(programs.join("examples/kafka_floor"));
    floor.args([&kafka.brokers, &topic]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut floor = floor.spawn()?;
    let gone = || io::Error::other("kafka_floor does not read");
    let stdout = BufReader::new(floor.stdout.take().ok_or_else(gone)?);
    timeout(READY_TIMEOUT, stdout.lines().next_line()).await??.ok_or_else(gone)?;
    Ok(floor)
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
