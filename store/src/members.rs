//! Members: the set of users in each community.
//!
//! In a cluster the community service may own these sets; here they are only added to, removed from and read through.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;
pub mod step;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{CommunityId, Partition, Timestamp, UserId};

pub use self::step::{Followed, STEP_USERS_MAX, SetChange, Step, Stepped};
use crate::StoreError;

/// Where a scan goes on; means nothing but to the store that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanCursor(u64);

impl ScanCursor {
    /// A store's own number for where it is.
    #[must_use]
    pub const fn new(state: u64) -> Self {
        Self(state)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Part of a community's members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembersPage {
    /// In no order; a member may come twice in one scan (as with Redis' SSCAN).
    pub users: Vec<UserId>,
    /// Who is a member and no user, in the same way; only where others fill the sets.
    pub invalid: Vec<InvalidMember>,
    /// Where to go on; `None` at the end.
    pub next: Option<ScanCursor>,
    /// Of a community without members in a store that once lost everything: since when it is known that it has none. What
    /// happened before may have had members to be told, who were lost and not put back.
    pub none_since: Option<Timestamp>,
}

/// What stands in a set and is no user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidMember {
    /// As it stands there.
    pub member: Bytes,
    /// The name of the set, for who is to take it out.
    pub set: Arc<str>,
}

/// The most users in one page, one `add` or one `remove`.
pub const MEMBERS_PAGE_MAX: usize = 10_000;

/// Sets of users.
#[async_trait]
pub trait Members: Send + Sync + 'static {
    /// Adds users; durable when answered. How many were not members before.
    async fn add(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError>;

    /// Removes users; durable when answered. How many were members before.
    async fn remove(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError>;

    /// Every user who is a member from the start of a scan to its end is given at least once. A community whose members may
    /// have been lost is [`StoreError::Missing`] as long as their owner has time to put them back, and then one without
    /// members, [since](MembersPage::none_since) then.
    async fn scan(&self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError>;

    /// How many members there are.
    async fn count(&self, community: CommunityId) -> Result<u64, StoreError>;

    /// Takes a step along a table's changes, if the sets are where it begins. Of two who follow the same partition, one is
    /// told so before anything is changed; where a store can't promise that, the sets are put back to where the two met.
    async fn follow(&self, step: &Step) -> Result<Stepped, StoreError> {
        Err(cannot_follow(&step.table))
    }

    /// How far the sets have followed these partitions of a table's topic, in their order.
    async fn followed(&self, table: &str, partitions: &[Partition]) -> Result<Vec<Option<Followed>>, StoreError> {
        let _ = partitions;
        Err(cannot_follow(table))
    }
}

fn cannot_follow(table: &str) -> StoreError {
    StoreError::Unavailable { store: "store of members", reason: format!("it can't follow {table}") }
}
