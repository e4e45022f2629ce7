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
use peal_proto::{Partition, Timestamp};

use crate::StoreError;

/// Who asks for leases: one run of one process. Two runs never have the same name, so that a process which starts again
/// waits for what it left behind, as any other would.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder(Arc<str>);

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

/// The leases of all partitions.
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

    /// Gives the leases back that are the holder's, so that nobody has to wait for them to run out.
    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError>;
}
