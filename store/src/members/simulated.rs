//! Members in memory: a set a community, scanned in pages that come shuffled and with repeats, as those of Redis may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{CommunityId, Partition, Position, Timestamp, UserId};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{Followed, InvalidMember, Members, MembersPage, ScanCursor, SetChange, Step, Stepped};
use crate::StoreError;
use crate::simulated::{Handle, Store};

/// Users a page: few, so that a small community takes several.
const PAGE_USERS_MAX: usize = 100;

/// What is known of communities without members.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// They have none.
    Never,
    /// They may be put back.
    Waiting,
    /// They were not put back until then.
    Over(Timestamp),
}

/// All communities.
pub(crate) struct Model {
    communities: BTreeMap<CommunityId, BTreeSet<UserId>>,
    /// Members that are no users.
    invalid: BTreeMap<CommunityId, BTreeSet<Bytes>>,
    loss: Loss,
    /// How far they have followed which table.
    followed: BTreeMap<(String, Partition), (Position, bool)>,
    rng: StdRng,
}

impl Model {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            communities: BTreeMap::new(),
            invalid: BTreeMap::new(),
            loss: Loss::Never,
            followed: BTreeMap::new(),
            rng,
        }
    }

    pub(crate) fn wipe(&mut self) {
        self.communities.clear();
        self.invalid.clear();
        self.followed.clear();
    }

    fn follow(&mut self, step: Step) -> Stepped {
        let Step { table, partition, from, to, whole, changes } = step;
        let place = (table.to_string(), partition);
        let found = self.followed.get(&place).copied();
        let position = found.map(|(position, _)| position);
        if position != from {
            return Stepped::Elsewhere(position);
        }
        let whole = whole || found.is_some_and(|(_, whole)| whole);
        for SetChange { community, add, remove } in changes {
            let members = self.members(community);
            members.extend(add);
            members.retain(|member| !remove.contains(member));
        }
        self.followed.insert(place, (to, whole));
        Stepped::Done
    }

    fn followed(&self, table: &str, partition: Partition) -> Option<Followed> {
        let (position, whole) = self.followed.get(&(table.to_owned(), partition)).copied()?;
        Some(Followed { position, whole, age: Duration::ZERO })
    }

    pub(crate) fn lose(&mut self) {
        self.wipe();
        self.loss = Loss::Waiting;
    }

    pub(crate) fn give_up(&mut self, at: Timestamp) {
        self.loss = Loss::Over(at);
    }

    pub(crate) fn put(&mut self, community: CommunityId, member: Bytes) {
        self.invalid.entry(community).or_default().insert(member);
    }

    /// All are given with the first page.
    fn invalid(&self, community: CommunityId, from: Option<ScanCursor>) -> Vec<InvalidMember> {
        let invalid = self.invalid.get(&community).filter(|_| from.is_none()).into_iter().flatten();
        let set = "the simulated set".into();
        invalid.map(|member| InvalidMember { member: member.clone(), set: Arc::clone(&set) }).collect()
    }

    fn count(&mut self, community: CommunityId) -> u64 {
        let invalid = self.invalid.get(&community).map_or(0, BTreeSet::len);
        (self.members(community).len() + invalid) as u64
    }

    fn members(&mut self, community: CommunityId) -> &mut BTreeSet<UserId> {
        self.communities.entry(community).or_default()
    }

    /// A page holds the users from the cursor on; the cursor is the lowest user not given yet.
    fn scan(&mut self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError> {
        let invalid = self.invalid(community, from);
        let is_empty = from.is_none() && invalid.is_empty() && self.members(community).is_empty();
        let none_since = match self.loss {
            Loss::Waiting if is_empty => {
                let reason = "the community has no members, and they may be put back".to_owned();
                return Err(StoreError::Missing { store: Store::Members.name(), reason });
            }
            Loss::Over(at) if is_empty => Some(at),
            Loss::Never | Loss::Waiting | Loss::Over(_) => None,
        };
        let from = from.map_or(0, ScanCursor::get);
        let mut rest: Vec<_> = self.members(community).iter().copied().filter(|user| user.get() >= from).collect();
        let next = rest.get(PAGE_USERS_MAX).map(|user| ScanCursor::new(user.get()));
        rest.truncate(PAGE_USERS_MAX);
        if self.rng.random_range(0..4) == 0 {
            rest.extend(rest.first().copied());
        }
        rest.shuffle(&mut self.rng);
        Ok(MembersPage { users: rest, invalid, next, none_since })
    }
}

#[async_trait]
impl Members for Handle<Model> {
    async fn add(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.call(|model| {
            let members = model.members(community);
            users.into_iter().filter(|user| members.insert(*user)).count() as u64
        })
        .await
    }

    async fn remove(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.call(|model| {
            let members = model.members(community);
            users.into_iter().filter(|user| members.remove(user)).count() as u64
        })
        .await
    }

    async fn scan(&self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError> {
        self.call(|model| model.scan(community, from)).await?
    }

    async fn count(&self, community: CommunityId) -> Result<u64, StoreError> {
        self.call(|model| model.count(community)).await
    }

    async fn follow(&self, step: &Step) -> Result<Stepped, StoreError> {
        self.call(|model| model.follow(step.clone())).await
    }

    async fn followed(&self, table: &str, partitions: &[Partition]) -> Result<Vec<Option<Followed>>, StoreError> {
        self.call(|model| partitions.iter().map(|partition| model.followed(table, *partition)).collect()).await
    }
}
