//! What must have been seen: every event answered with 202, by everybody who was a member when it was posted, once, in the
//! order of its community and of the cursors.
//!
//! A user may also see events from just before it joined: what was accepted and not yet fanned out finds it among the
//! members. That has to stand in order like everything else. A gap counts as a loss: nothing here is beyond a quota.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{CommunityId, Cursor, EventId, UserId};
use peal_serve::Clock;
use tokio::sync::watch;

use super::scene::{community, user};

/// Of each kind of fault, so many are named.
const NAMED_MAX: usize = 10;

/// What one client was shown, and how.
pub(crate) struct Socket {
    pub(crate) user: UserId,
    pub(crate) seen: Vec<(Cursor, EventId)>,
    pub(crate) gaps: Vec<String>,
    pub(crate) connections: u64,
    pub(crate) repeats: u64,
}

impl Socket {
    pub(crate) fn of(user: UserId) -> Self {
        Self { user, seen: Vec::new(), gaps: Vec::new(), connections: 0, repeats: 0 }
    }

    /// It was told of a gap.
    pub(crate) fn gap(&mut self, from: Cursor, to: Cursor, reason: GapReason) {
        self.gaps.push(format!("a gap from {from} to {to} of user {}: {}", self.user, reason.name()));
    }
}

#[derive(Clone)]
pub(crate) struct Oracle {
    clock: Clock,
    answered: Arc<Mutex<Answered>>,
    /// How many events that are.
    events: Arc<watch::Sender<usize>>,
}

impl Default for Oracle {
    fn default() -> Self {
        Self { clock: Clock::system(), answered: Arc::default(), events: Arc::default() }
    }
}

/// What was answered so far.
#[derive(Default)]
struct Answered {
    /// When each event was.
    at: BTreeMap<EventId, Duration>,
    /// The longest that one who is always there waited for what was answered.
    silence: Duration,
    /// Each community's events, in order.
    events: BTreeMap<CommunityId, Vec<EventId>>,
    /// Where each event stands.
    places: BTreeMap<EventId, (CommunityId, usize)>,
    /// From which event on a user is a member.
    since: BTreeMap<UserId, BTreeMap<CommunityId, usize>>,
    /// Where several post at once, and no order of answers says which was first.
    unordered: BTreeSet<CommunityId>,
    /// Whose events are written to the notification log, past the publisher.
    by_hand: BTreeSet<CommunityId>,
    /// How many members of a community are no users.
    invalid: BTreeMap<CommunityId, u64>,
}

impl Oracle {
    fn lock(&self) -> MutexGuard<'_, Answered> {
        self.answered.lock().unwrap()
    }

    /// A community with those who are members from its next event on.
    pub(crate) fn founded(&self, community: CommunityId, members: impl IntoIterator<Item = UserId>) {
        let Answered { events, since, .. } = &mut *self.lock();
        let next = events.entry(community).or_default().len();
        for user in members {
            since.entry(user).or_default().insert(community, next);
        }
    }

    /// Several post to this community at once.
    pub(crate) fn unordered(&self, community: CommunityId) {
        self.lock().unordered.insert(community);
    }

    /// The events of this community are written to the notification log: no publisher accepts them.
    pub(crate) fn by_hand(&self, community: CommunityId) {
        self.lock().by_hand.insert(community);
    }

    /// So many members of this community are no users.
    pub(crate) fn invalid(&self, community: CommunityId, members: u64) {
        self.lock().invalid.insert(community, members);
    }

    /// How many members of an event's community are no users.
    pub(crate) fn failed(&self, event: &EventId) -> u64 {
        let Answered { places, invalid, .. } = &*self.lock();
        places.get(event).and_then(|(community, _)| invalid.get(community)).copied().unwrap_or_default()
    }

    /// Whether an event came through a publisher, so that there is an account of it.
    pub(crate) fn has_account(&self, event: &EventId) -> bool {
        let Answered { places, by_hand, .. } = &*self.lock();
        places.get(event).is_none_or(|(community, _)| !by_hand.contains(community))
    }

    /// An event was answered with 202. A joiner is a member before the members are told.
    pub(crate) fn answered(&self, community: CommunityId, joiner: Option<UserId>, event: &EventId) {
        let now = self.clock.uptime();
        let Answered { events, places, since, at, .. } = &mut *self.lock();
        at.insert(event.clone(), now);
        let events = events.entry(community).or_default();
        places.insert(event.clone(), (community, events.len()));
        if let Some(joiner) = joiner {
            since.entry(joiner).or_default().insert(community, events.len());
        }
        events.push(event.clone());
        self.events.send_replace(places.len());
    }

    /// Somebody who is always there was shown an event.
    pub(crate) fn shown(&self, event: &EventId) {
        let (now, answered) = (self.clock.uptime(), &mut *self.lock());
        let waited = answered.at.get(event).map_or(Duration::ZERO, |at| now.saturating_sub(*at));
        answered.silence = answered.silence.max(waited);
    }

    /// The longest that anybody who is always there has waited since this was last asked.
    pub(crate) fn longest_silence(&self) -> Duration {
        std::mem::take(&mut self.lock().silence)
    }

    /// How many events were answered.
    pub(crate) fn events(&self) -> usize {
        *self.events.borrow()
    }

    /// Waits until so many more were answered.
    pub(crate) async fn more_events(&self, more: usize) {
        let until = self.events() + more;
        self.events.subscribe().wait_for(|events| *events >= until).await.unwrap();
    }

    /// Who is a member now.
    pub(crate) fn members(&self, community: CommunityId) -> Vec<UserId> {
        let answered = self.lock();
        let belong = |of_user: &BTreeMap<CommunityId, usize>| of_user.contains_key(&community);
        answered.since.iter().filter(|(_, of_user)| belong(of_user)).map(|(user, _)| *user).collect()
    }

    /// The events that a user has to see.
    pub(crate) fn owed(&self, user: UserId) -> BTreeSet<EventId> {
        let answered = self.lock();
        let of_user = answered.since.get(&user).into_iter().flatten();
        of_user.flat_map(|(community, at)| &answered.events[community][*at..]).cloned().collect()
    }

    /// Compares what each socket's client was shown with what had to be.
    pub(crate) fn judge(&self, sockets: &[Socket]) -> Verdict {
        let mut verdict = Verdict { events: self.lock().places.len(), ..Verdict::default() };
        let mut by_user: BTreeMap<UserId, BTreeSet<&EventId>> = BTreeMap::new();
        for socket in sockets {
            verdict.repeats += socket.repeats;
            verdict.connections += socket.connections;
            verdict.seen += socket.seen.len();
            verdict.lost.extend(socket.gaps.iter().cloned());
            verdict.judge_socket(&self.lock(), socket);
            by_user.entry(socket.user).or_default().extend(socket.seen.iter().map(|(_, event)| event));
        }
        for (user, seen) in by_user {
            let owed = self.owed(user);
            verdict.lost.extend(owed.iter().filter(|event| !seen.contains(event)).map(|event| named(event, user)));
        }
        verdict
    }
}

fn named(event: &EventId, user: UserId) -> String {
    format!("{event} by {user}")
}

/// What was found.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) events: usize,
    pub(crate) seen: usize,
    pub(crate) connections: u64,
    pub(crate) repeats: u64,
    pub(crate) lost: Vec<String>,
    pub(crate) twice: Vec<String>,
    pub(crate) swapped: Vec<String>,
    foreign: Vec<String>,
}

impl Verdict {
    fn judge_socket(&mut self, answered: &Answered, socket: &Socket) {
        let mut before = BTreeSet::new();
        let mut last = BTreeMap::new();
        let mut behind = None;
        for (cursor, event) in &socket.seen {
            let what = || named(event, socket.user);
            let Some((community, at)) = answered.places.get(event) else {
                self.foreign.push(what());
                continue;
            };
            let ordered = !answered.unordered.contains(community);
            if !before.insert(event) {
                self.twice.push(what());
            } else if behind.replace(*cursor).is_some_and(|behind| behind >= *cursor) {
                self.swapped.push(format!("{} at {cursor}", what()));
            } else if last.insert(*community, at).is_some_and(|last| last > at && ordered) {
                self.swapped.push(what());
            }
            let member = answered.since.get(&socket.user).is_some_and(|of_user| of_user.contains_key(community));
            if !member {
                self.foreign.push(what());
            }
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        [&self.lost, &self.twice, &self.swapped, &self.foreign].iter().all(|found| found.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, seen, connections, repeats, lost, twice, swapped, foreign } = self;
        write!(f, "{events} events answered, {seen} notifications seen over {connections} connections; ")?;
        write!(f, "lost {}, seen twice {}, out of order {}, ", lost.len(), twice.len(), swapped.len())?;
        write!(f, "of strangers {}; {repeats} repeats on the wire hidden by cursors", foreign.len())?;
        for (word, found) in [("lost", lost), ("twice", twice), ("out of order", swapped), ("of strangers", foreign)] {
            for one in found.iter().take(NAMED_MAX) {
                write!(f, "\n  {word}: {one}")?;
            }
        }
        Ok(())
    }
}

/// Fails unless a loss, a repeat, a swap and a stranger's event are each found, and nothing where there is none.
pub(crate) fn can_fail() {
    let oracle = Oracle::default();
    let (community, user) = (community(1), user(1));
    oracle.founded(community, [user]);
    let events: Vec<EventId> = ["a", "b", "c"].map(|event| event.parse().unwrap()).into();
    events.iter().for_each(|event| oracle.answered(community, None, event));
    let judged = |shown: &[&str]| {
        let seen =
            shown.iter().zip(1..).map(|(event, at)| (format!("1.{at}").parse().unwrap(), event.parse().unwrap()));
        let Verdict { lost, twice, swapped, foreign, .. } =
            oracle.judge(&[Socket { seen: seen.collect(), ..Socket::of(user) }]);
        [lost, twice, swapped, foreign].map(|found| found.len())
    };
    assert_eq!(judged(&["a", "b", "c"]), [0, 0, 0, 0]);
    assert_eq!(judged(&["a", "c"]), [1, 0, 0, 0]);
    assert_eq!(judged(&["a", "b", "b", "c"]), [0, 1, 0, 0]);
    assert_eq!(judged(&["b", "a", "c"]), [0, 0, 1, 0]);
    assert_eq!(judged(&["a", "b", "c", "d"]), [0, 0, 0, 1]);
}
