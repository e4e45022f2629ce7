//! The machine against a naive model: random events, members and limits, with crashes and lost answers anywhere.
//!
//! A [`World`] is the stores, as plain maps. The promise is checked from the outside, in the notification log: everybody who
//! had to be told is told exactly once, in the order of the events; and what can't be told is a dead letter, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peal_proto::limits::INTEGER_MAX;
use peal_proto::shard::partition_of;
use peal_proto::{CommunityId, EventId, Offset, Partition, Position, Timestamp, UserId};
use peal_store::limits::COMMIT_METADATA_BYTES_MAX;
use peal_store::log::{Commit, Headers, NewRecord, Record};
use peal_store::members::{MembersPage, ScanCursor};
use peal_store::status::{Claim, Origin, State, Status};
use proptest::prelude::*;

use super::checkpoint::Checkpoint;
use super::machine::{Effect, Machine, Wait};
use crate::config::FanoutLimits;

const PARTITION: Partition = Partition::new(3);
const PARTITIONS: u32 = 12;

/// Communities that events are for.
const COMMUNITIES: u8 = 6;

/// What an effect takes.
const STEP: Duration = Duration::from_millis(50);

/// A record of the events log. Ids and communities are few, so that the same id comes again.
#[derive(Debug, Clone)]
enum Post {
    Say { id: u8, community: u8 },
    Join { id: u8, community: u8, user: u8, notify_self: bool },
    Tell { id: u8, user: u8 },
    Rubbish,
}

/// What becomes of an effect.
#[derive(Debug, Clone, Copy)]
enum Fate {
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
enum Fortune {
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
struct Scenario {
    members: Vec<(u8, u8)>,
    fortunes: Vec<Fortune>,
    posts: Vec<Post>,
    limits: FanoutLimits,
    read_max: usize,
    page_max: usize,
    fates: Vec<Fate>,
}

fn posts() -> impl Strategy<Value = Post> {
    prop_oneof![
        5 => (0..20_u8, 0..COMMUNITIES).prop_map(|(id, community)| Post::Say { id, community }),
        3 => (0..20_u8, 0..COMMUNITIES, 0..40_u8, any::<bool>())
            .prop_map(|(id, community, user, notify_self)| Post::Join { id, community, user, notify_self }),
        2 => (0..20_u8, 0..40_u8).prop_map(|(id, user)| Post::Tell { id, user }),
        1 => Just(Post::Rubbish),
    ]
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::Quiet),
        1 => any::<bool>().prop_map(|done| Fate::Lost { done }),
        1 => any::<bool>().prop_map(|done| Fate::Crash { done }),
    ]
}

fn fortunes() -> impl Strategy<Value = Fortune> {
    let at = || (0..10_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        3 => Just(Fortune::Kept),
        1 => at().prop_map(|at| Fortune::PutBack { at }),
        1 => (at(), 0..25_usize).prop_map(|(at, since)| Fortune::GivenUp { at, since }),
    ]
}

prop_compose! {
    fn scenarios(fates_max: usize)(
        members in prop::collection::vec((0..COMMUNITIES, 0..40_u8), 0..120),
        fortunes in prop::collection::vec(fortunes(), usize::from(COMMUNITIES)),
        posts in prop::collection::vec(posts(), 1..25),
        (notifications_max, bytes_max, events_max) in (1..15_usize, 1..3_000_usize, 1..5_usize),
        (large_max, held_max) in (1..4_usize, 1..5_usize),
        (read_max, page_max) in (1..6_usize, 1..9_usize),
        fates in prop::collection::vec(fates(), 0..=fates_max),
    ) -> Scenario {
        let limits = FanoutLimits { notifications_max, bytes_max, events_max, large_max, held_max };
        Scenario { members, fortunes, posts, limits, read_max, page_max, fates }
    }
}

fn community(number: u8) -> CommunityId {
    CommunityId::new(u64::from(number)).unwrap()
}

/// Users far apart, up to the largest.
fn user(number: u8) -> UserId {
    UserId::new(u64::from(number) * (INTEGER_MAX / 40)).unwrap()
}

/// Offsets have holes.
fn offset(index: usize) -> Offset {
    Offset::new(3 * index as u64 + 1)
}

/// When a post was accepted.
fn at(index: usize) -> Timestamp {
    Timestamp::from_millis(1_795_341_600_000).after(Duration::from_secs(index as u64))
}

impl Scenario {
    fn fortune(&self, of: CommunityId) -> Fortune {
        usize::try_from(of.get()).map_or(Fortune::Kept, |of| self.fortunes[of])
    }

    fn founders(&self, of: CommunityId) -> BTreeSet<UserId> {
        let founders = self.members.iter().filter(|(community_of, _)| community(*community_of) == of);
        founders.map(|(_, member)| user(*member)).collect()
    }
}

impl Post {
    /// Whose events are told one after the other.
    fn key(&self) -> Option<(&'static str, u8)> {
        match self {
            Self::Say { community, .. } | Self::Join { community, .. } => Some(("community", *community)),
            Self::Tell { user, .. } => Some(("user", *user)),
            Self::Rubbish => None,
        }
    }

    fn record(&self, index: usize) -> Record {
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

fn record(index: usize, key: u64, value: String) -> Record {
    Record { offset: offset(index), key: Some(key), headers: Headers::default(), value: value.into() }
}

/// One notification as it was found in the log: of which post, for whom.
type Told = (usize, UserId);

/// The stores.
#[derive(Default)]
struct World {
    now: Duration,
    events: Vec<Record>,
    members: BTreeMap<CommunityId, BTreeSet<UserId>>,
    claims: BTreeMap<EventId, Origin>,
    commit: Option<Commit>,
    notifications: Vec<NewRecord>,
    statuses: BTreeMap<EventId, Status>,
    buried: BTreeSet<Offset>,
}

/// The answer to an effect.
enum Answer {
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
    fn of(scenario: &Scenario) -> Self {
        let events = scenario.posts.iter().enumerate().map(|(index, post)| post.record(index)).collect();
        let mut world = Self { events, ..Self::default() };
        for of in (0..COMMUNITIES).map(community) {
            if matches!(scenario.fortune(of), Fortune::Kept) {
                world.members.insert(of, scenario.founders(of));
            }
        }
        world
    }

    fn has_unread(&self, from: Position) -> bool {
        self.events.iter().any(|record| !from.covers(record.offset))
    }

    fn perform(&mut self, effect: Effect, scenario: &Scenario) -> Answer {
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
                Answer::Claimed(events.into_iter().map(claim).collect())
            }
            Effect::Join { community, user } => {
                self.members.entry(community).or_default().insert(user);
                Answer::Joined
            }
            Effect::Scan { community, from } => self.scan(community, from, scenario),
            Effect::Write { records, commit } => {
                assert!(records.len() <= scenario.limits.notifications_max);
                assert!(commit.metadata.len() <= COMMIT_METADATA_BYTES_MAX);
                let open = Checkpoint::of(Some(commit.clone())).unwrap().open.len();
                assert!(open <= scenario.limits.large_max + scenario.limits.held_max + 1, "{open} are open");
                self.notifications.extend(records);
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

    fn scan(&mut self, community: CommunityId, from: Option<ScanCursor>, scenario: &Scenario) -> Answer {
        let none_since = match scenario.fortune(community) {
            Fortune::PutBack { at } | Fortune::GivenUp { at, .. } if self.now < at => return Answer::Missing,
            Fortune::Kept => None,
            Fortune::PutBack { .. } => {
                self.members.entry(community).or_insert_with(|| scenario.founders(community));
                None
            }
            Fortune::GivenUp { since, .. } => Some(at(since)),
        };
        let page = self.page(community, from, scenario.page_max);
        let none_since = none_since.filter(|_| from.is_none() && page.users.is_empty());
        Answer::Page(MembersPage { none_since, ..page })
    }

    /// In descending order, and each first one twice: a store may do so.
    fn page(&self, community: CommunityId, from: Option<ScanCursor>, page_max: usize) -> MembersPage {
        let skipped = usize::try_from(from.map_or(0, ScanCursor::get)).unwrap();
        let all: Vec<_> = self.members.get(&community).into_iter().flatten().rev().copied().collect();
        let mut users: Vec<_> = all.iter().skip(skipped).take(page_max).copied().collect();
        let seen = skipped + users.len();
        users.extend(users.first().copied());
        MembersPage { users, next: (seen < all.len()).then(|| ScanCursor::new(seen as u64)), none_since: None }
    }

    fn told(&self) -> Vec<Told> {
        self.notifications.iter().map(told).collect()
    }
}

fn told(record: &NewRecord) -> Told {
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

/// Runs a fan-out to the end of its events, whatever happens to it on the way.
fn run(scenario: &Scenario) -> World {
    let mut world = World::of(scenario);
    let mut machine = Machine::new(PARTITION, PARTITIONS, scenario.limits);
    let mut fates = scenario.fates.iter();
    let end = Position::behind(offset(scenario.posts.len() - 1));
    loop {
        world.now += STEP;
        let effect = machine.next(world.now);
        let fate = fates.next().copied().unwrap_or(Fate::Answered);
        if let Effect::Read { from, wait: Wait::Long } = effect
            && !world.has_unread(from)
        {
            assert_eq!(world.commit.as_ref().map(|commit| commit.position), Some(end));
            return world;
        }
        match rests(&effect, fate, &world) {
            Some(until) => world.now = until,
            None => settle(effect, fate, &mut machine, &mut world, scenario),
        }
    }
}

/// Until when nothing happens, if nothing does.
fn rests(effect: &Effect, fate: Fate, world: &World) -> Option<Duration> {
    if let Effect::Rest { until } = effect {
        return Some(*until);
    }
    let Effect::Read { from, wait: Wait::Until(until) } = effect else { return None };
    let is_quiet = matches!(fate, Fate::Quiet) || !world.has_unread(*from);
    is_quiet.then_some(*until)
}

fn settle(effect: Effect, fate: Fate, machine: &mut Machine, world: &mut World, scenario: &Scenario) {
    match fate {
        Fate::Quiet if matches!(effect, Effect::Read { wait: Wait::Long, .. }) => machine.handle_quiet(),
        Fate::Answered | Fate::Quiet => feed(machine, world.perform(effect, scenario)),
        Fate::Lost { done } => {
            if done {
                world.perform(effect, scenario);
            }
        }
        Fate::Crash { done } => {
            if done {
                world.perform(effect, scenario);
            }
            *machine = Machine::new(PARTITION, PARTITIONS, scenario.limits);
        }
    }
}

fn feed(machine: &mut Machine, answer: Answer) {
    match answer {
        Answer::Opened(commit) => machine.handle_opened(commit).unwrap(),
        Answer::Records(records) => machine.handle_records(&records),
        Answer::Claimed(claims) => machine.handle_claims(claims),
        Answer::Joined => machine.handle_joined(),
        Answer::Page(page) => machine.handle_page(&page),
        Answer::Missing => machine.handle_missing(),
        Answer::Written => machine.handle_written(),
        Answer::Reported => machine.handle_reported(),
        Answer::Buried => machine.handle_buried(),
    }
}

/// What a fan-out would tell that does one thing after the other and never fails.
#[derive(Default)]
struct Expected {
    told: BTreeSet<Told>,
    /// Who is a member in the end, by post: told perhaps as well, when an earlier event is repeated after a join.
    perhaps: BTreeSet<Told>,
    /// Who joined and did not want to be told.
    never: BTreeSet<Told>,
    published: BTreeMap<EventId, usize>,
    buried: BTreeSet<Offset>,
    /// Events of which a copy is a dead letter: another copy is told perhaps, as a replay is.
    loose: BTreeMap<EventId, BTreeSet<usize>>,
}

fn expected(scenario: &Scenario) -> Expected {
    let communities = || (0..COMMUNITIES).map(community);
    let is_given_up = |of| matches!(scenario.fortune(of), Fortune::GivenUp { .. });
    let mut members: BTreeMap<_, _> =
        communities().filter(|of| !is_given_up(*of)).map(|of| (of, scenario.founders(of))).collect();
    let mut expected = Expected::default();
    let (mut counted, mut maybe) = (Vec::new(), Vec::new());
    for (index, post) in scenario.posts.iter().enumerate() {
        let (id, of, left_out) = match post {
            Post::Say { id, community } => (id, Some(*community), None),
            Post::Join { id, community, user, notify_self } => (id, Some(*community), (!notify_self).then_some(*user)),
            Post::Tell { id, user: _ } => (id, None, None),
            Post::Rubbish => {
                expected.buried.insert(offset(index));
                continue;
            }
        };
        let left_out = left_out.map(|joiner| (index, user(joiner)));
        let event: EventId = format!("e{id}").parse().unwrap();
        if expected.published.contains_key(&event) {
            continue;
        }
        let is_lost = of.is_some_and(
            |of| matches!(scenario.fortune(community(of)), Fortune::GivenUp { since, .. } if index < since),
        );
        let is_loose = expected.loose.contains_key(&event);
        if is_lost || is_loose {
            if !is_loose {
                expected.buried.insert(offset(index));
            }
            expected.loose.entry(event).or_default().insert(index);
            match post {
                Post::Say { .. } | Post::Rubbish => {}
                Post::Join { community: of, user: joiner, .. } => maybe.push((community(*of), user(*joiner))),
                Post::Tell { user: told, .. } => drop(expected.perhaps.insert((index, user(*told)))),
            }
            counted.extend(of.filter(|_| !is_lost).map(|of| (index, community(of))));
            expected.never.extend(left_out);
            continue;
        }
        expected.published.insert(event, index);
        if let Post::Tell { user: told, .. } = post {
            expected.told.insert((index, user(*told)));
        }
        let Some(of) = of else { continue };
        if let Post::Join { user: joiner, .. } = post {
            members.entry(community(of)).or_default().insert(user(*joiner));
        }
        let now = members.get(&community(of)).into_iter().flatten();
        expected.told.extend(now.map(|member| (index, *member)));
        counted.push((index, community(of)));
        expected.never.extend(left_out);
    }
    for (of, joiner) in maybe {
        members.entry(of).or_default().insert(joiner);
    }
    for (index, of) in counted {
        let later = members.get(&of).into_iter().flatten();
        expected.perhaps.extend(later.map(|member| (index, *member)));
    }
    expected.perhaps.extend(expected.told.iter().copied());
    expected.told.retain(|told| !expected.never.contains(told));
    expected.perhaps.retain(|told| !expected.never.contains(told));
    expected
}

fn check(scenario: &Scenario, world: &World) {
    let expected = expected(scenario);
    let told = world.told();
    let once: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(once.len(), told.len(), "somebody was told twice");
    assert!(once.is_superset(&expected.told), "skipped: {:?}", expected.told.difference(&once).collect::<Vec<_>>());
    let more: Vec<_> = once.difference(&expected.told).filter(|told| !expected.perhaps.contains(told)).collect();
    assert!(more.is_empty(), "told without being a member: {more:?}");
    for key in scenario.posts.iter().map(|post| post.key()) {
        let posts: Vec<_> =
            told.iter().map(|(post, _)| *post).filter(|post| scenario.posts[*post].key() == key).collect();
        assert!(posts.is_sorted(), "out of the order of events");
    }
    let loose = || expected.loose.values().flatten();
    assert!(world.buried.is_superset(&expected.buried), "not buried: {:?}", &expected.buried - &world.buried);
    let more = &world.buried - &expected.buried;
    assert!(more.iter().all(|buried| loose().any(|index| offset(*index) == *buried)), "buried: {more:?}");
    for copies in expected.loose.values() {
        let told: BTreeSet<_> = once.iter().map(|(post, _)| *post).filter(|post| copies.contains(post)).collect();
        assert!(told.len() <= 1, "two copies were told");
    }
    let is_known = |event: &EventId| expected.published.contains_key(event) || expected.loose.contains_key(event);
    assert!(world.statuses.keys().all(is_known));
    for (event, index) in &expected.published {
        let count = told.iter().filter(|(post, _)| post == index).count() as u64;
        let status = &world.statuses[event];
        assert_eq!((status.state, status.members, status.published), (State::Published, count, count), "{event}");
    }
    if scenario.fates.is_empty() && expected.loose.is_empty() {
        assert_eq!(once, expected.told);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn everybody_is_told_exactly_once_whatever_happens_to_the_worker(scenario in scenarios(80)) {
        check(&scenario, &run(&scenario));
    }

    #[test]
    fn without_faults_exactly_the_members_at_the_time_are_told(scenario in scenarios(0)) {
        check(&scenario, &run(&scenario));
    }
}
