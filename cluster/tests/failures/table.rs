//! The table: what each row found, on the terminal and in a file.

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::trial::Outcome;

const HEAD: &str = "\
# Failures

Written by `make failure-table`; do not edit. Each row starts a publisher and three nodes as processes
of their own, on a real Kafka and a real Redis, puts them under load, and breaks something for real. 54 WebSocket clients (some
always there, some on and off, some only in the end, some with two sockets) record what they see, and a checker compares it
with what was answered `202`: everything, once, in order.

*Back* is how long it took from the end of the fault, or from a kill, until what was posted after it arrived at clients of all
nodes; the longest, where there were several. *Repeats* came twice on the wire and were hidden by the client's cursor. *Peak*
is the most memory a process ever had (VmHWM): the largest node, and the publisher.
";

const COLUMNS: &str = "\
| fault | injected by | events | seen | lost | seen twice | out of order | repeats | back | peak node, publisher |
|---|---|---|---|---|---|---|---|---|---|
";

pub(crate) struct Entry {
    pub(crate) fault: &'static str,
    pub(crate) how: &'static str,
    pub(crate) outcome: Result<Outcome, String>,
    pub(crate) took: Duration,
}

#[derive(Default)]
pub(crate) struct Table(Vec<Entry>);

impl Table {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(crate) fn failed(&self) -> usize {
        self.0.iter().filter(|entry| entry.outcome.is_err()).count()
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut text = String::from(HEAD);
        let (rows, took) = (self.0.len(), self.0.iter().map(|entry| entry.took).sum::<Duration>());
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let cores = thread::available_parallelism()?;
        write!(text, "\nThis run: {rows} rows in {} s, a {build} build on {cores} cores.\n", took.as_secs())
            .map_err(io::Error::other)?;
        write!(text, "\n{COLUMNS}{self}").map_err(io::Error::other)?;
        text.push_str("\n## What held beside\n");
        for Entry { fault, outcome, .. } in &self.0 {
            let held = outcome.as_ref().map(|outcome| outcome.held.join("; ")).unwrap_or_default();
            if !held.is_empty() {
                writeln!(text, "- **{fault}**: {held}.").map_err(io::Error::other)?;
            }
        }
        fs::write(path, text)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|entry| entry.line(f))
    }
}

impl Entry {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, how, outcome, .. } = self;
        let Ok(Outcome { verdict, back, peaks, .. }) = outcome else {
            return writeln!(f, "| {fault} | {how} | **failed** | | | | | | | |");
        };
        write!(f, "| {fault} | {how} | {} | {} | ", verdict.events, verdict.seen)?;
        write!(f, "{} | {} | {} | ", verdict.lost.len(), verdict.twice.len(), verdict.swapped.len())?;
        match back.iter().max() {
            Some(longest) => write!(f, "{} | {:.1} s | ", verdict.repeats, longest.as_secs_f64())?,
            None => write!(f, "{} | — | ", verdict.repeats)?,
        }
        writeln!(f, "{}, {} MiB |", peaks.node / 1_024, peaks.publisher / 1_024)
    }
}

impl fmt::Display for Entry {
    /// For the terminal, as soon as it is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.took.as_secs();
        let outcome = match &self.outcome {
            Ok(outcome) => outcome,
            Err(why) => return write!(f, "  FAILED after {took} s: {why}"),
        };
        let Outcome { verdict, back, peaks, held } = outcome;
        writeln!(f, "  ok in {took} s: {verdict}")?;
        let back: Vec<_> = back.iter().map(|back| format!("{:.1}", back.as_secs_f64())).collect();
        write!(f, "  back after {} s; ", back.join(", "))?;
        write!(f, "peak node {} MiB, publisher {} MiB", peaks.node / 1_024, peaks.publisher / 1_024)?;
        held.iter().try_for_each(|held| write!(f, "\n  {held}"))
    }
}
