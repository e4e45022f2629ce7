//! Event status: how far each event is, and which copy of it counts.
//!
//! Can be made again from the log; kept for 48 hours unless the settings of the store say otherwise, and at least for 24. So
//! long a repeated event id is recognised.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;

use async_trait::async_trait;
use peal_proto::{Audience, EventId, Kind, Offset, Partition, Timestamp};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In the events log.
    Accepted,
    /// Its members are being written to the notification log.
    Expanding,
    /// Every member's notification is in the notification log.
    Published,
}

/// An event as `GET /v1/events/{id}` answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How many of their notifications are in the log.
    pub published: u64,
    /// How many copies of it were posted again and not told again.
    pub duplicates: u64,
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
}
