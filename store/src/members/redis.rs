//! Members in Redis: a set a community, which the community service may own and fill itself.
//!
//! A small community is read at once and kept until Redis tells that it has changed ([`cache`]); every other one is read
//! through in pages, as a million members at once would hold up everything behind them. When Redis can't tell, nothing is
//! kept. A set that is not there may have been lost, which [`keeping`] finds out. Sets that follow a table do so by
//! [`following`]. Somebody else writes these sets, so a member may be no user; a community that has one is not kept.

mod cache;
mod following;
mod keeping;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::{Counter, Gauge};
use peal_proto::{CommunityId, Partition, UserId};
use redis::Cmd;

use self::cache::Cache;
use self::following::Following;
use self::keeping::Keeping;
use super::{Followed, InvalidMember, MEMBERS_PAGE_MAX, Members, MembersPage, ScanCursor, Step, Stepped};
use crate::redis::Connection;
use crate::redis::push::{Heard, Push};
use crate::{Log, StoreError, clock};

/// Members asked for at once. Redis gives some more, as it takes its buckets whole.
const SCAN_COUNT: usize = MEMBERS_PAGE_MAX / 2;

/// Members of a community that is small: they fit into one page.
const SMALL_MEMBERS_MAX: u64 = MEMBERS_PAGE_MAX as u64;

/// Where the id stands in a pattern.
const PLACE: &str = "<c>";

/// The key of a community's members, with the community's id at `<c>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersPattern {
    before: String,
    behind: String,
}

/// Why a text is not a pattern of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of keys has the community's id once, at <c>, as community:<c>:members does; not {given:?}")]
pub struct InvalidPattern {
    given: String,
}

impl std::str::FromStr for MembersPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        match text.split(PLACE).collect::<Vec<_>>()[..] {
            [before, behind] => Ok(Self { before: before.to_owned(), behind: behind.to_owned() }),
            _ => Err(InvalidPattern { given: text.to_owned() }),
        }
    }
}

impl Default for MembersPattern {
    fn default() -> Self {
        Self { before: "community:".to_owned(), behind: ":members".to_owned() }
    }
}

impl MembersPattern {
    fn key(&self, community: CommunityId) -> String {
        format!("{}{community}{}", self.before, self.behind)
    }

    /// The community of a key.
    fn community(&self, key: &[u8]) -> Option<CommunityId> {
        let id = key.strip_prefix(self.before.as_bytes())?.strip_suffix(self.behind.as_bytes())?;
        CommunityId::new(std::str::from_utf8(id).ok()?.parse().ok()?).ok()
    }
}

/// What is kept of the members, and told of.
pub(crate) struct Known {
    pattern: MembersPattern,
    cache: Mutex<Cache>,
    users: Gauge,
}

impl Known {
    pub(crate) fn new(pattern: MembersPattern) -> Self {
        Self { pattern, cache: Mutex::default(), users: metrics::gauge!("peal_members_cached_users") }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What Redis tells.
    pub(crate) fn hear(&self, heard: Heard<'_>) {
        match heard {
            Heard::Listening => self.lock().listens(),
            Heard::Changed(key) => self.pattern.community(key).into_iter().for_each(|of| self.lock().changed(of)),
            Heard::Missed => {
                self.lock().missed();
                self.users.set(0.0);
            }
        }
    }
}

/// The members in a Redis.
pub(crate) struct RedisMembers {
    connection: Connection,
    push: Arc<Push>,
    known: Arc<Known>,
    keeping: Keeping,
    following: Following,
    hits: Counter,
    misses: Counter,
}

impl RedisMembers {
    pub(crate) fn new(connection: Connection, push: Arc<Push>, known: Arc<Known>, log: Arc<dyn Log>) -> Self {
        let keeping = Keeping::new(connection.clone(), log);
        let following = Following::new(connection.clone(), known.pattern.clone());
        let [hits, misses] =
            ["hit", "miss"].map(|found| metrics::counter!("peal_members_cache_total", "found" => found));
        Self { connection, push, known, keeping, following, hits, misses }
    }

    fn key(&self, community: CommunityId) -> String {
        self.known.pattern.key(community)
    }

    fn on(&self, command: &str, community: CommunityId) -> Cmd {
        let mut command = redis::cmd(command);
        command.arg(self.key(community));
        command
    }

    async fn change(&self, command: &str, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        if users.is_empty() {
            return Ok(0); // Redis takes that for a mistake
        }
        let mut command = self.on(command, community);
        for user in users {
            command.arg(user.get());
        }
        let changed = self.connection.run(&command).await;
        self.known.lock().changed(community); // whatever came of it: who asks next is told what is stored
        changed
    }

    /// All members of a small community: those that are known, or else those that are read now. Nothing when it is not
    /// small or can't be read so.
    async fn small(&self, community: CommunityId) -> Option<MembersPage> {
        let now = clock::instant();
        let fill = {
            let mut cache = self.known.lock();
            if let Some(users) = cache.get(community, now) {
                self.hits.increment(1);
                return Some(MembersPage { users: users.to_vec(), ..MembersPage::default() });
            }
            cache.begin(community, now)?
        };
        self.misses.increment(1);
        let count = self.count(community).await.ok()?;
        if !(1..=SMALL_MEMBERS_MAX).contains(&count) {
            return None;
        }
        let members = self.push.members(&self.key(community)).await.ok()?;
        if members.len() > MEMBERS_PAGE_MAX {
            return None; // grew in the meantime
        }
        let page = self.page(community, members);
        if page.invalid.is_empty() {
            let mut cache = self.known.lock();
            cache.finish(fill, page.users.as_slice().into());
            self.known.users.set(cache.users() as f64);
        }
        Some(page)
    }

    /// What stands in a set, or in part of it.
    fn page(&self, community: CommunityId, members: Vec<impl AsRef<[u8]>>) -> MembersPage {
        let (mut page, mut set) = (MembersPage::default(), None);
        page.users.reserve_exact(members.len());
        for member in members {
            match user(member.as_ref()) {
                Some(user) => page.users.push(user),
                None => page.invalid.push(InvalidMember {
                    member: Bytes::copy_from_slice(member.as_ref()),
                    set: Arc::clone(set.get_or_insert_with(|| self.key(community).into())),
                }),
            }
        }
        page
    }
}

/// A user as the set has it: digits, and no other spelling of the same number.
fn user(member: &[u8]) -> Option<UserId> {
    let is_spelled_so = match member {
        [b'0'] => true,
        [b'1'..=b'9', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let digits = std::str::from_utf8(member).ok().filter(|_| is_spelled_so)?;
    UserId::new(digits.parse().ok()?).ok()
}

#[async_trait]
impl Members for RedisMembers {
    async fn add(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.change("SADD", community, users).await
    }

    async fn remove(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        self.change("SREM", community, users).await
    }

    async fn scan(&self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError> {
        if from.is_none() {
            if !self.keeping.is_sure().await? {
                self.known.lock().lost();
            }
            if let Some(page) = self.small(community).await {
                return Ok(page);
            }
        }
        let mut scan = self.on("SSCAN", community);
        scan.arg(from.map_or(0, ScanCursor::get)).arg("COUNT").arg(SCAN_COUNT);
        let (next, members): (u64, Vec<Vec<u8>>) = self.connection.run(&scan).await?;
        let is_empty = from.is_none() && next == 0 && members.is_empty();
        let none_since = if is_empty { self.keeping.none_since().await? } else { None };
        let next = (next > 0).then(|| ScanCursor::new(next));
        Ok(MembersPage { next, none_since, ..self.page(community, members) })
    }

    async fn count(&self, community: CommunityId) -> Result<u64, StoreError> {
        self.connection.run(&self.on("SCARD", community)).await
    }

    async fn follow(&self, step: &Step) -> Result<Stepped, StoreError> {
        let stepped = self.following.follow(step).await;
        let mut cache = self.known.lock();
        step.changes.iter().for_each(|change| cache.changed(change.community)); // whatever came of it
        drop(cache);
        stepped
    }

    async fn followed(&self, table: &str, partitions: &[Partition]) -> Result<Vec<Option<Followed>>, StoreError> {
        self.following.followed(table, partitions).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_number_is_a_user() {
        assert_eq!(user(b"42"), UserId::new(42).ok());
        for other in ["", "042", "+42", "-1", "4.2", "alice", "9007199254740992"] {
            assert_eq!(user(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_pattern_has_one_place_for_the_community() {
        let pattern: MembersPattern = "{social}:<c>:users".parse().unwrap();
        assert_eq!(pattern.key(CommunityId::new(7).unwrap()), "{social}:7:users");
        assert_eq!(pattern.community(b"{social}:7:users"), CommunityId::new(7).ok());
        assert_eq!(pattern.community(b"{social}:x:users"), None);
        assert_eq!("community:<c>:members".parse(), Ok(MembersPattern::default()));
        for wrong in ["", "community", "<c>:<c>"] {
            assert!(wrong.parse::<MembersPattern>().is_err(), "{wrong}");
        }
    }
}
