//! The words of `peal dead-letters`.

use clap::{Args, Subcommand};
use peal_proto::LetterId;

use super::Which;

pub(super) const ABOUT: &str = "\
What could not be processed: records of the log that are no events or no notifications, written by other programs or by \
another version. Each is kept as a dead letter, with the reason, for as long as the log keeps anything (8 days). `list` prints \
them, `show` one with what it held, `replay` puts records back where they came from.

A dead letter is known by its id, such as 7-0, which `list` prints first.";

const AFTER: &str = "\
Examples:
  peal dead-letters list
  peal dead-letters list --json | jq -r 'select(.topic == \"peal.events\").letter'
  peal dead-letters show 7-0
  peal dead-letters replay 7-0 7-1
  peal dead-letters replay --all";

const LIST_ABOUT: &str = "\
Prints all dead letters, one a line, by their ids: partition after partition, and in each the newest last. Those that were \
replayed are among them.";

const LIST_AFTER: &str = "\
Examples:
  peal dead-letters list
  peal dead-letters list --json | jq -r .reason | sort | uniq -c        how many there are of each reason";

const SHOW_ABOUT: &str = "\
Prints the reason, where the record stands, and what it held. Bytes that are no text are written as in \\xff.";

const SHOW_AFTER: &str = "\
Examples:
  peal dead-letters show 7-0
  peal dead-letters show 7-0 --json | jq -r .value";

const REPLAY_ABOUT: &str = "\
Appends records again, as they were, to the topic and partition they came from. Do away with the reason first, for example by \
an update: a record that still can't be processed becomes another dead letter, whose attempt is one higher. Letters stay where \
they are; those that were replayed say so, and are replayed once more only with --again.

To replay an event twice is harmless: it is told once, for as long as its id is known (a day at least). A notification is told \
each time.";

const REPLAY_AFTER: &str = "\
Examples:
  peal dead-letters replay 7-0
  peal dead-letters list --json | jq -r 'select(.topic == \"peal.events\").letter' | xargs peal dead-letters replay
  peal dead-letters replay --all

Exit codes:
  0  all of them stand in the log again
  1  some do not; stderr says which and why
  2  the command line makes no sense";

/// List, show or replay what could not be processed
#[derive(Debug, Args)]
#[command(after_long_help = AFTER, subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
pub struct DeadLetters {
    #[command(flatten)]
    pub(crate) which: Which,
    /// What to do with them.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print all of them, one a line
    #[command(long_about = LIST_ABOUT, after_long_help = LIST_AFTER)]
    List(List),
    /// Print one, with what its record held
    #[command(long_about = SHOW_ABOUT, after_long_help = SHOW_AFTER)]
    Show(Show),
    /// Put records back where they came from
    #[command(long_about = REPLAY_ABOUT, after_long_help = REPLAY_AFTER)]
    Replay(Replay),
}

/// Print all of them.
#[derive(Debug, Args)]
pub struct List {
    /// Print the JSON of the publisher, one letter a line
    #[arg(long)]
    pub json: bool,
}

/// Print one.
#[derive(Debug, Args)]
pub struct Show {
    /// The id, as `list` printed it
    #[arg(value_name = "ID")]
    pub letter: LetterId,
    /// Print the JSON of the publisher
    #[arg(long)]
    pub json: bool,
}

/// Put records back.
#[derive(Debug, Args)]
pub struct Replay {
    /// The ids, as `list` printed them
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub letters: Vec<LetterId>,
    /// Replay every letter that there is when the command starts, and was not replayed
    #[arg(long, conflicts_with = "letters")]
    pub all: bool,
    /// Replay once more what was replayed before
    #[arg(long)]
    pub again: bool,
}
