//! Who is told what: users with their habits, communities with their members, and who joins on the way.

use std::time::Duration;

use peal_proto::{CommunityId, NodeId, UserId};

pub(crate) const USERS: u64 = 48;
pub(crate) const COMMUNITIES: u64 = 4;
pub(crate) const NODES: u16 = 3;

/// How much is posted.
#[derive(Clone)]
pub(crate) struct Load {
    /// From one post of a community to its next.
    pub(crate) pace: Duration,
    /// What every event carries as its data.
    pub(crate) data_bytes: usize,
    /// Whether members join on the way. Not where the store of members goes back to a moment ago: until its owner puts it
    /// right, nobody can tell that who joined since is missing.
    pub(crate) joins: bool,
}

impl Default for Load {
    /// Ten events and some 360 notifications a second: below the quota (1,000 notifications) of who is away for two minutes.
    fn default() -> Self {
        Self { pace: Duration::from_millis(400), data_bytes: 100, joins: true }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    Always,
    OnAndOff,
    OnlyInTheEnd,
}

/// 48 and 3 nodes: users of every habit are at every node.
pub(crate) fn habit(user: UserId) -> Habit {
    match user.get() % 4 {
        0 | 1 => Habit::Always,
        2 => Habit::OnAndOff,
        _ => Habit::OnlyInTheEnd,
    }
}

/// Nobody moves in these tests.
pub(crate) fn owner(user: UserId) -> NodeId {
    NodeId::new(u32::try_from(user.get() % u64::from(NODES)).unwrap())
}

/// Some have two sockets open.
pub(crate) fn sockets(user: UserId) -> usize {
    if user.get() % 8 == 1 { 2 } else { 1 }
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

pub(crate) fn users() -> impl Iterator<Item = UserId> {
    (1..=USERS).map(user)
}

pub(crate) fn community(number: u64) -> CommunityId {
    CommunityId::new(number).unwrap()
}

pub(crate) fn communities() -> impl Iterator<Item = CommunityId> {
    (1..=COMMUNITIES).map(community)
}

/// Every user belongs to three of the four communities in the end; a third of those memberships are joins on the way.
fn belongs(user: UserId, community: CommunityId) -> bool {
    user.get() % COMMUNITIES != community.get() % COMMUNITIES
}

fn founds(user: UserId, community: CommunityId) -> bool {
    !(user.get() / COMMUNITIES + community.get()).is_multiple_of(3)
}

/// Who is a member from the start.
pub(crate) fn founders(community: CommunityId) -> Vec<UserId> {
    users().filter(|user| belongs(*user, community) && founds(*user, community)).collect()
}

/// Who joins on the way.
pub(crate) fn newcomers(community: CommunityId) -> Vec<UserId> {
    users().filter(|user| belongs(*user, community) && !founds(*user, community)).collect()
}
