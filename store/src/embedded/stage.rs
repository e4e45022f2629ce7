//! What one group commit is going to write, seen together with what is stored.
//!
//! A call looks at the tables and at what the calls before it in the same group have staged, as if that were written
//! already. What a call that fails has staged is taken back. Owns nothing that outlives the group.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use peal_proto::{Offset, Position, Timestamp, Topic};

use super::fault::Fault;
use super::memory::Memory;
use super::schema::{self, Key, Stored, Table};
use super::tables::{Tables, View};
use super::tails::{Slot, Tails};
use crate::log::{NewRecord, Record, check_partition};

/// The value a key will have; `None` when it is deleted.
type Staged = Option<Bytes>;

/// One group.
pub(crate) struct Stage<'a> {
    tables: &'a Tables,
    view: View<'a>,
    tails: &'a Tails,
    /// What only the writer knows.
    pub(crate) memory: &'a mut Memory,
    now: Timestamp,
    staged: BTreeMap<(Table, Key), Staged>,
    /// As what the keys that the call at work has staged were staged before it, if they were.
    before: Vec<((Table, Key), Option<Staged>)>,
    records: Vec<(Key, Bytes)>,
    appended: Vec<(Slot, Record)>,
    bytes: usize,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(tables: &'a Tables, tails: &'a Tails, memory: &'a mut Memory, now: Timestamp) -> Self {
        let view = tables.view();
        let (staged, before) = (BTreeMap::new(), Vec::new());
        Self { tables, view, tails, memory, now, staged, before, records: Vec::new(), appended: Vec::new(), bytes: 0 }
    }

    /// Runs the step of one call.
    pub(crate) fn step<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = step(self);
        if result.is_err() {
            for (key, before) in self.before.drain(..).rev() {
                match before {
                    Some(staged) => self.staged.insert(key, staged),
                    None => self.staged.remove(&key),
                };
            }
        }
        self.before.clear();
        result
    }

    /// How many bytes were staged so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, table: Table, key: &Key) -> Result<Option<Bytes>, Fault> {
        match self.staged.get(&(table, key.clone())) {
            Some(staged) => Ok(staged.clone()),
            None => self.view.get(table, key),
        }
    }

    /// The first pairs of a range. Records of the log are not among them.
    pub(crate) fn range(&self, table: Table, range: Range<Key>, most: usize) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        let staged = || self.staged.range((table, range.start.clone())..(table, range.end.clone()));
        // Each staged key can take the place of one stored at most; so this many hold the first `most` of both.
        let stored = self.view.range(table, range.clone()).take(most + staged().count());
        let mut pairs: BTreeMap<Bytes, Bytes> = stored.collect::<Result<_, _>>()?;
        for ((_, key), value) in staged() {
            let key = Bytes::copy_from_slice(key);
            match value {
                Some(value) => drop(pairs.insert(key, value.clone())),
                None => drop(pairs.remove(&key)),
            }
        }
        Ok(pairs.into_iter().take(most).collect())
    }

    pub(crate) fn put(&mut self, table: Table, key: Key, value: Bytes) {
        self.stage(table, key, Some(value));
    }

    pub(crate) fn delete(&mut self, table: Table, key: Key) {
        self.stage(table, key, None);
    }

    fn stage(&mut self, table: Table, key: Key, value: Staged) {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        let before = self.staged.insert((table, key.clone()), value);
        self.before.push(((table, key), before));
    }

    /// Appends a record that was checked; nothing in the same call may fail after it. Read by nobody before the group is
    /// durable.
    pub(crate) fn append(&mut self, topic: Topic, record: NewRecord) -> Offset {
        let slot = self.tails.slot(topic, record.partition);
        let offset = self.memory.next_offset(slot);
        let (value, start) = Stored::encode(self.now, &record);
        let key = schema::record_key(topic, record.partition, Position::at(offset));
        self.bytes += key.len() + value.len();
        self.records.push((key, value.clone()));
        // The tail's value lies in the bytes that are stored: one copy of a record in memory.
        let NewRecord { partition: _, key, headers, value: _ } = record;
        self.appended.push((
            slot,
            Record { offset, written: Some(self.now), key: Some(key), headers, value: value.slice(start..) },
        ));
        offset
    }

    /// Why these records can't be appended, if they can't.
    pub(crate) fn check(&self, topic: Topic, records: &[NewRecord]) -> Result<(), Fault> {
        let check = |record: &NewRecord| check_partition(topic, record.partition, self.tails.partitions());
        records.iter().try_for_each(check).map_err(Fault::Refused)
    }

    /// Writes everything in one batch. Answers the records appended, in order; all of them can be read now.
    pub(crate) fn commit(self, durable: bool) -> fjall::Result<Vec<(Slot, Record)>> {
        let mut batch = self.tables.batch(durable);
        let log = self.tables.keyspace(Table::Log);
        for (key, value) in self.records {
            batch.insert(log, key, value);
        }
        for ((table, key), value) in self.staged {
            match value {
                Some(value) => batch.insert(self.tables.keyspace(table), key, value),
                None => batch.remove(self.tables.keyspace(table), key),
            }
        }
        self.tables.commit(batch)?;
        Ok(self.appended)
    }
}
