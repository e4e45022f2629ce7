//! The words of `peal reshard` and `peal status`.

use clap::Args;

use super::Which;

pub(super) const ABOUT: &str = "\
Spreads the partitions, and with them the users, over another number of nodes, while everything runs: a few partitions at a \
time, each silent for less than two seconds, nothing lost, nothing told twice. The number has to divide the number of \
partitions.

It says how far it is, and ends when it is done. Whatever ends it, the cluster goes on by itself; the same command again looks \
on. Another number may be given at any time. Nodes that are not there yet are waited for: on `peal up` they come and go by \
themselves, elsewhere start those of the higher numbers, and stop them once it is done.";

const AFTER: &str = "\
Examples:
  peal reshard 6
  peal reshard 4 --no-wait
  kubectl -n peal scale statefulset/peal-node --replicas 4      on Kubernetes: `peal controller` asks for it";

/// Spread the users over another number of nodes
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Reshard {
    /// How many nodes
    #[arg(value_name = "N")]
    pub nodes: u32,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

pub(super) const STATUS_ABOUT: &str = "\
Shows the nodes, which partitions they own and read, how far those are behind, and what is moving. In a terminal it goes on \
showing that until Ctrl-C; elsewhere, and with --once, it shows it once.";

const STATUS_AFTER: &str = "\
Examples:
  peal status
  peal status --once
  peal status --json | jq '.owners[] | select(.lag > 100)'";

/// Show the nodes, their partitions, and what is moving
#[derive(Debug, Args)]
#[command(after_long_help = STATUS_AFTER)]
pub struct Status {
    /// Show it once, in a terminal too
    #[arg(long)]
    pub once: bool,
    /// Print the JSON of the publisher, once
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}
