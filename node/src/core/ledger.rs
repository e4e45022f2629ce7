//! The records of a partition that are read but not settled, in the order of their offsets.
//!
//! Settling may happen in any order; what may be committed is the lowest offset not settled. What became of the records below
//! it goes to the [receipts](super::receipts), in order. Offsets may have holes, so records are counted by a sequence of the
//! ledger's own. Knows nothing of users' states or of time-outs.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use peal_proto::{CollapseKey, EventId, Fate, Offset, Position, Timestamp, UserId};

use super::receipts::Receipts;

/// A record's place in the order in which this ledger was given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence(u64);

/// An unsettled record.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) user: UserId,
    /// Whose notification it is, if that of an event.
    pub(super) event: Option<EventId>,
    pub(super) value: Bytes,
    pub(super) expires: Option<Timestamp>,
    /// What it replaces in the inbox of its user.
    pub(super) collapse: Option<CollapseKey>,
    /// What its user's sockets were told of it, if it may expire.
    pub(super) told: Told,
    /// When it was read, by the node's monotonic clock.
    pub(super) since: Duration,
}

/// What a user was told of a notification that may expire; of two sockets, one may have been in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    /// Nothing yet.
    Nothing,
    /// That it expired.
    Gap,
    /// The notification itself.
    Notification,
}

#[derive(Debug)]
struct Slot {
    offset: Offset,
    state: State,
}

#[derive(Debug)]
enum State {
    Unsettled(Held),
    /// What became of the event's notification.
    Settled(Option<(EventId, Fate)>),
}

impl Slot {
    fn held(&self) -> Option<&Held> {
        match &self.state {
            State::Unsettled(held) => Some(held),
            State::Settled(_) => None,
        }
    }
}

/// Unsettled records in order.
#[derive(Debug)]
pub(super) struct Ledger {
    slots: VecDeque<Slot>,
    /// The sequence of `slots[0]`.
    first: Sequence,
    /// Behind the last record that was read.
    read: Position,
    /// Bytes of unsettled values.
    bytes: usize,
    receipts: Receipts,
}

impl Ledger {
    /// An empty ledger of a partition that is read from here on.
    pub(super) fn new(read: Position) -> Self {
        Self { slots: VecDeque::new(), first: Sequence(0), read, bytes: 0, receipts: Receipts::new(read) }
    }

    /// Takes a record that was read. Offsets below the last one's are not taken.
    pub(super) fn push(&mut self, offset: Offset, held: Held) -> Option<Sequence> {
        if self.read.covers(offset) {
            return None;
        }
        self.read = Position::behind(offset);
        self.bytes += held.value.len();
        self.slots.push_back(Slot { offset, state: State::Unsettled(held) });
        Some(Sequence(self.first.0 + self.slots.len() as u64 - 1))
    }

    /// Passes over a record that is no notification.
    pub(super) fn pass(&mut self, offset: Offset) {
        self.read = self.read.max(Position::behind(offset));
    }

    /// Passes over a notification that its user acknowledged before it was read.
    pub(super) fn pass_delivered(&mut self, offset: Offset, event: Option<EventId>) {
        if !self.read.covers(offset) {
            self.read = Position::behind(offset);
            let fate = event.map(|event| (event, Fate::Delivered));
            self.slots.push_back(Slot { offset, state: State::Settled(fate) });
            self.advance();
        }
    }

    /// An unsettled record with its offset; `None` once it is settled.
    pub(super) fn get(&self, sequence: Sequence) -> Option<(Offset, &Held)> {
        let slot = self.slots.get(self.index(sequence)?)?;
        Some((slot.offset, slot.held()?))
    }

    /// Notes what a socket was told of a record that may expire.
    pub(super) fn tell(&mut self, sequence: Sequence, told: Told) {
        let slot = self.index(sequence).and_then(|index| self.slots.get_mut(index));
        if let Some(Slot { state: State::Unsettled(held), .. }) = slot {
            held.told = held.told.max(told);
        }
    }

    /// Settles a record; whose it is and its bytes, or `None` when it was settled before.
    pub(super) fn settle(&mut self, sequence: Sequence, fate: Fate) -> Option<(UserId, usize)> {
        let index = self.index(sequence)?;
        let slot = self.slots.get_mut(index)?;
        let State::Unsettled(held) = &mut slot.state else { return None };
        let (user, bytes) = (held.user, held.value.len());
        let fate = if held.told == Told::Gap && fate == Fate::Delivered { Fate::Expired } else { fate };
        slot.state = State::Settled(held.event.take().map(|event| (event, fate)));
        self.bytes -= bytes;
        self.advance();
        Some((user, bytes))
    }

    /// Hands what is settled below everything else to the receipts.
    fn advance(&mut self) {
        while let Some(Slot { state: State::Settled(_), .. }) = self.slots.front() {
            self.first.0 += 1;
            if let Some(Slot { offset, state: State::Settled(Some((event, fate))) }) = self.slots.pop_front() {
                self.receipts.push(event, offset, fate);
            }
        }
    }

    fn index(&self, sequence: Sequence) -> Option<usize> {
        usize::try_from(sequence.0.checked_sub(self.first.0)?).ok()
    }

    /// The first unsettled record at this sequence or behind it.
    pub(super) fn unsettled_from(&self, sequence: Sequence) -> Option<Sequence> {
        let skip = self.index(sequence).unwrap_or(0);
        let held = self.slots.iter().skip(skip).position(|slot| slot.held().is_some())?;
        Some(Sequence(self.first.0 + (skip + held) as u64))
    }

    /// The lowest position not settled: what may be committed.
    pub(super) fn settled(&self) -> Position {
        self.slots.front().map_or(self.read, |slot| Position::at(slot.offset))
    }

    /// Behind the last record that was read.
    pub(super) fn read(&self) -> Position {
        self.read
    }

    /// Bytes of unsettled values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is held in memory: the unsettled records, the settled that wait behind one, and the receipts.
    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.receipts.len()
    }

    /// What became of the records below [`Ledger::settled`].
    pub(super) fn receipts(&mut self) -> &mut Receipts {
        &mut self.receipts
    }

    /// Forgets everything and goes on from `read`.
    pub(super) fn rewind(&mut self, read: Position) {
        self.first.0 += self.slots.len() as u64;
        self.slots.clear();
        self.bytes = 0;
        self.read = read;
        self.receipts.rewind(read);
    }
}

impl Sequence {
    /// Before every record.
    pub(super) const START: Self = Self(0);

    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn held(bytes: usize) -> Held {
        let user = UserId::new(1).unwrap();
        let value = Bytes::from(vec![b'x'; bytes]);
        Held { user, event: None, value, expires: None, collapse: None, told: Told::Nothing, since: Duration::ZERO }
    }

    proptest! {
        /// Against the definition: the lowest offset given and not settled, else behind the last one.
        #[test]
        fn what_may_be_committed_is_the_lowest_offset_not_settled(
            steps in prop::collection::vec((1_u64..4, 0_usize..50, any::<prop::sample::Index>()), 1..200)
        ) {
            let mut ledger = Ledger::new(Position::START);
            let mut given: Vec<(Sequence, Offset, usize)> = Vec::new();
            let mut unsettled = BTreeSet::new();
            let mut last = 0;
            for (hole, bytes, settle) in steps {
                last += hole;
                let offset = Offset::new(last);
                let sequence = ledger.push(offset, held(bytes)).unwrap();
                given.push((sequence, offset, bytes));
                unsettled.insert(given.len() - 1);
                let index = settle.index(given.len());
                let settled = ledger.settle(given[index].0, Fate::Delivered);
                prop_assert_eq!(settled.is_some(), unsettled.remove(&index));
                let lowest = unsettled.first().map_or(Position::behind(offset), |i| Position::at(given[*i].1));
                prop_assert_eq!(ledger.settled(), lowest);
                prop_assert_eq!(ledger.bytes(), unsettled.iter().map(|i| given[*i].2).sum::<usize>());
                prop_assert_eq!(ledger.unsettled_from(Sequence::START), unsettled.first().map(|i| given[*i].0));
                for (i, (sequence, offset, _)) in given.iter().enumerate() {
                    prop_assert_eq!(ledger.get(*sequence).map(|(o, _)| o), unsettled.contains(&i).then_some(*offset));
                }
            }
        }
    }

    #[test]
    fn a_record_that_was_read_before_is_not_taken_twice() {
        let mut ledger = Ledger::new(Position::at(Offset::new(5)));
        assert!(ledger.push(Offset::new(4), held(1)).is_none());
        assert!(ledger.push(Offset::new(5), held(1)).is_some());
        assert!(ledger.push(Offset::new(5), held(1)).is_none());
        assert_eq!(ledger.bytes(), 1);
    }
}
