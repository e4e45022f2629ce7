//! The stores of the cluster, each behind a narrow trait.
//!
//! In the order of the data: events and notifications go through the [`log`], a community's [`members`] say for whom, an
//! event's [`status`] says how far it is, the [`inbox`] keeps what its user was not there for, [`subscriptions`] say where
//! who is away is pushed to, [`shards`] says which
//! node owns whom, and [`leases`] which process reads a partition. Where the members are a table of another program, its changes
//! are read from a [`table`]. The log is the truth; everything else can be made again from it or belongs to somebody else.
//!
//! Every trait is used as `dyn` and in batches: a call is a round trip or an fsync, so a boxed future a call costs nothing
//! that can be measured.

pub mod log;
pub mod members;
pub mod status;

pub mod inbox;
pub mod subscriptions;

pub mod leases;
pub mod shards;

pub mod table;

pub mod limits;

#[cfg(any(feature = "embedded", feature = "kafka", feature = "redis", feature = "conformance"))]
mod clock;

#[cfg(feature = "embedded")]
pub mod embedded;

#[cfg(feature = "redis")]
pub mod redis;

#[cfg(feature = "simulated")]
pub mod simulated;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::sync::Arc;

pub use inbox::Inbox;
pub use leases::Leases;
pub use log::Log;
pub use members::Members;
pub use shards::Shards;
pub use status::Statuses;
pub use subscriptions::Subscriptions;
pub use table::Table;

/// One handle on each store.
#[derive(Clone)]
pub struct Stores {
    /// Events and notifications.
    pub log: Arc<dyn Log>,
    /// Who is in a community.
    pub members: Arc<dyn Members>,
    /// How far an event is.
    pub statuses: Arc<dyn Statuses>,
    /// What is parked for users who are away.
    pub inbox: Arc<dyn Inbox>,
    /// Where users who are away are pushed to.
    pub subscriptions: Arc<dyn Subscriptions>,
    /// The shard map.
    pub shards: Arc<dyn Shards>,
    /// Which process reads a partition.
    pub leases: Arc<dyn Leases>,
}

/// What went wrong in a store: one variant a reaction.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Not now: nothing was done or it is not known; the same call may go through later.
    #[error("the {store} is not available: {reason}")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// Why, for a person.
        reason: String,
    },
    /// What is asked for is not there and may have been lost: whoever owns it has some time to put it back. Only this is
    /// missing, and the store itself is there.
    #[error("the {store} has lost something: {reason}")]
    Missing {
        /// Which store.
        store: &'static str,
        /// What, and how long it is waited for.
        reason: String,
    },
    /// Another process has taken this one's place; stop writing.
    #[error("{writer} was taken over by a newer writer")]
    Fenced {
        /// Which writer.
        writer: String,
    },
    /// What is stored can't be read; a person must look.
    #[error("the {store} is damaged: {reason}")]
    Damaged {
        /// Which store.
        store: &'static str,
        /// What and where.
        reason: String,
    },
}
