//! The inbox: what is parked for a user who is away or slow, until it is acknowledged.
//!
//! A cache of the log. Entries have the offset of their record, so parking twice is harmless. What the quota or the time
//! to live takes away leaves a gap behind that the user is told of; what a newer entry of the same collapse key replaces leaves
//! none, as the newer one says it all. Every park names the marker it expects, so that
//! nothing is parked onto an inbox that was wiped or went back in time.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
pub use peal_proto::Marker;
use peal_proto::frame::GapReason;
use peal_proto::limits::TTL_SECONDS_MAX;
use peal_proto::{CollapseKey, Offset, Partition, Position, Timestamp, UserId};

use crate::StoreError;

/// What is kept for one user, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Notifications a user; beyond it the oldest go.
    pub notifications_max: u32,
    /// Bytes of notifications a user; beyond it the oldest go.
    pub bytes_max: u64,
    /// How long an entry is kept after it was parked.
    pub ttl: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let ttl = Duration::from_secs(u64::from(TTL_SECONDS_MAX));
        Self { notifications_max: 1_000, bytes_max: 1024 * 1024, ttl }
    }
}

/// A notification to park.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// For whom.
    pub user: UserId,
    /// Its record's offset; the entry's id.
    pub offset: Offset,
    /// When it is no longer worth delivering; the inbox's own time to live applies as well.
    pub expires: Option<Timestamp>,
    /// It replaces the entry of this key that its user has, unless that one is newer or has expired.
    pub collapse: Option<CollapseKey>,
    /// The record's value.
    pub value: Bytes,
}

/// What a park answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    /// All entries are durable.
    Done {
        /// The marker now.
        marker: Marker,
        /// The lowest offset still parked for anybody in the partition.
        floor: Option<Offset>,
    },
    /// Nothing was parked: the inbox has another marker than expected.
    Unexpected {
        /// The marker that was found; `None` when there is none.
        found: Option<Marker>,
    },
}

/// A request for one user's next entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Whose.
    pub user: UserId,
    /// Entries at this position and behind it.
    pub from: Position,
    /// The most entries.
    pub entries_max: usize,
    /// Stop behind the entry that passes this many bytes; at least one entry is given.
    pub bytes_max: usize,
}

/// One user's next entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of offsets.
    pub items: Vec<Item>,
    /// Whether these were the last.
    pub end: bool,
}

/// An entry of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A parked notification.
    Notification {
        /// Its record's offset.
        offset: Offset,
        /// How many older ones of its collapse key it stands for.
        replaced: u32,
        /// Its record's value.
        value: Bytes,
    },
    /// Something below `to`, and at or behind the item before, could not be kept.
    Gap {
        /// Where the gap ends.
        to: Position,
        /// Why.
        reason: GapReason,
    },
}

/// Parked notifications by user.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// How long an entry is kept, unless it expires before.
    fn ttl(&self) -> Duration;

    /// Parks all entries of one partition and moves its marker from `expected` on to `next`, in one transaction, durable
    /// when answered. After [`StoreError::Unavailable`] it is not known whether they are there; parking them again is
    /// harmless.
    async fn park(
        &self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Parked, StoreError>;

    /// For each user and key the entry that the next one of that key would replace: its offset and value. In the order of the
    /// keys.
    async fn of_keys(
        &self,
        partition: Partition,
        keys: Vec<(UserId, CollapseKey)>,
        now: Timestamp,
    ) -> Result<Vec<Option<(Offset, Bytes)>>, StoreError>;

    /// One page for each request, in the order of the requests. Expired entries are not given but make a gap.
    async fn pages(
        &self,
        partition: Partition,
        requests: Vec<PageRequest>,
        now: Timestamp,
    ) -> Result<Vec<Page>, StoreError>;

    /// Drops each user's entries, and gaps, below a position. Answers the floor as [`Parked::Done`] does. May be lost in a
    /// crash; what comes back is hidden by cursors.
    async fn trim(&self, partition: Partition, trims: Vec<(UserId, Position)>) -> Result<Option<Offset>, StoreError>;

    /// The partition's marker; `None` when nothing was ever parked.
    async fn marker(&self, partition: Partition) -> Result<Option<Marker>, StoreError>;
}
