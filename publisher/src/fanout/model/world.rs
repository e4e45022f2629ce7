//! The stores, as plain maps: they do what an effect names, and answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peal_proto::shard::partition_of;
use peal_proto::{CommunityId, DeadLetter, EventId, Offset, Position, UserId};
use peal_store::limits::COMMIT_METADATA_BYTES_MAX;
use peal_store::log::{Commit, NewRecord, Record};
use peal_store::members::{InvalidMember, MembersPage, ScanCursor};
use peal_store::status::{Claim, Origin, Status};

use super::scenario::{COMMUNITIES, Fortune, Scenario, at, community};
use super::{PARTITION, PARTITIONS};
use crate::fanout::checkpoint::Checkpoint;
use crate::fanout::machine::Effect;

/// One notification as it was found in the log: of which post, for whom.
pub(super) type Told = (usize, UserId);

/// The stores.
#[derive(Default)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) events: Vec<Record>,
    pub(super) members: BTreeMap<CommunityId, BTreeSet<UserId>>,
    pub(super) claims: BTreeMap<EventId, Origin>,
    pub(super) commit: Option<Commit>,
    pub(super) notifications: Vec<NewRecord>,
    /// The letters of members that are no users: of which record, and who.
    pub(super) letters: Vec<(Offset, String)>,
    pub(super) statuses: BTreeMap<EventId, Status>,
    pub(super) buried: BTreeSet<Offset>,
}

/// The answer to an effect.
pub(super) enum Answer {
    Opened(Option<Commit>),
    Records(Vec<Record>),
    Claimed(Vec<Claim>),
    Joined,
    Page(MembersPage),
    Missing,
    Written,
    Reported,
    Buried,
}

impl World {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let events = scenario.posts.iter().enumerate().map(|(index, post)| post.record(index)).collect();
        let mut world = Self { events, ..Self::default() };
        for of in (0..COMMUNITIES).map(community) {
            if matches!(scenario.fortune(of), Fortune::Kept) {
                world.members.insert(of, scenario.founders(of));
            }
        }
        world
    }

    pub(super) fn has_unread(&self, from: Position) -> bool {
        self.events.iter().any(|record| !from.covers(record.offset))
    }

    pub(super) fn perform(&mut self, effect: Effect, scenario: &Scenario) -> Answer {
        match effect {
            Effect::Open => Answer::Opened(self.commit.clone()),
            Effect::Rest { until: _ } => panic!("there is nothing to be done"),
            Effect::Read { from, wait: _ } => {
                let rest = self.events.iter().filter(|record| !from.covers(record.offset));
                Answer::Records(rest.take(scenario.read_max).cloned().collect())
            }
            Effect::Claim { events } => {
                let claim = |(event, origin)| {
                    let ours = *self.claims.entry(event).or_insert(origin) == origin;
                    if ours { Claim::Ours } else { Claim::Duplicate }
                };
                // In another order than they were named: they are under way together.
                let mut claims: Vec<_> = events.into_iter().rev().map(claim).collect();
                claims.reverse();
                Answer::Claimed(claims)
            }
            Effect::Join { community, user } => {
                self.members.entry(community).or_default().insert(user);
                Answer::Joined
            }
            Effect::Scan { community, from } => self.scan(community, from, scenario),
            Effect::Write { records, letters, commit } => {
                assert!(records.len() <= scenario.limits.notifications_max);
                assert!(commit.metadata.len() <= COMMIT_METADATA_BYTES_MAX);
                let open = Checkpoint::of(Some(commit.clone())).unwrap().open.len();
                assert!(open <= scenario.limits.large_max + scenario.limits.held_max + 1, "{open} are open");
                self.notifications.extend(records);
                self.letters.extend(letters.iter().map(letter));
                self.commit = Some(commit);
                Answer::Written
            }
            Effect::Report { statuses, again: _ } => {
                self.statuses.extend(statuses.into_iter().map(|status| (status.event.clone(), status)));
                Answer::Reported
            }
            Effect::Bury(letter) => {
                let origin = Origin { partition: PARTITION, offset: letter.offset };
                self.claims.retain(|event, claimed| Some(event) != letter.claimed.as_ref() || *claimed != origin);
                self.buried.insert(letter.offset);
                Answer::Buried
            }
        }
    }

    pub(super) fn scan(&mut self, community: CommunityId, from: Option<ScanCursor>, scenario: &Scenario) -> Answer {
        let none_since = match scenario.fortune(community) {
            Fortune::PutBack { at } | Fortune::GivenUp { at, .. } if self.now < at => return Answer::Missing,
            Fortune::Kept => None,
            Fortune::PutBack { .. } => {
                self.members.entry(community).or_insert_with(|| scenario.founders(community));
                None
            }
            Fortune::GivenUp { since, .. } => Some(at(since)),
        };
        let page = self.page(community, from, scenario);
        let is_empty = page.users.is_empty() && page.invalid.is_empty();
        let none_since = none_since.filter(|_| from.is_none() && is_empty);
        Answer::Page(MembersPage { none_since, ..page })
    }

    /// In descending order, those that are no users behind the others, and each first one twice: a store may do so.
    pub(super) fn page(&self, community: CommunityId, from: Option<ScanCursor>, scenario: &Scenario) -> MembersPage {
        let skipped = usize::try_from(from.map_or(0, ScanCursor::get)).unwrap();
        let invalid = |text: &String| InvalidMember { member: text.clone().into(), set: "set".into() };
        let invalid: Vec<_> = scenario.invalid(community).iter().map(invalid).collect();
        let users: Vec<_> = self.members.get(&community).into_iter().flatten().rev().copied().collect();
        let all = users.len() + invalid.len();
        let end = (skipped + scenario.page_max).min(all);
        let mut page = MembersPage {
            invalid: invalid[skipped.saturating_sub(users.len())..end.saturating_sub(users.len())].to_vec(),
            users: users[skipped.min(users.len())..end.min(users.len())].to_vec(),
            next: (end < all).then(|| ScanCursor::new(end as u64)),
            none_since: None,
        };
        page.users.extend(page.users.first().copied());
        page.invalid.extend(page.invalid.first().cloned());
        page
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.notifications.iter().map(told).collect()
    }
}

pub(super) fn told(record: &NewRecord) -> Told {
    #[derive(serde::Deserialize)]
    struct Notification {
        id: String,
        event: EventId,
        data: BTreeMap<String, usize>,
    }
    let notification: Notification = serde_json::from_slice(&record.value).unwrap();
    assert_eq!(notification.id, format!("{}:{}", notification.event, record.key));
    assert_eq!(record.partition, partition_of(record.key, PARTITIONS));
    (notification.data["i"], UserId::new(record.key).unwrap())
}

fn letter(record: &NewRecord) -> (Offset, String) {
    let letter: DeadLetter = serde_json::from_slice(&record.value).unwrap();
    assert_eq!((letter.partition, record.partition), (PARTITION, PARTITION));
    (letter.offset, String::from_utf8(letter.value.to_vec()).unwrap())
}
