//! The words of `peal up`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use peal_node::DefenceSettings;
use peal_proto::ShardMap;
use peal_proto::limits::PARTITIONS_DEFAULT;
use peal_publisher::{AdmissionSettings, PushSettings};
use peal_serve::telemetry::LogFormat;

use crate::limits::{NODES_DEFAULT, NODES_MAX, PUSH_AFTER_DEFAULT};

pub(super) const ABOUT: &str = "\
Runs a whole cluster in this process, with nothing beside it: a publisher, which takes events in and serves a page that \
shows the cluster at work, and nodes, which hold the sockets of users. Everything is kept in one directory and survives \
`kill -9` and a loss of power: what was answered with 202 reaches every member.

Ctrl-C (or SIGTERM) stops it in order: what is under way is finished, sockets are told to come back. A second one stops it \
at once, which loses nothing either.";

const AFTER: &str = "\
Examples:
  peal up
  peal up --nodes 6 --port 8000 --data /var/lib/peal
  peal up --listen 0.0.0.0 --advertise peal.example    reachable from other machines
  peal up --port 0                                     any free ports; stdout says which
  PEAL_PUSH_WEBHOOK_SECRET=whsec_… peal up --push-webhook http://127.0.0.1:8000/ --push-after 10s
                                                       posts what users who are away were not told

The number of nodes may change from one run to the next, or while it runs (`peal reshard`), and users move with it; it has to \
divide the number of partitions. That number is chosen when a data directory is made and never changes: 120 has sixteen divisors.";

/// Run a whole cluster in this process
#[derive(Debug, Clone, Args)]
#[command(after_long_help = AFTER)]
pub struct Up {
    /// How many nodes share the users [default: as many as the last time, or 3]
    #[arg(long, short, env = "PEAL_NODES", value_name = "N")]
    pub nodes: Option<u32>,
    /// The publisher's port; the nodes take the ones behind it. 0 for any free ones
    #[arg(long, short, env = "PEAL_PORT", default_value_t = 7000)]
    pub port: u16,
    /// Where everything is kept; made if it is not there
    #[arg(long, short, env = "PEAL_DATA", default_value = "peal-data", value_name = "DIR")]
    pub data: PathBuf,
    /// The address to listen on
    ///
    /// Nothing asks who is calling yet, so this is your own machine unless you say otherwise.
    #[arg(long, env = "PEAL_LISTEN", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    pub listen: IpAddr,
    /// The host name that clients are told to connect to [default: the address of --listen]
    #[arg(long, env = "PEAL_ADVERTISE", value_name = "HOST")]
    pub advertise: Option<String>,
    /// How many partitions a new data directory gets [default: what the directory has, or 120]
    #[arg(long, env = "PEAL_PARTITIONS", value_name = "P")]
    pub partitions: Option<u32>,
    /// How many events a second are let in.
    #[command(flatten)]
    pub admission: AdmissionSettings,
    /// How the nodes defend themselves.
    #[command(flatten)]
    pub defence: DefenceSettings,
    /// To where users who are away are pushed to.
    #[command(flatten)]
    pub push: PushSettings,
    /// How long what was parked waits for its user before it is pushed [default: 1m, where there is somewhere to push to]
    #[arg(long, env = "PEAL_PUSH_AFTER", value_name = "DURATION", help_heading = "Push")]
    pub push_after: Option<humantime::Duration>,
    /// What is logged to stderr: off, error, warn, info, debug or trace, or a list such as warn,peal_node=debug
    #[arg(long, env = "PEAL_LOG", default_value = "warn", value_name = "FILTER")]
    pub log: String,
    /// How it is logged
    #[arg(long, env = "PEAL_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl Up {
    /// The host that clients are told.
    #[must_use]
    pub fn host(&self) -> String {
        let own = || match self.listen {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        self.advertise.clone().unwrap_or_else(own)
    }

    /// The port of the listener `index`, the publisher being 0.
    #[must_use]
    pub fn port_of(&self, index: u16) -> u16 {
        if self.port == 0 { 0 } else { self.port.saturating_add(index) }
    }

    /// How long what was parked waits for its user; `None` when nothing is pushed.
    #[must_use]
    pub fn push_after(&self) -> Option<Duration> {
        self.push.is_on().then(|| self.push_after.map_or(PUSH_AFTER_DEFAULT, Into::into))
    }

    /// Everything that makes no sense.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let nodes = self.nodes.unwrap_or(NODES_DEFAULT);
        if nodes > NODES_MAX {
            faults.push(format!("--nodes {nodes}: one process runs at most {NODES_MAX} nodes"));
        } else if let Some(Err(error)) = self.nodes.map(|nodes| self.map(nodes)) {
            faults.push(format!("--nodes {nodes}: {error}"));
        }
        if u32::from(self.port) + nodes.min(NODES_MAX) > u32::from(u16::MAX) {
            faults.push(format!("--port {}: there are no {nodes} ports behind it", self.port));
        }
        if self.push_after.is_some_and(|after| after.as_millis() < 1_000) {
            faults.push("--push-after: at least a second, or whoever reconnects is pushed to".to_owned());
        }
        if self.listen.is_unspecified() && self.advertise.is_none() {
            let listen = self.listen;
            faults.push(format!("--listen {listen} says nothing that clients could connect to: add --advertise HOST"));
        }
        if self.advertise.as_deref().is_some_and(|host| host.is_empty() || host.contains(['/', '@', ' '])) {
            faults.push("--advertise takes a host name or an address, without a scheme, port or path".to_owned());
        }
        faults
    }

    /// A map of so many nodes, to see whether there can be one.
    fn map(&self, nodes: u32) -> Result<ShardMap, peal_proto::shard::InvalidShardMap> {
        let urls = (0..nodes).map(|node| node.to_string()).collect();
        ShardMap::new(1, self.partitions.unwrap_or(PARTITIONS_DEFAULT), urls)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Command, Peal};
    use super::*;

    fn up(arguments: &[&str]) -> Up {
        let words = ["peal", "up"].iter().chain(arguments);
        let Command::Up(up) = Peal::try_parse_from(words).unwrap().command else { panic!("not up") };
        *up
    }

    #[test]
    fn a_number_of_nodes_that_does_not_divide_is_refused_with_the_nearest_that_do() {
        assert!(up(&[]).faults().is_empty());
        let faults = up(&["--nodes", "7"]).faults().join(" ");
        assert!(faults.contains("7 does not, 6 or 8 would"), "{faults}");
        assert!(up(&["--nodes", "7", "--partitions", "7"]).faults().is_empty());
    }

    #[test]
    fn all_faults_are_told_together() {
        let faults = up(&["--nodes", "0", "--port", "65535", "--listen", "::", "--partitions", "9999"]).faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        let faults = up(&["--nodes", "7", "--port", "65535", "--listen", "0.0.0.0"]).faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn clients_are_told_the_address_of_listen_unless_another_is_advertised() {
        assert_eq!(up(&[]).host(), "127.0.0.1");
        assert_eq!(up(&["--listen", "::1"]).host(), "[::1]");
        assert_eq!(up(&["--listen", "0.0.0.0", "--advertise", "peal.example"]).host(), "peal.example");
    }

    #[test]
    fn rates_are_the_publishers() {
        let rates = up(&["--client-rate", "1000", "--community-rate", "10:50"]).admission;
        assert_eq!([rates.client_rate, rates.community_rate].map(|rate| rate.unwrap().to_string()), ["1000", "10:50"]);
        let error = Peal::try_parse_from(["peal", "up", "--community-rate", "many"]).unwrap_err().to_string();
        assert!(error.contains("'many' for '--community-rate") && error.contains("such as 1000:5000"), "{error}");
    }
}
