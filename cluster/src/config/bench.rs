//! The words of `peal bench`.

use clap::Args;
#[cfg(feature = "services")]
use peal_serve::services::{KafkaArgs, RedisArgs};

pub(super) const ABOUT: &str = "\
Measures on this machine, in two to three minutes: resident memory of an idle socket, deliveries and handshakes per second \
of CPU time of the server, and the time from the 202 of a post to the socket. Every number stands beside its floor: a loop \
that writes the same frames to the same number of sockets and does nothing else.

The server is a process of its own, on a data directory and ports of its own that are gone afterwards.";

const AFTER: &str = "\
Examples:
  peal bench
  peal bench --sockets 2000                        a quick look
  peal bench --markdown >> BENCHMARKS.md
  peal bench --joins 5000                          an ordinary minute, in which no join may fail";

/// Measure memory, throughput and latency on this machine
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Bench {
    /// How many sockets are open
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub sockets: u32,
    /// Post so many joins a second to `peal up` instead, whether they are answered or not; fails if one of them does
    #[arg(long, value_name = "N")]
    pub joins: Option<u32>,
    /// For how long
    #[arg(long, default_value_t = 60, value_name = "S", requires = "joins")]
    pub seconds: u32,
    /// Print what BENCHMARKS.md holds: the table with commit, machine and command
    #[arg(long)]
    pub markdown: bool,
    /// Measure a cluster on Kafka and Redis instead: its nodes, beside librdkafka reading alone, or with --joins its publisher
    #[cfg(feature = "services")]
    #[arg(long)]
    pub services: bool,
    /// Measure what its publisher costs: joins, a large event and a batch, beside a bare handler around librdkafka
    #[cfg(feature = "services")]
    #[arg(long, requires = "services", conflicts_with = "joins")]
    pub publisher: bool,
    /// Where these are; the Redis should be empty.
    #[cfg(feature = "services")]
    #[command(flatten)]
    pub on: Services,
}

/// Kafka and Redis.
#[cfg(feature = "services")]
#[derive(Debug, Clone, Args)]
pub struct Services {
    /// The log.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The rest.
    #[command(flatten)]
    pub redis: RedisArgs,
}

/// Write frames to sockets and do nothing else
#[derive(Debug, Args)]
pub struct Floor {
    /// How many sockets will come
    #[arg(long)]
    pub sockets: usize,
    /// Bytes of a frame
    #[arg(long)]
    pub frame_bytes: usize,
}

impl Bench {
    /// Everything that makes no sense.
    pub(super) fn faults(&self) -> Vec<String> {
        let fault = || "--sockets takes 100 to 14000: the ports of one address are not more".to_owned();
        let mut faults: Vec<_> = (!(100..=14_000).contains(&self.sockets)).then(fault).into_iter().collect();
        if !(1..=1_000_000).contains(&self.joins.unwrap_or(1)) {
            faults.push("--joins takes 1 to 1000000 a second".to_owned());
        }
        if !(1..=3_600).contains(&self.seconds) {
            faults.push("--seconds takes 1 to 3600".to_owned());
        }
        faults
    }
}
