//! Members for the fan-out while they follow a table: read only when they are whole, as sets that are being made again from the
//! beginning of a topic are a guess.
//!
//! It is looked behind a scan, not before: a store that loses the sets loses with them that they were whole.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use peal_proto::{CommunityId, Partition, UserId};
use peal_store::members::{Followed, MembersPage, ScanCursor, Step, Stepped};
use peal_store::{Members, StoreError, Table};

/// The members of a store, once they are whole.
pub(crate) struct Whole {
    members: Arc<dyn Members>,
    table: Arc<dyn Table>,
    /// Of the table's topic; Kafka never takes one away.
    partitions: OnceLock<Vec<Partition>>,
}

impl Whole {
    pub(crate) fn new(members: Arc<dyn Members>, table: Arc<dyn Table>) -> Self {
        Self { members, table, partitions: OnceLock::new() }
    }

    async fn check(&self) -> Result<(), StoreError> {
        let followed = match self.partitions().await? {
            Some(partitions) => self.members.followed(self.table.topic(), partitions).await?,
            None => Vec::new(),
        };
        let missing = followed.iter().filter(|followed| followed.is_none_or(|followed| !followed.whole)).count();
        if missing == 0 && !followed.is_empty() {
            return Ok(());
        }
        let (topic, all) = (self.table.topic(), followed.len());
        let reason =
            format!("the members are not yet what {topic} says: {missing} of its {all} partitions are being read");
        Err(StoreError::Unavailable { store: "store of members", reason })
    }

    async fn partitions(&self) -> Result<Option<&[Partition]>, StoreError> {
        if let Some(known) = self.partitions.get() {
            return Ok(Some(known));
        }
        let Some(count) = self.table.partitions().await? else { return Ok(None) };
        Ok(Some(self.partitions.get_or_init(|| (0..count).map(Partition::new).collect())))
    }
}

#[async_trait]
impl Members for Whole {
    async fn add(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.members.add(community, users).await
    }

    async fn remove(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.members.remove(community, users).await
    }

    async fn scan(&self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError> {
        let page = self.members.scan(community, from).await?;
        if page.next.is_none() {
            self.check().await?;
        }
        Ok(page)
    }

    async fn count(&self, community: CommunityId) -> Result<u64, StoreError> {
        self.members.count(community).await
    }

    async fn follow(&self, step: &Step) -> Result<Stepped, StoreError> {
        self.members.follow(step).await
    }

    async fn followed(&self, table: &str, partitions: &[Partition]) -> Result<Vec<Option<Followed>>, StoreError> {
        self.members.followed(table, partitions).await
    }
}
