//! A table of another program, as its changes stand in a topic of that program's: read by partition and position.
//!
//! Not the log: nothing is written here, the topic has a number of partitions of its own, and keys and values are whatever
//! the other program writes. What a record means, and how far it was applied, is its reader's business.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{Offset, Partition, Position};

use crate::StoreError;
use crate::log::Member;

/// A record of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRecord {
    /// Where it stands.
    pub partition: Partition,
    /// Where in that partition; there may be holes.
    pub offset: Offset,
    /// Which row, in the other program's spelling.
    pub key: Option<Bytes>,
    /// What became of it; nothing in a tombstone.
    pub value: Option<Bytes>,
}

/// Which records of a partition there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The position of the first.
    pub begin: Position,
    /// The position behind the last.
    pub end: Position,
}

/// How the topic keeps its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// Why the last record of a row may be gone; nothing is the best answer.
    pub concern: Option<String>,
    /// How long a tombstone is kept: who was away for longer has not seen them all.
    pub tombstone_age_max: Duration,
}

/// The changes of a table.
#[async_trait]
pub trait Table: Send + Sync + 'static {
    /// The topic.
    fn topic(&self) -> &str;

    /// How many partitions the topic has; `None` while there is no topic, as before the first change.
    async fn partitions(&self) -> Result<Option<u32>, StoreError>;

    /// How it keeps its records.
    async fn keeping(&self) -> Result<Keeping, StoreError>;

    /// Joins those who share the partitions, until the member is dropped.
    async fn join(&self) -> Result<Box<dyn Member>, StoreError>;

    /// Which records there are.
    async fn bounds(&self, partition: Partition) -> Result<Bounds, StoreError>;

    /// Reads partitions, each from a position on.
    async fn read(&self, from: Vec<(Partition, Position)>) -> Result<Box<dyn TableReader>, StoreError>;
}

/// Reads some partitions, each in order.
#[async_trait]
pub trait TableReader: Send + 'static {
    /// The next records, at least one and at most a bounded batch; waits until there is one. Cancel safe: a dropped call has
    /// taken nothing.
    async fn next(&mut self) -> Result<Vec<RowRecord>, StoreError>;
}
