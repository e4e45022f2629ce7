//! Members in Redis: a set a community, which the community service may own and fill itself.
//!
//! Read through in pages, never as a whole: a million members at once would hold up everything behind them. Somebody else
//! writes these sets, so a member that is no user is left out and counted, and the others are given.

use async_trait::async_trait;
use metrics::Counter;
use peal_proto::{CommunityId, UserId};
use redis::Cmd;

use super::{MEMBERS_PAGE_MAX, Members, MembersPage, ScanCursor};
use crate::StoreError;
use crate::redis::Connection;

/// Members asked for at once. Redis gives some more, as it takes its buckets whole.
const SCAN_COUNT: usize = MEMBERS_PAGE_MAX / 2;

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
}

/// The members in a Redis.
pub(crate) struct RedisMembers {
    connection: Connection,
    pattern: MembersPattern,
    skipped: Counter,
}

impl RedisMembers {
    pub(crate) fn new(connection: Connection, pattern: MembersPattern) -> Self {
        Self { connection, pattern, skipped: metrics::counter!("peal_members_skipped_total") }
    }

    fn on(&self, command: &str, community: CommunityId) -> Cmd {
        let mut command = redis::cmd(command);
        command.arg(self.pattern.key(community));
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
        self.connection.run(&command).await
    }

    /// Of what stands in the set, the users.
    fn users(&self, community: CommunityId, members: &[Vec<u8>]) -> Vec<UserId> {
        let users: Vec<_> = members.iter().filter_map(|member| user(member)).collect();
        let skipped = members.len() - users.len();
        if skipped > 0 {
            self.skipped.increment(skipped as u64);
            tracing::warn!(%community, skipped, "members that are no user ids were left out");
        }
        users
    }
}

/// A user as the set has it: digits, and no other spelling of the same number.
fn user(member: &[u8]) -> Option<UserId> {
    let text = std::str::from_utf8(member).ok()?;
    let user = UserId::new(text.parse().ok()?).ok()?;
    (user.to_string() == text).then_some(user)
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
        let mut scan = self.on("SSCAN", community);
        scan.arg(from.map_or(0, ScanCursor::get)).arg("COUNT").arg(SCAN_COUNT);
        let (next, members): (u64, Vec<Vec<u8>>) = self.connection.run(&scan).await?;
        Ok(MembersPage { users: self.users(community, &members), next: (next > 0).then(|| ScanCursor::new(next)) })
    }

    async fn count(&self, community: CommunityId) -> Result<u64, StoreError> {
        self.connection.run(&self.on("SCARD", community)).await
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
        assert_eq!("community:<c>:members".parse(), Ok(MembersPattern::default()));
        for wrong in ["", "community", "<c>:<c>"] {
            assert!(wrong.parse::<MembersPattern>().is_err(), "{wrong}");
        }
    }
}
