//! Event status: how far each event is, which copy of it counts, and the parts of its account.
//!
//! Can be made again from the log; kept for 48 hours unless the settings of the store say otherwise, and at least for 24. So
//! long a repeated event id is recognised; an account is kept for as long as something may be parked. What stands in a part is
//! the business of whoever keeps accounts.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;
mod watching;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{Audience, EventId, Kind, Offset, Partition, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::watching::Changes;
#[cfg(feature = "redis")]
pub(crate) use self::watching::Told;
#[cfg(any(feature = "embedded", feature = "simulated"))]
pub(crate) use self::watching::Watching;
use crate::StoreError;

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In the events log.
    Accepted,
    /// Its members are being written to the notification log.
    Expanding,
    /// Every member's notification is in the notification log.
    Published,
    /// Every notification was delivered, or is parked, or is gone for a reason that is known.
    Settled,
    /// It is a dead letter, which says why; it goes on when that is replayed.
    Failed,
}

/// How far an event is, as the fan-out says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The event.
    pub event: EventId,
    /// How far it is.
    pub state: State,
    /// What happened.
    pub kind: Kind,
    /// Who is told.
    #[serde(flatten)]
    pub audience: Audience,
    /// When it was accepted.
    pub at: Timestamp,
    /// How many are told; known once expanding.
    pub members: u64,
    /// For how many of them a notification, or a dead letter, is in the log.
    pub published: u64,
    /// How many of them are dead letters, as members that are no users.
    #[serde(default)]
    pub failed: u64,
    /// How many copies of it were posted again and not told again.
    pub duplicates: u64,
}

/// What became of an event, as `GET /v1/events/{id}` answers it. Once published, `members = published`, and once settled,
/// `published = delivered + parked + expired + replaced + failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// How far it is.
    #[serde(flatten)]
    pub status: Status,
    /// How many of its notifications were acknowledged, live or after a replay.
    pub delivered: u64,
    /// How many wait in an inbox now.
    pub parked: u64,
    /// How many expired before they were delivered.
    pub expired: u64,
    /// How many went from an inbox because a newer one of their collapse key took their place.
    #[serde(default)]
    pub replaced: u64,
}

/// A part of an event's account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    /// Whose.
    pub event: EventId,
    /// Of the notification log.
    pub partition: Partition,
    /// Which of the event's parts in that partition.
    pub number: u64,
}

/// A part that is to change, or to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: PartKey,
    /// As it was read; `None` when there was none.
    pub before: Option<Bytes>,
    /// As it is to be.
    pub after: Bytes,
}

/// The copy of an event in the events log that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Partition of the events log.
    pub partition: Partition,
    /// Offset in it.
    pub offset: Offset,
}

/// Whose an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This copy counts: nobody claimed the event before, or this same copy did.
    Ours,
    /// Another copy counts.
    Duplicate,
}

/// The status of events by id.
#[async_trait]
pub trait Statuses: Send + Sync + 'static {
    /// Writes a first status unless there is one.
    async fn accept(&self, status: Status) -> Result<(), StoreError>;

    /// Claims the event for one copy of it. Durable no later than whatever is appended to the log after the answer. A
    /// duplicate is counted in the status.
    async fn claim(&self, event: &EventId, origin: Origin, now: Timestamp) -> Result<Claim, StoreError>;

    /// Takes back the claim of this copy, if it has it: the next one that claims the event counts.
    async fn release(&self, event: &EventId, origin: Origin) -> Result<(), StoreError>;

    /// Replaces the status; the number of duplicates stays what the store counted.
    async fn update(&self, status: Status) -> Result<(), StoreError>;

    /// The status; `None` when the event is unknown or older than statuses are kept.
    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError>;

    /// Parts of accounts, in the order of the keys.
    async fn parts(&self, keys: &[PartKey]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Changes each part that is still as it was read; whether all were, or are as they are to be. They are kept for as long
    /// as an inbox keeps an entry, and the statuses of their events with them. May be lost in a crash for a moment's worth.
    async fn change(&self, changes: Vec<Change>) -> Result<bool, StoreError>;

    /// The status and all parts of an account, in no order; `None` as for [`Statuses::get`].
    async fn account(&self, event: &EventId) -> Result<Option<(Status, Vec<Bytes>)>, StoreError>;

    /// Tells [`Statuses::changes`] of this process when the status or a part of this event changes next, once. Watched first and
    /// then looked at, nothing is missed.
    async fn watch(&self, event: &EventId) -> Result<(), StoreError>;

    /// What is told of the events that are watched, from now on.
    fn changes(&self) -> Changes;
}
