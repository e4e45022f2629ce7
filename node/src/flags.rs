//! What can be said to `peal-node` on the command line and in `PEAL_*` variables, and whether it makes sense.

use std::net::SocketAddr;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use humantime::Duration;
use peal_serve::services::{KafkaArgs, LogArgs, RedisArgs};

const ABOUT: &str = "\
peal-node is one socket node of a Peal cluster: it reads its partitions of the notification log in Kafka, delivers each \
notification to the sockets of its user, and parks it in Redis for users who are away.

Users belong to nodes by user % N. Every node is told the URLs of all nodes, in the order of their numbers; N is how many \
there are, and divides the partitions. A partition is read by the node that holds its lease in Redis; that of a node which \
died runs out.";

const AFTER: &str = "\
Examples:
  peal-node --node 0 --nodes ws://127.0.0.1:7001,ws://127.0.0.1:7002 --listen 127.0.0.1:7001
  PEAL_BROKERS=kafka:9092 PEAL_REDIS=redis://redis peal-node --node 0 --nodes ws://node-0.example:7001 --listen 0.0.0.0:7001
  peal-node … --kafka security.protocol=ssl --kafka ssl.ca.location=/etc/ca.pem

Paths:
  /v1/socket?user=42[&cursor=1.17]   the WebSocket of a user
  /v1/locate?user=42                 which node owns a user
  /healthz  /readyz  /metrics        alive; reading and hearing all its partitions; Prometheus

Exit codes: 0 stopped when asked to · 1 it failed, one line says why · 2 the command line makes no sense";

/// One socket node of a Peal cluster
#[derive(Debug, Parser)]
#[command(name = "peal-node", version, long_about = ABOUT, after_long_help = AFTER, max_term_width = 110)]
pub(crate) struct Flags {
    /// Which node this is, from 0
    #[arg(long, env = "PEAL_NODE", value_name = "NUMBER")]
    pub(crate) node: u32,
    /// Where clients reach each node, in the order of their numbers: ws://HOST:PORT or wss://HOST
    #[arg(long, env = "PEAL_NODES", value_name = "URL,…", value_delimiter = ',', required = true)]
    pub(crate) nodes: Vec<String>,
    /// Where to listen
    #[arg(long, env = "PEAL_LISTEN", default_value = "127.0.0.1:7001", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// How long a lease on a partition lasts without being renewed; so long its users wait when a node dies
    #[arg(long, env = "PEAL_LEASE", default_value = "5s", value_name = "DURATION")]
    pub(crate) lease: Duration,
    /// How long a partition may be quiet before a canary is sent through it, to see that the node hears
    #[arg(long, env = "PEAL_CANARY", default_value = "15s", value_name = "DURATION")]
    pub(crate) canary: Duration,
    /// How long a parked notification waits for its user before it may be pushed by `peal-publisher --role push` [default: nothing
    /// is pushed]
    #[arg(long, env = "PEAL_PUSH_AFTER", value_name = "DURATION")]
    pub(crate) push_after: Option<Duration>,
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl Flags {
    /// Reads the command line and the environment. Help, version and what makes no sense end the process here.
    pub(crate) fn read() -> Self {
        let flags = Self::parse();
        let faults = flags.faults();
        if !faults.is_empty() {
            Self::command().error(ErrorKind::ValueValidation, faults.join("\n       ")).exit();
        }
        flags
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.node as usize >= self.nodes.len() {
            let (node, nodes) = (self.node, self.nodes.len());
            faults.push(format!("--node {node}: --nodes names {nodes}, whose numbers are from 0 to {}", nodes - 1));
        }
        for url in self.nodes.iter().filter(|url| !is_url(url)) {
            faults
                .push(format!("--nodes: {url:?} is no URL that clients could connect to, such as ws://10.0.0.1:7001"));
        }
        let waits = [("--lease", Some(self.lease)), ("--canary", Some(self.canary)), ("--push-after", self.push_after)];
        for (flag, given) in waits.into_iter().filter_map(|(flag, given)| Some((flag, given?))) {
            if given.as_millis() < 1_000 {
                faults.push(format!("{flag} {given}: at least a second, or the waits of a busy network end it"));
            }
        }
        faults
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("ws://").or_else(|| text.strip_prefix("wss://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(words: &[&str]) -> String {
        let words = ["peal-node"].iter().chain(words);
        Flags::try_parse_from(words).unwrap().faults().join(" ")
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_number_beyond_the_nodes_and_what_is_no_url_are_refused_together() {
        assert_eq!(faults(&["--node", "1", "--nodes", "ws://a:1,wss://b"]), "");
        let both = faults(&["--node", "2", "--nodes", "http://a:1,ws://b"]);
        assert!(both.contains("from 0 to 1") && both.contains("http://a:1"), "{both}");
        assert!(faults(&["--node", "0", "--nodes", "ws://a", "--lease", "10ms"]).contains("--lease 10ms"));
    }
}
