//! The newest records of each partition in memory, so that live delivery reads no file, and the bell that wakes the readers
//! of that partition and of no other.
//!
//! What is here is durable. Owns how much of it is kept: so many bytes a partition, so many in all.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peal_proto::{Partition, Position, Topic};
use tokio::sync::Notify;

use super::schema::topic_number;
use crate::limits::{READ_BYTES_MAX, READ_RECORDS_MAX, TAIL_BYTES_MAX, TAIL_RECORD_BYTES, TAILS_BYTES_MAX};
use crate::log::Record;

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(usize);

impl Slot {
    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

/// The tails of all partitions.
pub(crate) struct Tails {
    partitions: u32,
    cells: Vec<Cell>,
}

#[derive(Default)]
struct Cell {
    tail: Mutex<Tail>,
    appended: Notify,
}

/// The newest records of a partition, without a gap up to its end.
#[derive(Default)]
struct Tail {
    records: VecDeque<Record>,
    bytes: usize,
    end: Position,
}

/// What a tail holds for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The next records.
    Records(Vec<Record>),
    /// Nothing: the next records are older, and lie below this position.
    Older(Position),
    /// Nothing: there are none yet.
    End,
}

fn cost(record: &Record) -> usize {
    record.value.len() + TAIL_RECORD_BYTES
}

impl Tails {
    pub(crate) fn new(partitions: u32) -> Self {
        let slots = Topic::ALL.len() * partitions as usize;
        Self { partitions, cells: std::iter::repeat_with(Cell::default).take(slots).collect() }
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.partitions
    }

    pub(crate) fn slots(&self) -> usize {
        self.cells.len()
    }

    /// The slot of a partition.
    ///
    /// # Panics
    /// On the first use, when there is no such partition.
    pub(crate) fn slot(&self, topic: Topic, partition: Partition) -> Slot {
        Slot(usize::from(topic_number(topic)) * self.partitions as usize + partition.get() as usize)
    }

    /// All slots.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Slot, Topic, Partition)> + '_ {
        let partitions = || (0..self.partitions).map(Partition::new);
        let of = move |topic| partitions().map(move |partition| (self.slot(topic, partition), topic, partition));
        Topic::ALL.into_iter().flat_map(of)
    }

    /// Rings when something was appended to a partition.
    pub(crate) fn appended(&self, slot: Slot) -> &Notify {
        &self.cells[slot.0].appended
    }

    pub(crate) fn end(&self, slot: Slot) -> Position {
        self.tail(slot).end
    }

    /// What follows a position.
    pub(crate) fn look(&self, slot: Slot, from: Position) -> Look {
        let tail = self.tail(slot);
        if from >= tail.end {
            return Look::End;
        }
        match tail.records.front() {
            None => Look::Older(tail.end),
            Some(first) if from < Position::at(first.offset) => Look::Older(Position::at(first.offset)),
            Some(_) => Look::Records(tail.batch(from)),
        }
    }

    /// A partition starts with these many records, none of them in memory; or has lost what was in memory.
    pub(crate) fn reset(&self, slot: Slot, end: Position) {
        *self.tail(slot) = Tail { end, ..Tail::default() };
        self.appended(slot).notify_waiters();
    }

    /// Wakes every reader, to see that the stores were closed.
    pub(crate) fn wake_all(&self) {
        for cell in &self.cells {
            cell.appended.notify_waiters();
        }
    }

    fn tail(&self, slot: Slot) -> MutexGuard<'_, Tail> {
        self.cells[slot.0].tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn batch(&self, from: Position) -> Vec<Record> {
        let start = self.records.partition_point(|record| from.covers(record.offset));
        let mut bytes = 0;
        let within = |record: &&Record| {
            let more = bytes <= READ_BYTES_MAX;
            bytes += record.value.len();
            more
        };
        self.records.range(start..).take(READ_RECORDS_MAX).take_while(within).cloned().collect()
    }

    fn push(&mut self, record: Record) {
        self.end = Position::behind(record.offset);
        self.bytes += cost(&record);
        self.records.push_back(record);
        while self.bytes > TAIL_BYTES_MAX {
            self.pop();
        }
    }

    fn pop(&mut self) {
        self.bytes -= self.records.pop_front().map_or(self.bytes, |record| cost(&record));
    }

    fn drop_below(&mut self, position: Position) {
        while self.records.front().is_some_and(|record| position.covers(record.offset)) {
            self.pop();
        }
    }
}

/// Puts new records into the tails and keeps all of them together within their limit; the writer has it.
#[derive(Default)]
pub(crate) struct Publisher {
    /// What was appended in the order it was, and how many bytes; what is older is in no tail.
    recent: VecDeque<(Slot, Position, usize)>,
    bytes: usize,
}

impl Publisher {
    /// Makes records readable and wakes their partitions' readers.
    pub(crate) fn publish(&mut self, tails: &Tails, records: Vec<(Slot, Record)>) {
        let mut slots: Vec<_> = records.iter().map(|(slot, _)| *slot).collect();
        for (slot, record) in records {
            let bytes = cost(&record);
            self.recent.push_back((slot, Position::behind(record.offset), bytes));
            self.bytes += bytes;
            tails.tail(slot).push(record);
        }
        while self.bytes > TAILS_BYTES_MAX
            && let Some((slot, below, bytes)) = self.recent.pop_front()
        {
            self.bytes -= bytes;
            tails.tail(slot).drop_below(below);
        }
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            tails.appended(slot).notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Headers;
    use peal_proto::Offset;

    fn record(offset: u64, bytes: usize) -> Record {
        let value = vec![0; bytes].into();
        Record { offset: Offset::new(offset), written: None, key: Some(0), headers: Headers::default(), value }
    }

    fn offsets(look: Look) -> Vec<u64> {
        let Look::Records(records) = look else { panic!("no records but {look:?}") };
        records.iter().map(|record| record.offset.get()).collect()
    }

    fn at(offset: u64) -> Position {
        Position::at(Offset::new(offset))
    }

    #[test]
    fn a_tail_gives_what_follows_and_says_what_it_no_longer_has() {
        let tails = Tails::new(2);
        let slot = tails.slot(Topic::Events, Partition::new(1));
        tails.reset(slot, at(10));
        assert_eq!(tails.look(slot, at(4)), Look::Older(at(10)));
        let mut publisher = Publisher::default();
        publisher.publish(&tails, vec![(slot, record(10, 8)), (slot, record(13, 8))]);
        assert_eq!(tails.look(slot, at(9)), Look::Older(at(10)));
        assert_eq!(offsets(tails.look(slot, at(10))), [10, 13]);
        assert_eq!(offsets(tails.look(slot, at(11))), [13]);
        assert_eq!((tails.look(slot, at(14)), tails.end(slot)), (Look::End, at(14)));
    }

    #[test]
    fn a_tail_keeps_the_newest_within_its_bytes() {
        let tails = Tails::new(1);
        let slot = tails.slot(Topic::Events, Partition::new(0));
        let mut publisher = Publisher::default();
        for offset in 0..100 {
            publisher.publish(&tails, vec![(slot, record(offset, 4_000))]);
        }
        let kept = TAIL_BYTES_MAX / (4_000 + TAIL_RECORD_BYTES);
        assert_eq!(tails.look(slot, at(0)), Look::Older(at(100 - kept as u64)));
    }

    #[test]
    fn all_tails_together_keep_the_newest_within_their_bytes() {
        let partitions = 400;
        let tails = Tails::new(partitions);
        let mut publisher = Publisher::default();
        for partition in 0..partitions {
            let slot = tails.slot(Topic::Events, Partition::new(partition));
            publisher.publish(&tails, vec![(slot, record(0, 60_000))]);
        }
        let bytes: usize = tails.cells.iter().map(|cell| cell.tail.lock().unwrap().bytes).sum();
        assert!(bytes <= TAILS_BYTES_MAX, "{bytes}");
        assert_eq!(tails.look(tails.slot(Topic::Events, Partition::new(0)), at(0)), Look::Older(at(1)));
        let last = tails.slot(Topic::Events, Partition::new(partitions - 1));
        assert_eq!(offsets(tails.look(last, at(0))), [0]);
    }
}
