//! Leases: which process reads a partition.
//!
//! A lease is held for a term and renewed long before it ends; that of a process that died runs out. It is a courtesy
//! between readers, not a promise: a partition that two processes read for a moment costs repeats that cursors hide, so
//! a lease needs no consensus, and may be lost with everything else that is kept beside the log.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;
#[cfg(any(feature = "embedded", feature = "simulated"))]
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::{NodeId, Partition, Timestamp};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Who asks for leases: one run of one process. Two runs never have the same name, so that a process which starts again
/// waits for what it left behind, as any other would.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Holder(Arc<str>);

impl From<String> for Holder {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl From<Holder> for String {
    fn from(holder: Holder) -> Self {
        holder.name().to_owned()
    }
}

impl Holder {
    /// A holder of this name; it should say to a person which process it is.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a claim on a partition came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// It is the claimant's for a term from now.
    Held,
    /// Another holds it.
    Taken {
        /// Who.
        by: Holder,
    },
}

/// A node that is there: one process has one ordinal, so that clients and partitions find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The ordinal.
    pub node: NodeId,
    /// Where clients reach it.
    pub url: String,
    /// Which run of which process it is.
    pub holder: Holder,
    /// It wants to leave, and spreads that over so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_ms: Option<u64>,
    /// By how many seconds its clock is ahead of that of the stores, where that is more than it may be; negative if behind.
    #[serde(default)]
    pub clock_ahead_seconds: i64,
    /// Another process that asked for the same seat of late. Whoever keeps the seats says so.
    #[serde(skip)]
    pub rival: Option<Holder>,
}

impl Seat {
    /// The seat of a node that has come to stay.
    #[must_use]
    pub fn new(node: NodeId, url: impl Into<String>, holder: Holder) -> Self {
        Self { node, url: url.into(), holder, leaving_ms: None, clock_ahead_seconds: 0, rival: None }
    }

    /// The seat as it is told, with who else wants it; who has got it does not any more.
    pub(crate) fn wanted_by(self, rival: Option<Holder>) -> Self {
        let rival = rival.filter(|rival| *rival != self.holder);
        Self { rival, ..self }
    }
}

/// The leases of all partitions, and of the ordinals of nodes.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes the leases that are free and renews those that are the holder's, each for `term` from `now` by the clock of
    /// whoever keeps them. Answers in the order asked.
    async fn claim(
        &self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError>;

    /// What time it is for whoever keeps them; `None` where that is the caller's own clock.
    async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// Gives the leases back that are the holder's, so that nobody has to wait for them to run out.
    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError>;

    /// Who holds these partitions, in the order asked.
    async fn holders(&self, partitions: &[Partition], now: Timestamp) -> Result<Vec<Option<Holder>>, StoreError>;

    /// Takes or renews the seat of an ordinal for `term` from `now`, and leaves there what is said of it; or, if another has it,
    /// that this one wants it.
    async fn sit(&self, seat: &Seat, term: Duration, now: Timestamp) -> Result<Lease, StoreError>;

    /// Gives the seat of an ordinal back if it is the holder's.
    async fn rise(&self, holder: &Holder, node: NodeId) -> Result<(), StoreError>;

    /// Who has a seat, by ordinal, and who else wants it.
    async fn seats(&self, now: Timestamp) -> Result<Vec<Seat>, StoreError>;
}
