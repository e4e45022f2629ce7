//! The words of `peal batch`.

use std::path::PathBuf;

use clap::Args;

use super::Which;

pub(super) const ABOUT: &str = "\
Posts events of any number, for communities or single users, one JSON object a line (NDJSON). Says how many were accepted, \
were duplicates (accepted before), were refused, and are unknown (they may be stored or not), and why.

What is refused is of no use to send again as it is. What is unknown, or was not sent because something failed before, has to \
be sent again: --failed writes it to a file for that. An item without an id gets one before it is sent, and keeps it in that \
file; so whatever is sent again is told once.";

const AFTER: &str = "\
Examples:
  peal batch letters.ndjson
  peal batch letters.ndjson --failed again.ndjson; peal batch again.ndjson --failed again.ndjson
  jq -c '.[]' array.json | peal batch -
  for user in 1 2 3; do echo '{\"user\":'$user',\"kind\":\"letter.sent\"}'; done | peal batch -

A line is {\"community\":7,\"kind\":\"community.posted\",\"event\":\"<optional id>\",\"data\":{}}, or has \"user\":42 instead of a \
community, for that user alone.

Exit codes:
  0  everything is accepted, now or before
  1  something was not; stderr says what and why
  2  the command line makes no sense";

/// Post many events, one JSON object a line
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Batch {
    /// The events, one JSON object a line; - is stdin
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// Write what has to be sent again to this file, which may be the one that is read: it is replaced at the end
    #[arg(long, value_name = "FILE")]
    pub failed: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
}
