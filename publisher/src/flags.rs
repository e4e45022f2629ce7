//! What can be said to `peal-publisher` on the command line and in `PEAL_*` variables.

use std::net::SocketAddr;

use clap::Parser;
use peal_serve::services::{KafkaArgs, LogArgs, RedisArgs};

const ABOUT: &str = "\
peal-publisher takes events in over HTTP, answers 202 once they are durable in Kafka, and tells each event to every member of \
its community: one record a member in the notification log, exactly once. It reads the members from Redis, where the \
community service keeps them: SADD community:7:members 1 2 3.";

const AFTER: &str = "\
Examples:
  peal-publisher
  PEAL_BROKERS=kafka:9092 PEAL_REDIS=redis://redis peal-publisher --listen 0.0.0.0:7000
  peal-publisher --members 'social:<c>:users'     the community service has other names for its sets

Paths:
  /v1/communities/…  /v1/events/…  /v1/locate   see the README
  /                                             a page to try it
  /healthz  /readyz  /metrics                   alive; takes events in and fans them out; Prometheus

Exit codes: 0 stopped when asked to · 1 it failed, one line says why · 2 the command line makes no sense";

/// Takes events in and tells them to the members of their communities
#[derive(Debug, Parser)]
#[command(name = "peal-publisher", version, long_about = ABOUT, after_long_help = AFTER, max_term_width = 110)]
pub(crate) struct Flags {
    /// Where to listen
    #[arg(long, env = "PEAL_LISTEN", default_value = "127.0.0.1:7000", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) kafka: KafkaArgs,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }
}
