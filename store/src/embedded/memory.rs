//! What the writer knows by heart: the next offset of each partition, the newest writer of each name, where to look for a
//! floor. Read from the tables when they are opened; only the writer thread touches it.

use std::collections::BTreeMap;

use peal_proto::{Offset, Partition, Position, Topic};

use super::fault::Fault;
use super::schema::{self, Table};
use super::tables::Tables;
use super::tails::{Slot, Tails};

/// What the writer knows by heart.
pub(crate) struct Memory {
    ends: Vec<u64>,
    writers: BTreeMap<String, u64>,
    floors: BTreeMap<Partition, Offset>,
}

impl Memory {
    /// As the tables have it.
    pub(crate) fn load(tables: &Tables, tails: &Tails) -> Result<Self, Fault> {
        let mut memory = Self { ends: Vec::new(), writers: BTreeMap::new(), floors: BTreeMap::new() };
        memory.reload(tables, tails)?;
        Ok(memory)
    }

    /// As the tables have it now that they were opened again; which writer of a name is the newest has not changed.
    pub(crate) fn reload(&mut self, tables: &Tables, tails: &Tails) -> Result<(), Fault> {
        let mut ends = vec![0; tails.slots()];
        for (slot, topic, partition) in tails.all() {
            ends[slot.index()] = end(tables, topic, partition)?.next().get();
        }
        self.ends = ends;
        self.floors.clear();
        Ok(())
    }

    /// Where a partition ends.
    pub(crate) fn end(&self, slot: Slot) -> Position {
        Position::at(Offset::new(self.ends[slot.index()]))
    }

    /// The offset of one more record.
    pub(crate) fn next_offset(&mut self, slot: Slot) -> Offset {
        let end = &mut self.ends[slot.index()];
        let offset = Offset::new(*end);
        *end += 1;
        offset
    }

    /// The number of a newer writer of this name; every older one is fenced.
    pub(crate) fn open_writer(&mut self, name: &str) -> u64 {
        let number = self.writers.entry(name.to_owned()).or_default();
        *number += 1;
        *number
    }

    /// Whether this is the newest writer of its name.
    pub(crate) fn is_newest(&self, name: &str, number: u64) -> bool {
        self.writers.get(name) == Some(&number)
    }

    /// No user's oldest entry in a partition lies below.
    pub(crate) fn floor(&self, partition: Partition) -> Position {
        self.floors.get(&partition).map_or(Position::START, |floor| Position::at(*floor))
    }

    /// Remembers that none lies below. Without this, a look for the lowest would pass all that ever were.
    pub(crate) fn set_floor(&mut self, partition: Partition, floor: Offset) {
        self.floors.insert(partition, floor);
    }

    /// Remembers that one may lie as low as this.
    pub(crate) fn lower_floor(&mut self, partition: Partition, oldest: Offset) {
        self.floors.entry(partition).and_modify(|floor| *floor = oldest.min(*floor));
    }
}

/// Where a partition ends. Its last record is never swept, so an end is never forgotten.
fn end(tables: &Tables, topic: Topic, partition: Partition) -> Result<Position, Fault> {
    let all = schema::records(topic, partition, Position::START..Position::at(Offset::new(u64::MAX)));
    match tables.view().range(Table::Log, all).next_back() {
        None => Ok(Position::START),
        Some(last) => Ok(Position::behind(schema::offset_of(&last?.0)?)),
    }
}
