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
  peal bench --markdown >> BENCHMARKS.md";

/// Measure memory, throughput and latency on this machine
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Bench {
    /// How many sockets are open
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub sockets: u32,
    /// Print what BENCHMARKS.md holds: the table with commit, machine and command
    #[arg(long)]
    pub markdown: bool,
    /// Measure the nodes of a cluster on Kafka and Redis instead, beside librdkafka reading alone
    #[cfg(feature = "services")]
    #[arg(long)]
    pub services: bool,
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
        (!(100..=14_000).contains(&self.sockets)).then(fault).into_iter().collect()
    }
}
