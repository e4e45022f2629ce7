//! Records of a table's topic that can't be followed, and the dead letters they become.

use peal_proto::{DeadLetter, LetterTopic, Offset, Partition};
use peal_store::log::{Headers, NewRecord};
use peal_store::table::RowRecord;

use super::change::Unreadable;

/// A record on its way to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) unreadable: Unreadable,
    /// Of the table's topic.
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    letter: Vec<u8>,
}

impl Letter {
    /// The key is no number, so it is told in the reason.
    pub(super) fn of(topic: &str, record: &RowRecord, unreadable: Unreadable) -> Self {
        let RowRecord { partition, offset, ref key, ref value } = *record;
        let key = key.as_deref().map_or_else(|| "no key".into(), String::from_utf8_lossy);
        let reason = format!("{unreadable} (key: {key})");
        let topic = LetterTopic::Other(topic.into());
        let letter = DeadLetter::new(reason, topic, partition, offset, None, value.as_deref().unwrap_or_default());
        Self { unreadable, partition, offset, letter: letter.to_json() }
    }

    /// As it is appended to a log of so many partitions.
    pub(super) fn record(&self, partitions: u32) -> NewRecord {
        let partition = Partition::new(self.partition.get() % partitions.max(1));
        NewRecord { partition, key: 0, headers: Headers::default(), value: self.letter.clone().into() }
    }
}
