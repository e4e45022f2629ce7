//! The words of `peal topics`.

use clap::{Args, Subcommand};
use peal_serve::services::KafkaArgs;

pub(super) const ABOUT: &str = "\
Make or check the topics of a cluster in Kafka: peal.notifications and peal.dead-letters with the number of \
partitions that is given, peal.events, peal.receipts and peal.offline with a twentieth of it (and two at least), and peal.stamp, which says for life how many these are and which \
incarnation of the log it is.";

const AFTER: &str = "\
Examples:
  peal topics create --brokers kafka:9092                  120 partitions, as many copies as Kafka's default says
  peal topics create --partitions 720 --copies 3           for a large site; two of three brokers answer for a record
  peal topics check                                        what the log was made with, and whether all is there

What is there already is checked and left as it is. The number of partitions never changes: users would move. Choose one with \
many divisors, because the number of nodes divides it.";

/// Make or check the topics of a cluster in Kafka
#[derive(Debug, Clone, Args)]
#[command(after_long_help = AFTER)]
pub struct Topics {
    /// What to do with them.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the topics.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Make what is missing
    Create(Create),
    /// Say what the log was made with, and whether all is there
    Check(Check),
}

/// Make what is missing.
#[derive(Debug, Clone, Args)]
pub struct Create {
    /// Brokers that keep each record [default: Kafka's]
    #[arg(long, env = "PEAL_COPIES", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub copies: Option<u16>,
    /// Where.
    #[command(flatten)]
    pub kafka: KafkaArgs,
}

/// Say what is there.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Where.
    #[command(flatten)]
    pub kafka: KafkaArgs,
}
