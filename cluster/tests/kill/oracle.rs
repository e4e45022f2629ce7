//! What must have been seen: every event answered with 202, by everybody who was a member when it was posted, once, and in
//! the order of its community.
//!
//! A user may also see events from just before it joined: what was accepted and not yet fanned out when the cluster was
//! killed finds it among the members afterwards. That is counted, and has to stand in order like everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use peal_proto::{CommunityId, EventId, UserId};

use crate::audience::Socket;

pub(crate) const USERS: u64 = 48;
const COMMUNITIES: u64 = 4;

/// Of each kind of fault, so many are named.
const NAMED_MAX: usize = 10;

#[derive(Clone)]
pub(crate) struct Oracle(Arc<Mutex<Answered>>);

/// What was answered so far.
#[derive(Default)]
struct Answered {
    /// Each community's events, in order.
    events: BTreeMap<CommunityId, Vec<EventId>>,
    /// Where each event stands.
    places: BTreeMap<EventId, (CommunityId, usize)>,
    /// From which event on a user is a member.
    since: BTreeMap<(UserId, CommunityId), usize>,
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

fn communities() -> impl Iterator<Item = CommunityId> {
    (1..=COMMUNITIES).map(|number| CommunityId::new(number).unwrap())
}

/// Every user belongs to three of the four communities in the end; a third of those memberships are joins on the way.
fn belongs(user: u64, community: CommunityId) -> bool {
    user % COMMUNITIES != community.get() % COMMUNITIES
}

fn founds(user: u64, community: CommunityId) -> bool {
    !(user / COMMUNITIES + community.get()).is_multiple_of(3)
}

/// Who is a member from the start.
fn founders(community: CommunityId) -> Vec<UserId> {
    (1..=USERS).filter(|user| belongs(*user, community) && founds(*user, community)).map(user).collect()
}

/// Who joins on the way.
pub(crate) fn newcomers(community: CommunityId) -> Vec<UserId> {
    (1..=USERS).filter(|user| belongs(*user, community) && !founds(*user, community)).map(user).collect()
}

impl Oracle {
    pub(crate) fn new() -> Self {
        let mut answered = Answered::default();
        for community in communities() {
            answered.events.insert(community, Vec::new());
            answered.since.extend(founders(community).into_iter().map(|user| ((user, community), 0)));
        }
        Self(Arc::new(Mutex::new(answered)))
    }

    fn lock(&self) -> MutexGuard<'_, Answered> {
        self.0.lock().unwrap()
    }

    /// Every community with who is a member from the start.
    pub(crate) fn communities(&self) -> Vec<(CommunityId, Vec<UserId>)> {
        communities().map(|community| (community, founders(community))).collect()
    }

    /// An event was answered with 202. A joiner is a member before the members are told.
    pub(crate) fn answered(&self, community: CommunityId, joiner: Option<UserId>, event: &EventId) {
        let Answered { events, places, since } = &mut *self.lock();
        let events = events.get_mut(&community).unwrap();
        places.insert(event.clone(), (community, events.len()));
        if let Some(joiner) = joiner {
            since.insert((joiner, community), events.len());
        }
        events.push(event.clone());
    }

    /// The events that a user has to see.
    pub(crate) fn owed(&self, user: UserId) -> BTreeSet<EventId> {
        let answered = self.lock();
        let of_community =
            |community| answered.since.get(&(user, community)).map(|at| &answered.events[&community][*at..]);
        communities().filter_map(of_community).flatten().cloned().collect()
    }

    /// Compares what each socket's client was shown with what had to be.
    pub(crate) fn judge(&self, sockets: &[Socket]) -> Report {
        let mut report = Report { events: self.lock().places.len(), ..Report::default() };
        for socket in sockets {
            report.repeats += socket.repeats;
            report.connections += socket.connections;
            report.seen += socket.seen.len();
            report.judge_socket(&self.lock(), socket);
        }
        for user in (1..=USERS).map(user) {
            let of_user = sockets.iter().filter(|socket| socket.user == user).flat_map(|socket| &socket.seen);
            let seen: BTreeSet<_> = of_user.cloned().collect();
            report.lost.extend(self.owed(user).difference(&seen).map(|event| format!("{event} by {user}")));
        }
        report
    }
}

/// What was found.
#[derive(Default)]
pub(crate) struct Report {
    events: usize,
    seen: usize,
    connections: u64,
    repeats: u64,
    /// From just before a join.
    early: usize,
    lost: Vec<String>,
    twice: Vec<String>,
    swapped: Vec<String>,
    foreign: Vec<String>,
}

impl Report {
    fn judge_socket(&mut self, answered: &Answered, socket: &Socket) {
        let mut before = BTreeSet::new();
        let mut last = BTreeMap::new();
        for event in &socket.seen {
            let what = || format!("{event} by {}", socket.user);
            let place = answered.places.get(event);
            let since = place.and_then(|(community, _)| answered.since.get(&(socket.user, *community)));
            let (Some((community, at)), Some(since)) = (place, since) else {
                self.foreign.push(what());
                continue;
            };
            if !before.insert(event) {
                self.twice.push(what());
            } else if last.insert(community, at).is_some_and(|last| last > at) {
                self.swapped.push(what());
            } else if at < since {
                self.early += 1;
            }
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        [&self.lost, &self.twice, &self.swapped, &self.foreign].iter().all(|found| found.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, seen, connections, repeats, early, lost, twice, swapped, foreign } = self;
        write!(f, "{events} events answered, {seen} notifications seen over {connections} connections; ")?;
        write!(f, "lost {}, seen twice {}, out of order {}, ", lost.len(), twice.len(), swapped.len())?;
        write!(f, "of strangers {}; {repeats} repeats on the wire hidden by cursors, ", foreign.len())?;
        write!(f, "{early} seen from before a join")?;
        for (word, found) in [("lost", lost), ("twice", twice), ("out of order", swapped), ("of strangers", foreign)] {
            for one in found.iter().take(NAMED_MAX) {
                write!(f, "\n  {word}: {one}")?;
            }
        }
        Ok(())
    }
}
