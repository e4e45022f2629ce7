//! What can be said to `peal-publisher` on the command line and in `PEAL_*` variables.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use peal_publisher::{AdmissionSettings, CdcSettings, PushSettings};
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
  peal-publisher --cdc-topic shop.public.memberships
                                          the members are a table, whose changes Debezium tells
  PEAL_PUSH_WEBHOOK_SECRET=whsec_… peal-publisher --role push --push-webhook https://shop.example/hooks/peal
                                          posts what users who are away were not told (peal-node --push-after)

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
    pub(crate) admission: AdmissionSettings,
    #[command(flatten)]
    pub(crate) cdc: CdcSettings,
    #[command(flatten)]
    pub(crate) push: PushSettings,
    /// What this process does
    #[arg(long, env = "PEAL_ROLE", default_value = "all", value_name = "ROLE")]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What a process does. Push has its own where an endpoint must not have a part of what fans out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Publishes, and pushes if it is told to where
    All,
    /// Publishes
    Publisher,
    /// Pushes
    Push,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_rate_that_makes_no_sense_is_told_with_its_flag_and_the_right_form() {
        for (flag, value, form) in [
            ("--client-rate", "0", "such as 1000:5000"),
            ("--client-rate", "1000/s", "such as 1000:5000"),
            ("--community-rate", "10:", "both from 1 to 1000000"),
            ("--trusted-proxies", "10.0.0.0/8,proxy", "such as 10.0.0.1, or a network, such as 10.0.0.0/8"),
        ] {
            let text = Flags::try_parse_from(["peal-publisher", flag, value]).unwrap_err().to_string();
            let value = value.rsplit(',').next().unwrap();
            assert!(text.contains(flag) && text.contains(&format!("'{value}'")) && text.contains(form), "{text}");
        }
        let words = ["peal-publisher", "--client-rate", "1000:5000", "--trusted-proxies", "10.0.0.0/8,::1"];
        let flags = Flags::try_parse_from(words).unwrap().admission;
        assert_eq!(flags.client_rate.map(|rate| rate.to_string()).as_deref(), Some("1000:5000"));
        assert_eq!((flags.community_rate, flags.trusted_proxies.len()), (None, 2));
    }
}
