//! The log: partitioned, append-only, durable; read from any position; commits with metadata.
//!
//! The truth of the cluster. Owns the shape of records and the promises of a log; who reads which partition is not its
//! business.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{Generation, Offset, Partition, Position, Timestamp, Topic};

use crate::StoreError;

/// What a record carries beside its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// When the record is no longer worth delivering.
    pub expires: Option<Timestamp>,
    /// W3C trace context.
    pub traceparent: Option<Bytes>,
    /// It says nothing but that the log is heard; whoever reads it goes on.
    pub canary: bool,
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Where it goes; given explicitly (`user % P`, `community % P`), never hashed by a client library.
    pub partition: Partition,
    /// The user or community.
    pub key: u64,
    /// Beside the value.
    pub headers: Headers,
    /// The value.
    pub value: Bytes,
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands. Offsets grow within a partition and may have holes.
    pub offset: Offset,
    /// The user or community; `None` when a foreign producer wrote something else.
    pub key: Option<u64>,
    /// Beside the value.
    pub headers: Headers,
    /// The value.
    pub value: Bytes,
}

/// How far a consumer group is in one partition, with whatever it needs to go on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The lowest position not done.
    pub position: Position,
    /// The consumer's own words; at most 4,096 bytes (Kafka's `offset.metadata.max.bytes`).
    pub metadata: String,
}

/// Where a commit belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The consumer group.
    pub group: &'static str,
    /// The topic it reads.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
}

/// A partitioned, durable, append-only log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// The incarnation of this log; stamped when it was made.
    fn generation(&self) -> Generation;

    /// P, how many partitions [`Topic::Notifications`] has; stamped when the log was made. The others follow from it
    /// ([`Topic::partitions`]).
    fn partitions(&self) -> u32;

    /// Appends the records and answers their offsets, in the order given, once all are durable. Records of one call to one
    /// partition stand in the order given. Not atomic: after an error any of them may be there.
    ///
    /// Cancelling the future does not undo the append.
    async fn append(&self, topic: Topic, records: Vec<NewRecord>) -> Result<Vec<Offset>, StoreError>;

    /// A writer of atomic slices. A writer of the same name opened later fences this one.
    async fn writer(&self, name: &str) -> Result<Box<dyn Writer>, StoreError>;

    /// Reads a partition from a position on. Sees only what is durable and whole.
    async fn reader(&self, topic: Topic, partition: Partition, from: Position) -> Result<Box<dyn Reader>, StoreError>;

    /// Joins a group whose members share the partitions of a topic, until the member is dropped.
    async fn join(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Member>, StoreError>;

    /// Remembers how far a group is. May be lost in a crash for a moment's worth; a commit that was followed by a durable
    /// append is not.
    async fn commit(&self, source: Source, commit: Commit) -> Result<(), StoreError>;

    /// Appends records that say what a commit stands for, and then commits: wherever the commit is found, they are. Durable no
    /// sooner than a commit.
    async fn commit_behind(
        &self,
        topic: Topic,
        records: Vec<NewRecord>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        if !records.is_empty() {
            self.append(topic, records).await?;
        }
        self.commit(source, commit).await
    }

    /// How far a group was; `None` when it never committed.
    async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError>;

    /// The position behind the last durable record of a partition.
    async fn end(&self, topic: Topic, partition: Partition) -> Result<Position, StoreError>;
}

/// Writes slices of records together with the commit they follow from: both are there, or neither.
#[async_trait]
pub trait Writer: Send + 'static {
    /// Writes one slice, durable when answered. After [`StoreError::Unavailable`] it is not known whether the slice is
    /// there: read the commit of `source` before going on. Empty `records` write the commit alone.
    async fn write(
        &mut self,
        topic: Topic,
        records: Vec<NewRecord>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError>;
}

/// One of those who share the partitions of a topic.
#[async_trait]
pub trait Member: Send + 'static {
    /// The partitions that are this member's from now on, each time they change; waits until they do. Two may think that
    /// they have the same for a moment: what one must not do beside another it has to do through a [`Writer`]. Cancel safe.
    async fn assigned(&mut self) -> Result<Vec<Partition>, StoreError>;
}

/// Reads one partition in order.
#[async_trait]
pub trait Reader: Send + 'static {
    /// The next records, at least one and at most a bounded batch; waits until there is one. Cancel safe: a dropped call has
    /// taken nothing.
    async fn next(&mut self) -> Result<Vec<Record>, StoreError>;
}

/// Why a topic of a log of so many partitions has not this one, if it has not.
#[cfg(any(feature = "embedded", feature = "kafka", feature = "simulated"))]
pub(crate) fn check_partition(topic: Topic, partition: Partition, of: u32) -> Result<(), String> {
    let partitions = topic.partitions(of);
    if partition.get() < partitions {
        return Ok(());
    }
    Err(format!("{topic} has no partition {partition} of {partitions}"))
}
