//! What became of the items of a batch, and what has to be sent again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Failure;
use super::again::Again;
use super::lines::{Line, refused};
use crate::api::{ItemAnswer, Outcome};
use crate::output::{self, printable};

/// Counts, and writes down what has to be sent again if that is wanted.
pub(super) struct Ledger<'a> {
    accepted: u64,
    duplicate: u64,
    pub(super) refused: u64,
    unknown: u64,
    /// The first and the last line of these.
    unknown_lines: Option<(u64, u64)>,
    /// Why the first of them is.
    why: Option<String>,
    not_sent: u64,
    /// Nothing behind this line was sent.
    sent_up_to: Option<u64>,
    again: Option<(&'a Path, Again)>,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(path: Option<&'a Path>) -> Result<Self, Failure> {
        let again = |path: &'a Path| Again::create(path).map(|again| (path, again)).map_err(|e| unwritable(path, e));
        Ok(Self {
            accepted: 0,
            duplicate: 0,
            refused: 0,
            unknown: 0,
            unknown_lines: None,
            why: None,
            not_sent: 0,
            sent_up_to: None,
            again: path.map(again).transpose()?,
        })
    }

    /// Whether it is written down what has to be sent again.
    pub(super) fn writes_down(&self) -> bool {
        self.again.is_some()
    }

    pub(super) fn answered(&mut self, line: &Line, answer: &ItemAnswer) -> Result<(), Failure> {
        match answer.result {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Refused => {
                self.refused += 1;
                refused(line.number, &answer.detail);
            }
            Outcome::Unknown => {
                if !self.writes_down() {
                    output::remark(format!("peal: line {} is unknown: {}", line.number, printable(&answer.detail)));
                }
                self.why.get_or_insert_with(|| answer.detail.clone());
                self.not_answered(line)?;
            }
        }
        Ok(())
    }

    /// It may be stored or not.
    pub(super) fn not_answered(&mut self, line: &Line) -> Result<(), Failure> {
        self.unknown += 1;
        let first = self.unknown_lines.map_or(line.number, |(first, _)| first);
        self.unknown_lines = Some((first, line.number));
        self.write_down(line)
    }

    /// Nothing behind this line was sent.
    pub(super) fn stopped_behind(&mut self, line: u64) {
        self.sent_up_to = Some(line);
    }

    pub(super) fn not_sent(&mut self, line: &Line) -> Result<(), Failure> {
        self.not_sent += 1;
        self.write_down(line)
    }

    fn write_down(&mut self, line: &Line) -> Result<(), Failure> {
        let Some((path, again)) = &mut self.again else { return Ok(()) };
        again.line(&line.item).map_err(|error| unwritable(path, error))
    }

    /// `98 accepted, 1 duplicate, 1 refused, 0 unknown in 0.4 s: 250 a second`.
    pub(super) fn summary(&self, took: Duration) -> String {
        let Self { accepted, duplicate, refused, unknown, not_sent, .. } = self;
        let left = if *not_sent > 0 { format!(", {not_sent} not sent") } else { String::new() };
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
        let rate = (accepted + duplicate + refused + unknown) as f64 / seconds.max(0.001);
        format!(
            "{accepted} accepted, {duplicate} duplicate, {refused} refused, {unknown} unknown{left} in {seconds:.1} s: {rate:.0} a \
             second"
        )
    }

    /// Puts the file in its place. `why` the answers ended, if they ended too early.
    ///
    /// # Errors
    /// When not everything is accepted.
    pub(super) fn close(self, why: Option<String>) -> Result<(), Failure> {
        let (what, remedy) = (self.left(), self.remedy());
        let all = self.accepted + self.duplicate + self.refused + self.unknown;
        if let Some((path, again)) = self.again {
            again.keep().map_err(|error| unwritable(path, error))?;
        }
        match (what, self.refused) {
            (Some(what), _) => {
                let ended = || "the publisher reads no more of this batch".to_owned();
                let why = printable(&why.or(self.why).unwrap_or_else(ended));
                Err(Failure::Stopped { why, what, remedy })
            }
            (None, 0) => Ok(()),
            (None, count) => Err(Failure::Refused { count, all }),
        }
    }

    /// What has to be sent again, if anything.
    fn left(&self) -> Option<String> {
        let unknown = self.unknown_lines.map(|(first, last)| match self.unknown {
            1 => format!("Line {first} may be stored or not"),
            items => format!("{items} items of lines {first} to {last} may be stored or not"),
        });
        let some_left = self.again.is_none() || self.not_sent > 0;
        let not_sent = self.sent_up_to.filter(|_| some_left).map(|line| format!("othing behind line {line} was sent"));
        match (unknown, not_sent) {
            (Some(unknown), Some(not_sent)) => Some(format!("{unknown}, and n{not_sent}")),
            (None, Some(not_sent)) => Some(format!("N{not_sent}")),
            (unknown, None) => unknown,
        }
    }

    fn remedy(&self) -> String {
        if let Some((path, _)) = &self.again {
            return format!("What has to be sent again stands in {0}: peal batch {0}", path.display());
        }
        let first = self.unknown_lines.map(|(first, _)| first).or(self.sent_up_to.map(|line| line + 1));
        format!(
            "Send it again from line {} on; an item without an id of its own may be told twice then, unless --failed wrote it down",
            first.unwrap_or(1)
        )
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> Failure {
    Failure::Unwritable { path: PathBuf::from(path), source }
}
