//! What became of the notifications below the lowest that is not settled, until it is written down with the commit.
//!
//! A receipt is durable before its commit, so nothing is committed that no receipt speaks of. A commit that failed is tried
//! again with the same receipts and more; what is read again after a rewind is written down again, and counted once.

use peal_proto::{EventId, Fate, Offset, Position, Receipt, Run};

use crate::limits::RECEIPT_RUNS_MAX;

/// What is to be written down, in the order of offsets.
#[derive(Debug)]
pub(super) struct Receipts {
    /// Everything below was written down.
    from: Position,
    runs: Vec<Run>,
    /// Of them, how many are on their way, and up to where.
    in_flight: Option<(usize, Position)>,
}

impl Receipts {
    pub(super) fn new(from: Position) -> Self {
        Self { from, runs: Vec::new(), in_flight: None }
    }

    /// A notification is settled; offsets ascend.
    pub(super) fn push(&mut self, event: EventId, offset: Offset, fate: Fate) {
        let sent = self.in_flight.map_or(0, |(sent, _)| sent);
        let open = self.runs.get_mut(sent..).and_then(<[Run]>::last_mut);
        if !open.is_some_and(|run| run.extend(&event, offset, fate)) {
            self.runs.push(Run::of(event, offset, fate));
        }
    }

    /// Those of everything up to here, which is about to be committed.
    pub(super) fn start(&mut self, to: Position) -> Vec<Receipt> {
        self.in_flight = Some((self.runs.len(), to));
        let mut from = self.from;
        let mut receipts: Vec<_> = Vec::with_capacity(self.runs.len().div_ceil(RECEIPT_RUNS_MAX));
        for runs in self.runs.chunks(RECEIPT_RUNS_MAX) {
            let end = runs.last().map_or(to, |run| Position::at(Offset::new(run.first.get() + u64::from(run.count))));
            receipts.push(Receipt::Settled { from, to: end, runs: runs.to_vec() });
            from = end;
        }
        if let Some(Receipt::Settled { to: end, .. }) = receipts.last_mut() {
            *end = to;
        }
        receipts
    }

    /// They are written down, and committed.
    pub(super) fn done(&mut self) {
        if let Some((sent, to)) = self.in_flight.take() {
            self.runs.drain(..sent);
            self.from = to;
        }
    }

    /// It is not known whether they are.
    pub(super) fn failed(&mut self) {
        self.in_flight = None;
    }

    /// Everything from here on is read again, and settled again.
    pub(super) fn rewind(&mut self, to: Position) {
        while self.runs.last().is_some_and(|run| to <= Position::at(run.first)) {
            self.runs.pop();
        }
        if let Some(run) = self.runs.last_mut() {
            let below = to.next().get() - run.first.get();
            run.count = run.count.min(u32::try_from(below).unwrap_or(u32::MAX));
        }
        self.from = self.from.min(to);
        self.in_flight = self.in_flight.map(|(sent, upto)| (sent.min(self.runs.len()), upto.min(to)));
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(receipts: &mut Receipts, event: &str, offsets: std::ops::Range<u64>) {
        offsets.for_each(|offset| receipts.push(event.parse().unwrap(), Offset::new(offset), Fate::Delivered));
    }

    fn at(offset: u64) -> Position {
        Position::at(Offset::new(offset))
    }

    fn run(event: &str, first: u64, count: u32) -> Run {
        Run { count, ..Run::of(event.parse().unwrap(), Offset::new(first), Fate::Delivered) }
    }

    #[test]
    fn what_comes_while_a_commit_is_on_its_way_is_left_for_the_next() {
        let mut receipts = Receipts::new(at(3));
        push(&mut receipts, "a", 3..5);
        let first = receipts.start(at(5));
        assert_eq!(first, [Receipt::Settled { from: at(3), to: at(5), runs: vec![run("a", 3, 2)] }]);
        push(&mut receipts, "a", 5..7);
        receipts.done();
        assert_eq!(receipts.start(at(8)), [Receipt::Settled { from: at(5), to: at(8), runs: vec![run("a", 5, 2)] }]);
        receipts.failed();
        push(&mut receipts, "b", 8..9);
        let runs = vec![run("a", 5, 2), run("b", 8, 1)];
        assert_eq!(receipts.start(at(9)), [Receipt::Settled { from: at(5), to: at(9), runs }]);
    }

    #[test]
    fn nothing_of_an_event_is_nothing_to_write_down() {
        let mut receipts = Receipts::new(at(0));
        assert_eq!(receipts.start(at(9)), []);
        receipts.done();
        push(&mut receipts, "a", 9..10);
        assert_eq!(receipts.start(at(10)), [Receipt::Settled { from: at(9), to: at(10), runs: vec![run("a", 9, 1)] }]);
    }

    #[test]
    fn a_receipt_has_a_limit_and_the_next_goes_on_where_it_ends() {
        let mut receipts = Receipts::new(at(0));
        let count = RECEIPT_RUNS_MAX as u64 + 1;
        (0..count).for_each(|number| push(&mut receipts, &format!("e{number}"), number..number + 1));
        let ends: Vec<_> = receipts
            .start(at(count + 3))
            .into_iter()
            .map(|receipt| match receipt {
                Receipt::Settled { from, to, runs } => (from, to, runs.len()),
                Receipt::Replayed { .. } => panic!("settled, not replayed"),
            })
            .collect();
        assert_eq!(ends, [(at(0), at(count - 1), RECEIPT_RUNS_MAX), (at(count - 1), at(count + 3), 1)]);
    }

    #[test]
    fn after_a_rewind_the_answer_of_an_earlier_commit_takes_nothing_away() {
        let mut receipts = Receipts::new(at(0));
        push(&mut receipts, "a", 0..4);
        receipts.start(at(4));
        receipts.rewind(at(1));
        push(&mut receipts, "a", 1..2);
        receipts.done();
        assert_eq!(receipts.start(at(2)), [Receipt::Settled { from: at(1), to: at(2), runs: vec![run("a", 1, 1)] }]);
    }

    #[test]
    fn what_lies_below_a_rewind_is_still_to_be_written_down() {
        let mut receipts = Receipts::new(at(0));
        push(&mut receipts, "a", 0..4);
        push(&mut receipts, "b", 4..5);
        receipts.rewind(at(3));
        push(&mut receipts, "c", 3..4);
        let runs = vec![run("a", 0, 3), run("c", 3, 1)];
        assert_eq!(receipts.start(at(4)), [Receipt::Settled { from: at(0), to: at(4), runs }]);
    }
}
