//! Members in the embedded database: a key a member, and how many there are beside them.

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{CommunityId, UserId};

use super::{MEMBERS_PAGE_MAX, Members, MembersPage, ScanCursor};
use crate::StoreError;
use crate::embedded::schema;
use crate::embedded::{Durability, Engine, Fault, Stage, Table, View};

/// The members of an open directory.
pub(crate) struct EmbeddedMembers {
    engine: Engine,
}

impl EmbeddedMembers {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    async fn change(&self, community: CommunityId, users: Vec<UserId>, change: Change) -> Result<u64, StoreError> {
        let bytes = users.len() * size_of::<UserId>();
        self.engine.run(Durability::Synced, bytes, move |stage| apply(stage, community, &users, change)).await
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

fn apply(stage: &mut Stage<'_>, community: CommunityId, users: &[UserId], change: Change) -> Result<u64, Fault> {
    let mut changed = 0;
    for user in users {
        let key = schema::member_key(community, user.get());
        let is_member = stage.get(Table::State, &key)?.is_some();
        match change {
            Change::Add if !is_member => stage.put(Table::State, key, Bytes::new()),
            Change::Remove if is_member => stage.delete(Table::State, key),
            Change::Add | Change::Remove => continue,
        }
        changed += 1;
    }
    if changed > 0 {
        let key = schema::member_count_key(community);
        let count = number(stage.get(Table::State, &key)?)?;
        let count = if change == Change::Add { count + changed } else { count.saturating_sub(changed) };
        stage.put(Table::State, key, schema::encode_number(count));
    }
    Ok(changed)
}

fn number(stored: Option<Bytes>) -> Result<u64, Fault> {
    Ok(stored.map(|stored| schema::decode_number(&stored)).transpose()?.unwrap_or_default())
}

fn page(view: &View<'_>, community: CommunityId, from: u64) -> Result<MembersPage, Fault> {
    let mut users = Vec::new();
    for pair in view.range(Table::State, schema::members(community, from)) {
        let user = schema::member_of(&pair?.0)?;
        if users.len() == MEMBERS_PAGE_MAX {
            return Ok(MembersPage { users, next: Some(ScanCursor::new(user)), ..MembersPage::default() });
        }
        users.push(UserId::new(user).map_err(|error| Fault::Damaged(error.to_string()))?);
    }
    Ok(MembersPage { users, ..MembersPage::default() })
}

#[async_trait]
impl Members for EmbeddedMembers {
    async fn add(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.change(community, users, Change::Add).await
    }

    async fn remove(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.change(community, users, Change::Remove).await
    }

    async fn scan(&self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError> {
        let from = from.map_or(0, ScanCursor::get); // the lowest user not given yet
        self.engine.look(move |view| page(view, community, from)).await
    }

    async fn count(&self, community: CommunityId) -> Result<u64, StoreError> {
        let key = schema::member_count_key(community);
        self.engine.look(move |view| number(view.get(Table::State, &key)?)).await
    }
}
