//! Records of a table's topic that can't be followed, and the dead letters they become.

use peal_proto::{LetterTopic, Offset, Partition};
use peal_store::log::{Headers, NewRecord, Record, dead_letter};
use peal_store::table::RowRecord;

use super::change::Unreadable;

/// A record on its way to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) unreadable: Unreadable,
    /// Of the table's topic.
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    letter: NewRecord,
}

impl Letter {
    /// The key is no number, so it is told in the reason.
    pub(super) fn of(topic: &str, record: &RowRecord, unreadable: Unreadable) -> Self {
        let RowRecord { partition, offset, ref key, ref value } = *record;
        let key = key.as_deref().map_or_else(|| "no key".into(), String::from_utf8_lossy);
        let reason = format!("{unreadable} (key: {key})");
        let (topic, kind) = (LetterTopic::Other(topic.into()), unreadable.name());
        let value = value.clone().unwrap_or_default();
        let record = Record { offset, written: None, key: None, headers: Headers::default(), value };
        let letter = dead_letter(topic, partition, &record, kind, reason);
        Self { unreadable, partition, offset, letter }
    }

    /// As it is appended to a log of so many partitions.
    pub(super) fn record(&self, partitions: u32) -> NewRecord {
        let partition = Partition::new(self.partition.get() % partitions.max(1));
        NewRecord { partition, ..self.letter.clone() }
    }
}
