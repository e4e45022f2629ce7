//! When it is committed how far receipts are read: only once the changes they made have been in the store for a while.
//!
//! A store that comes back younger than it was, as a Redis does that syncs once a second, is given the same receipts again.

use std::collections::VecDeque;
use std::time::Duration;

use super::fold::Progress;
use crate::limits::{ACCOUNTS_COMMIT_DELAY, ACCOUNTS_COMMIT_INTERVAL};

/// How far it was, and since when that is in the store.
#[derive(Debug, Default)]
pub(super) struct Aging {
    waiting: VecDeque<(Duration, Progress)>,
    noted: Option<(Duration, Progress)>,
}

impl Aging {
    /// This is in the store now. Noted once an interval, so that there is not a commit for each batch.
    pub(super) fn note(&mut self, progress: &Progress, now: Duration) {
        let news = match &self.noted {
            None => true,
            Some((since, noted)) => now.saturating_sub(*since) >= ACCOUNTS_COMMIT_INTERVAL && noted != progress,
        };
        if news {
            self.waiting.push_back((now, progress.clone()));
            self.noted = Some((now, progress.clone()));
        }
    }

    /// What can be committed.
    pub(super) fn due(&mut self, now: Duration) -> Option<Progress> {
        let mut due = None;
        while self.waiting.front().is_some_and(|(since, _)| now.saturating_sub(*since) >= ACCOUNTS_COMMIT_DELAY) {
            due = self.waiting.pop_front();
        }
        due.map(|(_, progress)| progress)
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::{Offset, Partition, Position};

    use super::*;

    fn read_to(offset: u64) -> Progress {
        let mut progress = Progress::of(Partition::new(0), None).unwrap();
        progress.position = Position::at(Offset::new(offset));
        progress
    }

    #[test]
    fn only_what_is_old_enough_is_committed_and_the_last_is_not_forgotten() {
        let mut aging = Aging::default();
        let at = |millis| ACCOUNTS_COMMIT_INTERVAL * millis / 1_000;
        aging.note(&read_to(1), at(0));
        aging.note(&read_to(2), at(100)); // too soon to be noted by itself, …
        aging.note(&read_to(3), at(1_100));
        aging.note(&read_to(4), at(1_200));
        aging.note(&read_to(4), at(2_200)); // … and so was this, until nothing came after it
        assert_eq!(aging.due(ACCOUNTS_COMMIT_DELAY - at(1)), None);
        assert_eq!(aging.due(ACCOUNTS_COMMIT_DELAY), Some(read_to(1)));
        assert_eq!(aging.due(ACCOUNTS_COMMIT_DELAY + at(1_099)), None);
        assert_eq!(aging.due(ACCOUNTS_COMMIT_DELAY + at(2_200)), Some(read_to(4)));
        aging.note(&read_to(4), at(99_000));
        assert_eq!(aging.due(at(999_000)), None, "committed once");
    }
}
