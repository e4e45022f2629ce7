//! The words of `peal listen`.

use clap::Args;
use peal_proto::{Cursor, UserId};

use super::Which;

pub(super) const ABOUT: &str = "\
Prints what a user is told, one line a notification, as it happens. What was missed while nobody listened comes first. Ctrl-C \
ends it.

Everything comes once and in order, also when the cluster is stopped, killed or moved meanwhile: the client connects again \
by itself, tells the cluster how far it has got (its cursor), and hides what comes again. The cursor is kept in a file, so \
that the next `peal listen` of the same user and cluster goes on from there:

  $XDG_STATE_HOME/peal/cursors/HOST:PORT/USER     (~/.local/state when that is not set)

What the cluster could not keep is told as a gap. Who sees a notification here has seen it: it is acknowledged, and leaves \
the user's inbox.";

const AFTER: &str = "\
Examples:
  peal listen 42
  peal listen 42 --json | jq .notification.data
  peal listen 42 --count 1                wait for the next notification, print it, and end
  peal listen 42 --no-state               forget what was seen: start with all the cluster still keeps

Exit codes:
  0  ended by Ctrl-C, by --count, or because nobody reads the output any more
  1  the cluster refuses this client for good, or cannot be reached at the start
  2  the command line makes no sense";

/// Print what a user is told, as it happens
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Listen {
    /// Who listens
    pub user: UserId,
    /// Start behind this cursor, such as 3.17, instead of the one that is kept
    #[arg(long)]
    pub cursor: Option<Cursor>,
    /// Neither read nor keep the cursor in a file
    #[arg(long)]
    pub no_state: bool,
    /// Print the frames of the node, one JSON object a line: notifications with their cursors, and gaps
    #[arg(long)]
    pub json: bool,
    /// End after so many notifications
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Do not say on stderr when the connection comes and goes
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}
