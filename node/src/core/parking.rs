//! Parking: which records go to the inbox next, one batch at a time, and whether the inbox is still the one we know.
//!
//! Every batch names the marker it expects and the one it leaves. A marker that is missing or lower means that the inbox
//! was wiped or went back in time: then nothing is parked, and the partition is read again from the replay floor, the
//! lowest offset that may still be parked. Nothing is parked again before that lower position is committed, or a crash in
//! between would take the few batches that were parked again for the many that were lost.
//!
//! No two batches ever leave the same marker, whatever became of the first: its upper bits count the takeovers of the
//! partition, which are committed before anything is parked, and its lower bits this takeover's attempts. So an inbox that
//! was wiped, filled again and then restored from an old snapshot is recognised as old.
//!
//! Does no IO and holds no records; those are the ledger's.

use std::collections::VecDeque;

use peal_proto::{Offset, Position};
use peal_store::inbox::Marker;

use super::ledger::Sequence;

/// What finding a marker means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The inbox has everything that it was given.
    Whole,
    /// The inbox lost something; read the log again from here.
    Lost(Position),
}

/// Bits of a marker that count attempts: a trillion, so a takeover does not run out at any rate.
const ATTEMPT_BITS: u32 = 40;

/// The queue to the inbox of one partition.
#[derive(Debug)]
pub(super) struct Parking {
    expected: Option<Marker>,
    /// The highest marker that any batch may have left.
    last: Marker,
    floor: Option<Offset>,
    waiting: VecDeque<Sequence>,
    in_flight: Option<Vec<Sequence>>,
    /// The batch in flight is from before a rewind; its answer says nothing.
    stale: bool,
    suspended: bool,
}

impl Parking {
    /// Goes on from what the last commit said, suspended until this takeover is committed.
    pub(super) fn new(takeover: u32, expected: Option<Marker>, floor: Option<Offset>) -> Self {
        let last = Marker::new(u64::from(takeover) << ATTEMPT_BITS);
        Self { expected, last, floor, waiting: VecDeque::new(), in_flight: None, stale: false, suspended: true }
    }

    /// A record is to be parked.
    pub(super) fn push(&mut self, sequence: Sequence) {
        self.waiting.push_back(sequence);
    }

    /// Starts the next batch of at most `max` records, which ends with the one that brings it to `bytes_max`, unless one is in
    /// flight, nothing may be parked yet, or none of those that wait is there any more. `bytes_of` says what one has.
    pub(super) fn start(
        &mut self,
        max: usize,
        bytes_max: usize,
        bytes_of: impl Fn(Sequence) -> Option<usize>,
    ) -> Option<&[Sequence]> {
        if self.in_flight.is_some() || self.suspended {
            return None;
        }
        let (mut batch, mut total) = (Vec::new(), 0);
        while batch.len() < max
            && total < bytes_max
            && let Some(sequence) = self.waiting.pop_front()
        {
            if let Some(bytes) = bytes_of(sequence) {
                batch.push(sequence);
                total += bytes;
            }
        }
        if batch.is_empty() {
            return None;
        }
        self.last = self.last.next();
        self.in_flight = Some(batch);
        self.in_flight.as_deref()
    }

    /// The marker that the batch in flight leaves.
    pub(super) fn last(&self) -> Marker {
        self.last
    }

    /// Takes note that the batch in flight was answered; whether the answer counts.
    pub(super) fn answered(&mut self) -> bool {
        if self.stale {
            self.stale = false;
            self.in_flight = None;
            return false;
        }
        true
    }

    /// The batch in flight is durable: whose records are parked now.
    pub(super) fn done(&mut self, floor: Option<Offset>) -> Vec<Sequence> {
        self.expected = Some(self.last);
        self.floor = floor;
        self.in_flight.take().unwrap_or_default()
    }

    /// The batch in flight was not parked, or it is not known: it goes first again.
    pub(super) fn again(&mut self) {
        for sequence in self.in_flight.take().unwrap_or_default().into_iter().rev() {
            self.waiting.push_front(sequence);
        }
    }

    /// Holds a marker that was found against the one `expected` when it was asked for, and takes it over.
    ///
    /// A higher one is not a loss: a batch of ours whose answer got lost, or another reader's.
    pub(super) fn found(&mut self, found: Option<Marker>, expected: Option<Marker>, settled: Position) -> Finding {
        if found >= expected {
            self.expected = self.expected.max(found);
            self.last = self.last.max(found.unwrap_or(self.last));
            return Finding::Whole;
        }
        self.expected = found;
        match self.floor {
            Some(floor) => Finding::Lost(Position::at(floor).min(settled)),
            None => Finding::Whole,
        }
    }

    /// Forgets the queue, because its records are read again, and parks nothing until the rewind is committed.
    pub(super) fn rewind(&mut self) {
        self.waiting.clear();
        self.stale = self.in_flight.is_some();
        self.suspended = true;
    }

    /// The takeover, or the rewind, is committed.
    pub(super) fn resume(&mut self) {
        self.suspended = false;
    }

    /// Whether the takeover, or a rewind, is not committed yet.
    pub(super) fn suspended(&self) -> bool {
        self.suspended
    }

    /// The marker that the next batch expects.
    pub(super) fn expected(&self) -> Option<Marker> {
        self.expected
    }

    /// The lowest offset that may still be parked.
    pub(super) fn floor(&self) -> Option<Offset> {
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(floor: Option<u64>, expected: Option<u64>, found: Option<u64>) -> (Finding, Option<u64>) {
        let marker = |number: Option<u64>| number.map(Marker::new);
        let mut parking = Parking::new(0, marker(expected), floor.map(Offset::new));
        let finding = parking.found(marker(found), marker(expected), Position::at(Offset::new(50)));
        (finding, parking.expected().map(Marker::get))
    }

    #[test]
    fn a_missing_or_lower_marker_means_reading_again_from_the_floor() {
        let from = |offset| Finding::Lost(Position::at(Offset::new(offset)));
        assert_eq!(found(Some(10), Some(3), None), (from(10), None));
        assert_eq!(found(Some(10), Some(3), Some(2)), (from(10), Some(2)));
        assert_eq!(found(Some(90), Some(3), None), (from(50), None), "what is unsettled is not in the inbox yet");
    }

    #[test]
    fn an_inbox_in_which_nothing_was_parked_lost_nothing() {
        assert_eq!(found(None, Some(3), None), (Finding::Whole, None));
    }

    #[test]
    fn a_higher_marker_is_taken_over() {
        assert_eq!(found(Some(10), Some(3), Some(3)), (Finding::Whole, Some(3)));
        assert_eq!(found(Some(10), Some(3), Some(4)), (Finding::Whole, Some(4)));
        assert_eq!(found(Some(10), None, Some(4)), (Finding::Whole, Some(4)));
    }

    #[test]
    fn a_batch_ends_with_the_record_that_fills_it_and_has_one_at_least() {
        let mut parking = Parking::new(1, None, None);
        parking.resume();
        let [a, b, c] = [Sequence::START, Sequence::START.next(), Sequence::START.next().next()];
        [a, b, c].into_iter().for_each(|sequence| parking.push(sequence));
        assert_eq!(parking.start(9, 8, |_| Some(5)), Some(&[a, b][..]));
        parking.done(None);
        assert_eq!(parking.start(9, 8, |_| Some(500)), Some(&[c][..]));
    }

    #[test]
    fn a_batch_that_failed_goes_first_again_and_settled_records_are_left_out() {
        let mut parking = Parking::new(1, None, None);
        let [a, b, c] = [Sequence::START, Sequence::START.next(), Sequence::START.next().next()];
        parking.push(a);
        parking.push(b);
        parking.push(c);
        assert_eq!(parking.start(2, 9, |_| Some(1)), None, "the takeover is not committed");
        parking.resume();
        assert_eq!(parking.start(2, 9, |_| Some(1)), Some(&[a, b][..]));
        let first = parking.last();
        assert_eq!(parking.start(2, 9, |_| Some(1)), None, "one batch at a time");
        parking.again();
        assert_eq!(parking.start(9, 9, |sequence| (sequence != b).then_some(1)), Some(&[a, c][..]));
        assert!(parking.last() > first, "no two attempts leave the same marker");
        assert_eq!(parking.done(None), [a, c]);
        assert_eq!(parking.start(9, 9, |_| Some(1)), None);
    }
}
