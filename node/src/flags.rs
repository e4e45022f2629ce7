//! What can be said to `peal-node` on the command line and in `PEAL_*` variables, and whether it makes sense.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use humantime::Duration;
use peal_node::DefenceSettings;
use peal_serve::services::{KafkaArgs, LogArgs, RedisArgs};

const ABOUT: &str = "\
peal-node is one socket node of a Peal cluster: it reads its partitions of the notification log in Kafka, delivers each \
notification to the sockets of its user, and parks it in Redis for users who are away.

Users belong to nodes by user % N, where N divides the partitions. The first node that starts puts the shard map of --nodes into \
Redis; from then on that map says who has what, and `peal reshard N` changes N while everything runs. A node whose number the \
map does not name waits until it does. A partition is read by the node that holds its lease in Redis; that of a node which \
died runs out.

SIGTERM drains: the node gives its partitions to the others, a few at a time, and their users with them; then it ends. When a \
process of its number starts again, it gets them back.";

const AFTER: &str = "\
Examples:
  peal-node --node 0 --nodes ws://127.0.0.1:7001,ws://127.0.0.1:7002 --listen 127.0.0.1:7001
  peal-node --node auto --nodes 3 --url 'ws://node-{}.example:7001' --listen 0.0.0.0:7001     in a StatefulSet
  PEAL_BROKERS=kafka:9092 PEAL_REDIS=redis://redis peal-node --node 0 --nodes ws://node-0.example:7001 --listen 0.0.0.0:7001
  peal-node … --kafka security.protocol=ssl --kafka ssl.ca.location=/etc/ca.pem

Paths:
  /v1/socket?user=42[&cursor=1.17]   the WebSocket of a user
  /v1/locate?user=42                 which node owns a user
  /healthz  /readyz  /metrics        alive; reading and hearing all its partitions, none of which stalls; Prometheus

Exit codes: 0 stopped when asked to · 1 it failed, one line says why · 2 the command line makes no sense";

/// One socket node of a Peal cluster
#[derive(Debug, Parser)]
#[command(name = "peal-node", version, long_about = ABOUT, after_long_help = AFTER, max_term_width = 110)]
pub(crate) struct Flags {
    /// Which node this is, from 0; `auto` takes the number at the end of the host name, as a StatefulSet gives it
    #[arg(long, env = "PEAL_NODE", value_name = "NUMBER|auto")]
    node: Number,
    /// The nodes of the first shard map: where clients reach each, in the order of their numbers (ws://HOST:PORT or wss://HOST), or
    /// with --url how many there are
    #[arg(long, env = "PEAL_NODES", value_name = "URL,…|N", value_delimiter = ',', required = true)]
    nodes: Vec<String>,
    /// Where clients reach this node; {} stands for its number [default: what --nodes says]
    #[arg(long, env = "PEAL_NODE_URL", value_name = "URL")]
    url: Option<String>,
    /// Where to listen
    #[arg(long, env = "PEAL_LISTEN", default_value = "127.0.0.1:7001", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// How long a lease on a partition lasts without being renewed; so long its users wait when a node dies
    #[arg(long, env = "PEAL_LEASE", default_value = "5s", value_name = "DURATION")]
    pub(crate) lease: Duration,
    /// Over how long SIGTERM spreads that the others take this node's partitions and users
    #[arg(long, env = "PEAL_DRAIN", default_value = "20s", value_name = "DURATION")]
    pub(crate) drain: Duration,
    /// How long a partition may be quiet before a canary is sent through it, to see that the node hears
    #[arg(long, env = "PEAL_CANARY", default_value = "15s", value_name = "DURATION")]
    pub(crate) canary: Duration,
    /// How long a parked notification waits for its user before it may be pushed by `peal-publisher --role push` [default: nothing
    /// is pushed]
    #[arg(long, env = "PEAL_PUSH_AFTER", value_name = "DURATION")]
    pub(crate) push_after: Option<Duration>,
    /// Carry sockets of users of other nodes to their owners, and tell clients this URL, at which any node may answer, instead of
    /// the nodes' [default: such sockets are refused with 421]
    #[arg(long, env = "PEAL_RELAY", value_name = "URL")]
    pub(crate) relay: Option<String>,
    #[command(flatten)]
    pub(crate) defence: DefenceSettings,
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

    /// Which node this is.
    pub(crate) fn node(&self) -> u32 {
        self.node.0
    }

    /// Where clients reach this node. What makes no sense was refused before.
    pub(crate) fn url(&self) -> String {
        self.url_of(self.node.0).unwrap_or_default()
    }

    /// Where clients reach the nodes of the first map, by number.
    pub(crate) fn urls(&self) -> Vec<String> {
        match self.count() {
            Some(nodes) => (0..nodes).filter_map(|node| self.url_of(node)).collect(),
            None => self.nodes.clone(),
        }
    }

    /// Where --nodes says how many there are.
    fn count(&self) -> Option<u32> {
        let [nodes] = self.nodes.as_slice() else { return None };
        nodes.parse().ok()
    }

    fn url_of(&self, node: u32) -> Option<String> {
        let of_template = |url: &String| url.replace("{}", &node.to_string());
        let listed = || self.nodes.get(node as usize).filter(|_| self.count().is_none()).cloned();
        self.url.as_ref().map(of_template).or_else(listed)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(relay) = &self.relay {
            if !is_url(relay) {
                faults.push(format!(
                    "--relay: {relay:?} is no URL that clients could connect to, such as wss://peal.example"
                ));
            }
            for url in self.urls().iter().filter(|url| url.starts_with("wss://")) {
                faults.push(format!("--relay: nodes reach each other without TLS, so {url} has to be ws://"));
            }
        }
        let (node, nodes) = (self.node.0, self.nodes.len());
        match (self.count(), &self.url) {
            (Some(_), None) => faults.push("--nodes says how many there are: say with --url where they are".to_owned()),
            (Some(2..), Some(url)) if !url.contains("{}") => {
                faults.push(format!("--url {url:?} is the same for all nodes: let {{}} stand where their number is"));
            }
            (None, None) if node as usize >= nodes => faults.push(format!(
                "--node {node}: --nodes names {nodes}, whose numbers are from 0 to {}; say with --url where this one is",
                nodes - 1
            )),
            (_, _) => {}
        }
        let listed = self.nodes.iter().filter(|_| self.count().is_none()).map(|url| ("--nodes", url.clone()));
        let own = self.url.is_some().then(|| ("--url", self.url()));
        for (flag, url) in listed.chain(own).filter(|(_, url)| !is_url(url)) {
            faults.push(format!("{flag}: {url:?} is no URL that clients could connect to, such as ws://10.0.0.1:7001"));
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

/// The number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u32);

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidNumber {
    #[error("a number from 0, or auto, not {0:?}")]
    Text(String),
    #[error(
        "the host name {0:?} does not end in a number, as that of a pod in a StatefulSet does: say which node this is"
    )]
    HostName(String),
}

impl FromStr for Number {
    type Err = InvalidNumber;

    fn from_str(text: &str) -> Result<Self, InvalidNumber> {
        if text == "auto" {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            return of_host(&host).ok_or(InvalidNumber::HostName(host));
        }
        text.parse().map(Self).map_err(|_| InvalidNumber::Text(text.to_owned()))
    }
}

/// `peal-node-3` and `peal-node-3.peal` are number 3.
fn of_host(host: &str) -> Option<Number> {
    let name = host.split('.').next().unwrap_or_default();
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok().map(Number)
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
    fn a_relay_takes_a_url_of_its_own_and_reaches_nodes_without_tls() {
        assert_eq!(faults(&["--node", "0", "--nodes", "ws://a", "--relay", "wss://peal.example"]), "");
        let both = faults(&["--node", "0", "--nodes", "wss://a", "--relay", "peal.example"]);
        assert!(both.contains(r#""peal.example" is no URL"#) && both.contains("wss://a has to be ws://"), "{both}");
    }

    #[test]
    fn what_a_node_takes_is_bounded_as_it_is_told() {
        let words = ["peal-node", "--node", "0", "--nodes", "ws://a", "--handshake-rate", "50", "--memory-max", "1GiB"];
        let flags = Flags::try_parse_from(words).unwrap();
        let limits = flags.defence.applied_to(peal_node::limits::Limits::default());
        assert_eq!((limits.handshakes_per_second, limits.handshakes_max), (50, 512));
        assert_eq!(limits.memory_max, Some(1 << 30));
        let refused = Flags::try_parse_from(words.map(|word| if word == "1GiB" { "1GB" } else { word }));
        assert!(refused.unwrap_err().to_string().contains("as in 512MiB"));
    }

    #[test]
    fn a_number_beyond_the_nodes_and_what_is_no_url_are_refused_together() {
        assert_eq!(faults(&["--node", "1", "--nodes", "ws://a:1,wss://b"]), "");
        let both = faults(&["--node", "2", "--nodes", "http://a:1,ws://b"]);
        assert!(both.contains("from 0 to 1") && both.contains("http://a:1"), "{both}");
        assert!(faults(&["--node", "0", "--nodes", "ws://a", "--lease", "10ms"]).contains("--lease 10ms"));
    }

    #[test]
    fn urls_come_from_a_list_or_from_how_many_there_are_and_where() {
        let flags = |words: &[&str]| Flags::try_parse_from(["peal-node"].iter().chain(words)).unwrap();
        let listed = flags(&["--node", "1", "--nodes", "ws://a,ws://b"]);
        assert_eq!((listed.url(), listed.urls().len()), ("ws://b".to_owned(), 2));
        let counted = flags(&["--node", "4", "--nodes", "3", "--url", "ws://node-{}.example"]);
        assert_eq!((counted.url().as_str(), counted.faults().len()), ("ws://node-4.example", 0));
        assert_eq!(counted.urls(), ["ws://node-0.example", "ws://node-1.example", "ws://node-2.example"]);
        let beyond = flags(&["--node", "2", "--nodes", "ws://a,ws://b", "--url", "ws://c"]);
        assert_eq!((beyond.url().as_str(), beyond.faults().len()), ("ws://c", 0));
        assert!(faults(&["--node", "0", "--nodes", "3"]).contains("say with --url"));
        assert!(faults(&["--node", "0", "--nodes", "3", "--url", "ws://a"]).contains("the same for all"));
    }

    #[test]
    fn the_number_of_a_pod_is_at_the_end_of_its_name() {
        assert_eq!(of_host("peal-node-12"), Some(Number(12)));
        assert_eq!(of_host("peal-node-3.peal.svc"), Some(Number(3)));
        assert_eq!(of_host("laptop"), None);
        assert!(
            Flags::try_parse_from(["peal-node", "--node", "x", "--nodes", "ws://a"])
                .unwrap_err()
                .to_string()
                .contains("or auto")
        );
    }
}
