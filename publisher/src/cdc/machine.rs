//! What happens while sets follow a table: where each partition is, what a batch of its records changes, and when to begin
//! again. Does no IO and reads no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use peal_proto::{Partition, Position};
use peal_store::members::{Followed, STEP_USERS_MAX, Step, Stepped};
use peal_store::table::RowRecord;

use super::batch::{Batch, Work};
use super::change::{ChangeReader, Op};
use crate::config::Columns;
use crate::limits::CDC_QUIET_LOOKS_MAX;

/// A change removes one user and adds one.
const STEP_RECORDS_MAX: usize = STEP_USERS_MAX / 2;

/// The partitions of one publisher.
pub(super) struct Machine {
    topic: Arc<str>,
    reader: ChangeReader,
    seats: BTreeMap<Partition, Seat>,
}

/// One partition.
struct Seat {
    /// Where the sets are, as far as is known.
    position: Option<Position>,
    whole: Wholeness,
    /// The last record was of a snapshot.
    in_snapshot: bool,
    /// How often in a row there was more in the topic and nothing came.
    quiet_looks: u32,
    /// Up to here there is nothing to be read, as two readers have found.
    empty_to: Position,
}

/// Whether the sets hold what the table does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wholeness {
    /// They do, or did a moment ago.
    Whole,
    /// They are being made from the beginning of the topic, and will once they are here: where it ended when it was first looked
    /// at.
    Made { upto: Option<Position> },
}

impl Seat {
    fn new(found: Option<Followed>) -> Self {
        let whole = match found {
            Some(Followed { whole: true, .. }) => Wholeness::Whole,
            Some(_) | None => Wholeness::Made { upto: None },
        };
        let position = found.map(|followed| followed.position);
        Self { position, whole, in_snapshot: false, quiet_looks: 0, empty_to: Position::START }
    }

    fn reach(&self) -> Position {
        self.position.unwrap_or(Position::START)
    }
}

/// What comes of a look at a partition's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// So many records are not applied yet.
    Behind(u64),
    /// There are some, and the reader has not heard of them for a while.
    Deaf,
    /// The sets that were being made are whole.
    Whole,
}

/// What the records of a step mean beyond the sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The table's owner told all rows again, and not which are gone.
    pub(super) snapshot: bool,
    /// Positions went back: the topic is another one.
    pub(super) made_again: bool,
}

impl Machine {
    /// Of this publisher's partitions, with the sets where they are.
    pub(super) fn new(
        topic: Arc<str>,
        columns: Columns,
        found: impl IntoIterator<Item = (Partition, Option<Followed>)>,
    ) -> Self {
        let seats = found.into_iter().map(|(partition, followed)| (partition, Seat::new(followed))).collect();
        Self { topic, reader: ChangeReader::new(columns), seats }
    }

    /// Where to read from.
    pub(super) fn from(&self) -> Vec<(Partition, Position)> {
        self.seats.iter().map(|(partition, seat)| (*partition, seat.reach())).collect()
    }

    /// What is to be done for these records, step by step in this order; after each [`Machine::handle_stepped`].
    pub(super) fn handle_records(&mut self, records: &[RowRecord]) -> Vec<(Work, Told)> {
        let mut by_partition: BTreeMap<Partition, Vec<&RowRecord>> = BTreeMap::new();
        for record in records {
            by_partition.entry(record.partition).or_default().push(record);
        }
        let mut works = Vec::new();
        for (partition, records) in by_partition {
            let Some(seat) = self.seats.get_mut(&partition) else { continue };
            seat.quiet_looks = 0;
            let mut from = seat.position;
            for part in records.chunks(STEP_RECORDS_MAX) {
                let (mut batch, mut told) = (Batch::new(partition, from), Told::default());
                for record in part {
                    told.made_again |= from.is_some_and(|from| from.covers(record.offset));
                    let read = self.reader.read(record);
                    let is_snapshot = read.as_ref().is_ok_and(|change| change.op == Op::Snapshot);
                    told.snapshot |=
                        is_snapshot && !seat.in_snapshot && from.is_some_and(|from| from > Position::START);
                    seat.in_snapshot = is_snapshot;
                    batch.add(&self.topic, record, read);
                }
                if told.made_again && seat.whole != Wholeness::Whole {
                    seat.whole = Wholeness::Made { upto: None };
                }
                let work = batch.work(&self.topic);
                from = Some(work.step.to);
                works.push((work, told));
            }
        }
        works
    }

    /// Whether it goes on; if not, the sets are elsewhere and it has to begin again.
    pub(super) fn handle_stepped(&mut self, step: &Step, stepped: Stepped) -> bool {
        match (stepped, self.seats.get_mut(&step.partition)) {
            (Stepped::Done, Some(seat)) => {
                seat.position = Some(step.to);
                if step.whole {
                    seat.whole = Wholeness::Whole;
                }
                true
            }
            (Stepped::Done, None) => true,
            (Stepped::Elsewhere(_), _) => false,
        }
    }

    /// Whether the sets are where they were left.
    pub(super) fn is_at(&self, found: &[(Partition, Option<Followed>)]) -> bool {
        let is_at = |(partition, found): &(Partition, Option<Followed>)| {
            let Some(seat) = self.seats.get(partition) else { return false };
            let whole = found.is_some_and(|followed| followed.whole);
            seat.position == found.map(|followed| followed.position) && whole == (seat.whole == Wholeness::Whole)
        };
        found.iter().all(is_at)
    }

    /// What it means that a partition ends here.
    pub(super) fn handle_end(&mut self, partition: Partition, end: Position) -> Look {
        let Some(seat) = self.seats.get_mut(&partition) else { return Look::Behind(0) };
        seat.quiet_looks = if seat.reach() >= end { 0 } else { seat.quiet_looks + 1 };
        let is_quiet = seat.quiet_looks > CDC_QUIET_LOOKS_MAX;
        if let Wholeness::Made { upto } = &mut seat.whole {
            let upto = *upto.get_or_insert(end);
            if seat.reach() >= upto || seat.empty_to >= upto && is_quiet {
                return Look::Whole;
            }
        }
        let reach = seat.reach().max(seat.empty_to);
        let behind = end.next().get().saturating_sub(reach.next().get());
        if is_quiet && behind > 0 { Look::Deaf } else { Look::Behind(behind) }
    }

    /// The reader was replaced, and what the second does not hear of is not there.
    pub(super) fn handle_reopened(&mut self, partition: Partition, end: Position) {
        if let Some(seat) = self.seats.get_mut(&partition) {
            (seat.quiet_looks, seat.empty_to) = (0, end);
        }
    }

    /// A step that says of a partition that its sets are whole.
    pub(super) fn whole(&self, partition: Partition) -> Step {
        let position = self.seats.get(&partition).and_then(|seat| seat.position);
        Step { whole: true, ..self.stay(partition, position) }
    }

    /// Steps that change nothing, so that their age is that of a follower who is there.
    pub(super) fn still(&self) -> Vec<Step> {
        let begun = self.seats.iter().filter(|(_, seat)| seat.position.is_some());
        begun.map(|(partition, seat)| self.stay(*partition, seat.position)).collect()
    }

    fn stay(&self, partition: Partition, from: Option<Position>) -> Step {
        let (table, to) = (Arc::clone(&self.topic), from.unwrap_or(Position::START));
        Step { table, partition, from, to, whole: false, changes: Vec::new() }
    }
}
