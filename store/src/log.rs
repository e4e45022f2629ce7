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

mod letter;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::name::{CANARY_HEADER, EXPIRES_HEADER, TRACEPARENT_HEADER};
use peal_proto::{Generation, Offset, Partition, Position, Timestamp, Topic};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

pub use self::letter::dead_letter;
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
    /// What else stands there, under other names, in the order given: of a dead letter where it comes from, and what others
    /// wrote.
    pub others: Vec<(Box<str>, Bytes)>,
}

impl Headers {
    /// All of them by their names, as text for the most part.
    #[must_use]
    pub fn fields(&self) -> Vec<(Box<str>, Bytes)> {
        let Self { expires, traceparent, canary, others } = self;
        let known = [
            (EXPIRES_HEADER, expires.map(|at| at.to_string().into())),
            (TRACEPARENT_HEADER, traceparent.clone()),
            (CANARY_HEADER, canary.then_some(Bytes::from_static(b"1"))),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
        known.chain(others.iter().cloned()).collect()
    }

    /// Adds one by its name. What was written there in another way than ours is left out.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        match name {
            EXPIRES_HEADER => self.expires = time(value),
            TRACEPARENT_HEADER => self.traceparent = Some(Bytes::copy_from_slice(value)),
            CANARY_HEADER => self.canary = true,
            _ => self.others.push((name.into(), Bytes::copy_from_slice(value))),
        }
    }

    /// The first of this name that is not one of ours, as text.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&str> {
        let (_, value) = self.others.iter().find(|(other, _)| **other == *name)?;
        std::str::from_utf8(value).ok()
    }
}

fn time(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    Timestamp::deserialize(StrDeserializer::<Error>::new(text)).ok()
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
    /// When it was written, if the log knows.
    pub written: Option<Timestamp>,
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
    /// Writes one slice, records by topic, durable when answered. After [`StoreError::Unavailable`] it is not known whether the
    /// slice is there: read the commit of `source` before going on. Without records the commit is written alone.
    async fn write(
        &mut self,
        records: Vec<(Topic, Vec<NewRecord>)>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_by_their_names() {
        let mut headers = Headers::default();
        for (name, value) in [("expires", "2026-11-22T10:00:00Z"), ("attempt", "2"), ("canary", "1"), ("attempt", "3")]
        {
            headers.add(name, value.as_bytes());
        }
        assert_eq!(headers.expires, Some(Timestamp::from_millis(1_795_341_600_000)));
        assert_eq!((headers.canary, headers.other("attempt"), headers.other("canary")), (true, Some("2"), None));
        let mut again = Headers::default();
        for (name, value) in headers.fields() {
            again.add(&name, &value);
        }
        assert_eq!(again, headers);
    }

    #[test]
    fn a_time_that_cannot_be_read_is_left_out() {
        let mut headers = Headers::default();
        headers.add("expires", b"soon");
        assert_eq!(headers, Headers::default());
    }
}
