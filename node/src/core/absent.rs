//! Which notifications were parked and are to be pushed if nobody acknowledges them, until that is written down with the commit.
//!
//! It is durable before the commit, as [receipts](super::receipts) are. What is read again after a rewind is not told again:
//! an inbox that was lost would have everything of the last days pushed once more.

use std::collections::BTreeMap;

use peal_proto::{Offline, Offset, Position};

/// What is to be written down.
#[derive(Debug)]
pub(super) struct Absent {
    /// Everything below was written down.
    told: Position,
    /// By the offsets of their notifications.
    entries: BTreeMap<Offset, Offline>,
    /// Everything below is on its way.
    in_flight: Option<Position>,
}

impl Absent {
    pub(super) fn new(told: Position) -> Self {
        Self { told, entries: BTreeMap::new(), in_flight: None }
    }

    /// A notification is parked, unless that is known.
    pub(super) fn push(&mut self, entry: Offline) {
        let offset = entry.offset();
        if !self.told.covers(offset) {
            self.entries.insert(offset, entry);
        }
    }

    /// Those of everything up to here, which is about to be committed.
    pub(super) fn start(&mut self, to: Position) -> Vec<Offline> {
        self.in_flight = Some(to);
        self.entries.range(..to.next()).map(|(_, entry)| entry.clone()).collect()
    }

    /// They are written down, and committed.
    pub(super) fn done(&mut self) {
        if let Some(to) = self.in_flight.take().filter(|to| *to > self.told) {
            self.told = to;
            self.entries = self.entries.split_off(&to.next());
        }
    }

    /// Everything from here on is read again, and parked again or not.
    pub(super) fn rewind(&mut self, to: Position) {
        self.entries.split_off(&to.next());
    }

    /// Everything below was written down.
    pub(super) fn told(&self) -> Position {
        self.told
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::{Cursor, Generation, Timestamp, UserId};

    use super::*;

    fn at(offset: u64) -> Position {
        Position::at(Offset::new(offset))
    }

    fn push(absent: &mut Absent, offsets: impl IntoIterator<Item = u64>) {
        for offset in offsets {
            let cursor = Cursor { generation: Generation::new(1), position: Position::behind(Offset::new(offset)) };
            let (user, due) = (UserId::new(1).unwrap(), Timestamp::from_millis(0));
            absent.push(Offline { user, cursor, event: None, due, expires: None, collapse: None });
        }
    }

    fn start(absent: &mut Absent, to: u64) -> Vec<u64> {
        absent.start(at(to)).iter().map(|entry| entry.offset().get()).collect()
    }

    #[test]
    fn what_is_above_the_commit_waits_for_the_next_and_what_failed_is_told_again() {
        let mut absent = Absent::new(at(3));
        push(&mut absent, [7, 3, 2, 4]);
        assert_eq!(start(&mut absent, 5), [3, 4], "2 was told before, 7 is not settled up to");
        push(&mut absent, [5]);
        assert_eq!(start(&mut absent, 6), [3, 4, 5], "the one before failed");
        absent.done();
        assert_eq!((start(&mut absent, 8), absent.told()), (vec![7], at(6)));
    }

    #[test]
    fn what_was_told_is_not_told_again_after_a_rewind() {
        let mut absent = Absent::new(at(0));
        push(&mut absent, [0, 1, 2]);
        assert_eq!(start(&mut absent, 2), [0, 1]);
        absent.rewind(at(0));
        push(&mut absent, [0]);
        absent.done();
        push(&mut absent, [1, 2]);
        assert_eq!(start(&mut absent, 3), [2]);
    }
}
