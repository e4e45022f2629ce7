//! Committing: how far the partition is settled, written back to the log no more often than it pays.
//!
//! All partitions of a node do so at the same moments of its clock, because a log that takes many at once takes them for
//! little more than one: an fsync, or a request to Kafka, for all of them.
//!
//! The commit carries the inbox's marker and the replay floor, so that whoever reads the partition next can tell whether
//! the inbox still has what the commit relies on.

use std::time::Duration;

use peal_proto::Settled;

/// When to commit, and that one commit is in flight at a time.
#[derive(Debug)]
pub(super) struct Committer {
    committed: Settled,
    in_flight: Option<Settled>,
    interval: Duration,
    due: Option<Duration>,
}

impl Committer {
    pub(super) fn new(committed: Settled, interval: Duration) -> Self {
        Self { committed, in_flight: None, interval, due: None }
    }

    /// Something was settled, or unsettled by a rewind: sets the time of the next commit.
    pub(super) fn note(&mut self, settled: Settled, now: Duration) {
        if self.due.is_none() && settled != self.in_flight.unwrap_or(self.committed) {
            self.due = Some(next_multiple(self.interval, now));
        }
    }

    /// Commits no later than now.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.due = Some(now);
    }

    /// Starts a commit if one is due and none is in flight.
    pub(super) fn start(&mut self, settled: Settled, now: Duration) -> Option<Settled> {
        if self.in_flight.is_some() || self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        self.in_flight = Some(settled);
        Some(settled)
    }

    /// The commit in flight is there; what was committed.
    pub(super) fn done(&mut self) -> Settled {
        self.committed = self.in_flight.take().unwrap_or(self.committed);
        self.committed
    }

    /// The commit in flight failed: another is due after a while.
    pub(super) fn failed(&mut self, retry_at: Duration) {
        self.in_flight = None;
        self.due = Some(retry_at);
    }

    /// What is known to be committed.
    pub(super) fn committed(&self) -> Settled {
        self.committed
    }

    /// When the next commit is due.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.in_flight.is_some() { None } else { self.due }
    }
}

fn next_multiple(interval: Duration, now: Duration) -> Duration {
    let since = now.as_nanos().checked_rem(interval.as_nanos()).unwrap_or_default();
    now + interval - Duration::from_nanos_u128(since)
}

#[cfg(test)]
mod tests {
    use peal_proto::{Offset, Position};

    use super::*;

    fn at(position: u64) -> Settled {
        let position = Position::at(Offset::new(position));
        Settled { position, told: position, ..Settled::default() }
    }

    #[test]
    fn commits_are_made_once_an_interval_and_one_at_a_time() {
        let ms = Duration::from_millis;
        let mut committer = Committer::new(at(0), ms(100));
        committer.note(at(0), ms(0));
        assert_eq!(committer.due(), None, "nothing to say");
        committer.note(at(5), ms(10));
        assert_eq!(committer.start(at(6), ms(99)), None);
        assert_eq!(committer.start(at(7), ms(100)), Some(at(7)));
        committer.note(at(8), ms(111));
        assert_eq!(committer.start(at(8), ms(500)), None, "one is in flight");
        assert_eq!(committer.done(), at(7));
        assert_eq!(committer.start(at(8), ms(500)), Some(at(8)));
        committer.failed(ms(900));
        assert_eq!(committer.due(), Some(ms(900)));
    }

    #[test]
    fn partitions_commit_at_the_same_moments_whenever_they_began() {
        let ms = Duration::from_millis;
        for (noted, due) in [(0, 100), (1, 100), (99, 100), (100, 200), (250, 300)] {
            let mut committer = Committer::new(at(0), ms(100));
            committer.note(at(1), ms(noted));
            assert_eq!(committer.due(), Some(ms(due)), "noted at {noted} ms");
        }
        let mut committer = Committer::new(at(0), Duration::ZERO);
        committer.note(at(1), ms(7));
        assert_eq!(committer.due(), Some(ms(7)), "without an interval at once");
    }
}
