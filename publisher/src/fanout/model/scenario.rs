//! What is drawn: events, members and their fortunes, limits, and what becomes of each effect.

use std::collections::BTreeSet;
use std::time::Duration;

use peal_proto::limits::INTEGER_MAX;
use peal_proto::{CommunityId, Offset, Timestamp, UserId};
use peal_store::log::{Headers, Record};
use proptest::prelude::*;

use crate::config::FanoutLimits;

/// Communities that events are for.
pub(super) const COMMUNITIES: u8 = 6;

/// A record of the events log. Ids and communities are few, so that the same id comes again.
#[derive(Debug, Clone)]
pub(super) enum Post {
    Say { id: u8, community: u8 },
    Join { id: u8, community: u8, user: u8, notify_self: bool },
    Tell { id: u8, user: u8 },
    Rubbish,
}

/// What becomes of an effect.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Answered,
    /// Nothing to read came for a day, if that is what was waited for.
    Quiet,
    /// The store did it, or did not, and the worker does not learn which.
    Lost {
        done: bool,
    },
    /// The worker is gone, before or after the store did it.
    Crash {
        done: bool,
    },
}

/// What became of a community's members before the start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fortune {
    Kept,
    /// They were lost, and are put back then.
    PutBack {
        at: Duration,
    },
    /// They were lost, and then it is known that there are none since the post of this index.
    GivenUp {
        at: Duration,
        since: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) members: Vec<(u8, u8)>,
    /// Members that are no users.
    pub(super) invalid: Vec<(u8, u8)>,
    pub(super) fortunes: Vec<Fortune>,
    pub(super) posts: Vec<Post>,
    pub(super) limits: FanoutLimits,
    pub(super) read_max: usize,
    pub(super) page_max: usize,
    pub(super) fates: Vec<Fate>,
}

pub(super) fn posts() -> impl Strategy<Value = Post> {
    prop_oneof![
        5 => (0..20_u8, 0..COMMUNITIES).prop_map(|(id, community)| Post::Say { id, community }),
        3 => (0..20_u8, 0..COMMUNITIES, 0..40_u8, any::<bool>())
            .prop_map(|(id, community, user, notify_self)| Post::Join { id, community, user, notify_self }),
        2 => (0..20_u8, 0..40_u8).prop_map(|(id, user)| Post::Tell { id, user }),
        1 => Just(Post::Rubbish),
    ]
}

pub(super) fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::Quiet),
        1 => any::<bool>().prop_map(|done| Fate::Lost { done }),
        1 => any::<bool>().prop_map(|done| Fate::Crash { done }),
    ]
}

pub(super) fn fortunes() -> impl Strategy<Value = Fortune> {
    let at = || (0..10_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        3 => Just(Fortune::Kept),
        1 => at().prop_map(|at| Fortune::PutBack { at }),
        1 => (at(), 0..25_usize).prop_map(|(at, since)| Fortune::GivenUp { at, since }),
    ]
}

prop_compose! {
    pub(super) fn scenarios(fates_max: usize)(
        members in prop::collection::vec((0..COMMUNITIES, 0..40_u8), 0..120),
        invalid in prop::collection::vec((0..COMMUNITIES, 0..6_u8), 0..8),
        fortunes in prop::collection::vec(fortunes(), usize::from(COMMUNITIES)),
        posts in prop::collection::vec(posts(), 1..25),
        (notifications_max, bytes_max, events_max) in (1..15_usize, 1..3_000_usize, 1..5_usize),
        (large_max, held_max) in (1..4_usize, 1..5_usize),
        (read_max, page_max) in (1..6_usize, 1..9_usize),
        fates in prop::collection::vec(fates(), 0..=fates_max),
    ) -> Scenario {
        let limits = FanoutLimits { notifications_max, bytes_max, events_max, large_max, held_max };
        Scenario { members, invalid, fortunes, posts, limits, read_max, page_max, fates }
    }
}

pub(super) fn community(number: u8) -> CommunityId {
    CommunityId::new(u64::from(number)).unwrap()
}

/// Users far apart, up to the largest.
pub(super) fn user(number: u8) -> UserId {
    UserId::new(u64::from(number) * (INTEGER_MAX / 40)).unwrap()
}

/// Offsets have holes.
pub(super) fn offset(index: usize) -> Offset {
    Offset::new(3 * index as u64 + 1)
}

/// When a post was accepted.
pub(super) fn at(index: usize) -> Timestamp {
    Timestamp::from_millis(1_795_341_600_000).after(Duration::from_secs(index as u64))
}

impl Scenario {
    pub(super) fn fortune(&self, of: CommunityId) -> Fortune {
        usize::try_from(of.get()).map_or(Fortune::Kept, |of| self.fortunes[of])
    }

    pub(super) fn founders(&self, of: CommunityId) -> BTreeSet<UserId> {
        let founders = self.members.iter().filter(|(community_of, _)| community(*community_of) == of);
        founders.map(|(_, member)| user(*member)).collect()
    }

    /// As they stand in the set, as long as that is there.
    pub(super) fn invalid(&self, of: CommunityId) -> BTreeSet<String> {
        let is_kept = !matches!(self.fortune(of), Fortune::GivenUp { .. });
        let invalid = self.invalid.iter().filter(|(community_of, _)| is_kept && community(*community_of) == of);
        invalid.map(|(_, number)| format!("no user {number}")).collect()
    }
}

impl Post {
    /// Whose events are told one after the other.
    pub(super) fn key(&self) -> Option<(&'static str, u8)> {
        match self {
            Self::Say { community, .. } | Self::Join { community, .. } => Some(("community", *community)),
            Self::Tell { user, .. } => Some(("user", *user)),
            Self::Rubbish => None,
        }
    }

    pub(super) fn community(&self) -> Option<CommunityId> {
        match self {
            Self::Say { community: of, .. } | Self::Join { community: of, .. } => Some(community(*of)),
            Self::Tell { .. } | Self::Rubbish => None,
        }
    }

    pub(super) fn record(&self, index: usize) -> Record {
        let (id, key, rest) = match self {
            Self::Say { id, community } => (id, u64::from(*community), format!(r#""community":{community},"#)),
            Self::Join { id, community, user: joiner, notify_self } => {
                let join = format!(r#"{{"user":{},"notify_self":{notify_self}}}"#, user(*joiner));
                (id, u64::from(*community), format!(r#""community":{community},"join":{join},"#))
            }
            Self::Tell { id, user: told } => (id, user(*told).get(), format!(r#""user":{},"#, user(*told))),
            Self::Rubbish => return record(index, 0, "rubbish".to_owned()),
        };
        let text =
            format!(r#"{{"version":1,"event":"e{id}","kind":"k",{rest}"at":"{}","data":{{"i":{index}}}}}"#, at(index));
        record(index, key, text)
    }
}

pub(super) fn record(index: usize, key: u64, value: String) -> Record {
    Record { offset: offset(index), written: None, key: Some(key), headers: Headers::default(), value: value.into() }
}
