//! What happens while sets follow a table: where each partition is, what a batch of its records changes, and when to begin
//! again. Does no IO and reads no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use peal_proto::{Partition, Position};
use peal_store::members::{STEP_USERS_MAX, Step, Stepped};
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
    /// The last record was of a snapshot.
    in_snapshot: bool,
    /// How often in a row there was more in the topic and nothing came.
    quiet_looks: u32,
    /// Up to here there is nothing to be read, as two readers have found.
    empty_to: Position,
}

impl Seat {
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
        found: impl IntoIterator<Item = (Partition, Option<Position>)>,
    ) -> Self {
        let seat = |position| Seat { position, in_snapshot: false, quiet_looks: 0, empty_to: Position::START };
        let seats = found.into_iter().map(|(partition, position)| (partition, seat(position))).collect();
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
                    told.snapshot |= is_snapshot && !seat.in_snapshot && from.is_some();
                    seat.in_snapshot = is_snapshot;
                    batch.add(&self.topic, record, read);
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
                true
            }
            (Stepped::Done, None) => true,
            (Stepped::Elsewhere(_), _) => false,
        }
    }

    /// Whether the sets are where they were left.
    pub(super) fn is_at(&self, found: &[(Partition, Option<Position>)]) -> bool {
        found.iter().all(|(partition, found)| self.seats.get(partition).is_some_and(|seat| seat.position == *found))
    }

    /// What it means that a partition ends here.
    pub(super) fn handle_end(&mut self, partition: Partition, end: Position) -> Look {
        let Some(seat) = self.seats.get_mut(&partition) else { return Look::Behind(0) };
        let reach = seat.reach().max(seat.empty_to);
        let behind = end.next().get().saturating_sub(reach.next().get());
        seat.quiet_looks = if behind == 0 { 0 } else { seat.quiet_looks + 1 };
        if seat.quiet_looks > CDC_QUIET_LOOKS_MAX { Look::Deaf } else { Look::Behind(behind) }
    }

    /// The reader was replaced, and what the second does not hear of is not there.
    pub(super) fn handle_reopened(&mut self, partition: Partition, end: Position) {
        if let Some(seat) = self.seats.get_mut(&partition) {
            (seat.quiet_looks, seat.empty_to) = (0, end);
        }
    }

    /// A step that changes nothing, so that its age is that of a follower who is there.
    pub(super) fn still(&self) -> Vec<Step> {
        let step = |(partition, seat): (&Partition, &Seat)| {
            let position = seat.position?;
            let table = Arc::clone(&self.topic);
            Some(Step { table, partition: *partition, from: Some(position), to: position, changes: Vec::new() })
        };
        self.seats.iter().filter_map(step).collect()
    }
}
