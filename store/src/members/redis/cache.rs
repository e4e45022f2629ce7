//! The members of small communities, for as long as it is known that they have not changed.
//!
//! Pure: it is told what was read, what has changed and what time it is. A read that began before a change is not kept,
//! whichever of the two is told first. Whether changes are heard at all may end at any time; then everything is forgotten
//! and nothing is kept until they are heard again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peal_proto::{CommunityId, UserId};

/// Users kept, in all communities together: 16 MiB of ids.
const USERS_MAX: usize = 2_000_000;

/// How long members are kept: the bound on what goes wrong unheard, as when Redis is wiped (of which `fred` does not tell)
/// or a link dies in silence.
const AGE_MAX: Duration = Duration::from_secs(30);

/// What a community takes beside its members, in users.
const COMMUNITY_USERS: usize = 16;

/// Counters of changes, each shared by many communities; a read is thrown away when its counter has moved.
const COUNTERS: usize = 1_024;

/// Members by community.
pub(super) struct Cache {
    users_max: usize,
    age_max: Duration,
    /// Whether every change from now on is told.
    listens: bool,
    /// How often changes may have been missed.
    misses: u64,
    changes: Vec<u64>,
    /// What was asked for lately, and what was before that; when the first is full, the second goes.
    recent: Shelf,
    older: Shelf,
}

/// A read under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill {
    community: CommunityId,
    began: Instant,
    misses: u64,
    changes: u64,
}

#[derive(Default)]
struct Shelf {
    communities: HashMap<CommunityId, Kept>,
    users: usize,
}

struct Kept {
    users: Arc<[UserId]>,
    read: Instant,
}

impl Kept {
    fn size(&self) -> usize {
        self.users.len() + COMMUNITY_USERS
    }
}

impl Shelf {
    fn take(&mut self, community: CommunityId) -> Option<Kept> {
        let kept = self.communities.remove(&community)?;
        self.users -= kept.size();
        Some(kept)
    }

    fn put(&mut self, community: CommunityId, kept: Kept) {
        drop(self.take(community));
        self.users += kept.size();
        self.communities.insert(community, kept);
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(USERS_MAX, AGE_MAX)
    }
}

impl Cache {
    fn new(users_max: usize, age_max: Duration) -> Self {
        let (recent, older) = (Shelf::default(), Shelf::default());
        Self { users_max, age_max, listens: false, misses: 0, changes: vec![0; COUNTERS], recent, older }
    }

    /// The members of a community, if they are known.
    pub(super) fn get(&mut self, community: CommunityId, now: Instant) -> Option<Arc<[UserId]>> {
        let is_fresh = |kept: &Kept| now.saturating_duration_since(kept.read) < self.age_max;
        if let Some(kept) = self.recent.communities.get(&community) {
            return is_fresh(kept).then(|| Arc::clone(&kept.users));
        }
        let kept = self.older.take(community).filter(is_fresh)?;
        let users = Arc::clone(&kept.users);
        self.keep(community, kept);
        Some(users)
    }

    /// Before a read; `None` while its outcome could not be kept.
    pub(super) fn begin(&self, community: CommunityId, now: Instant) -> Option<Fill> {
        let changes = self.changes[counter(community)];
        self.listens.then_some(Fill { community, began: now, misses: self.misses, changes })
    }

    /// After a read: what it found, which is kept if nothing has changed since it began.
    pub(super) fn finish(&mut self, fill: Fill, users: Arc<[UserId]>) {
        let Fill { community, began, misses, changes } = fill;
        if misses == self.misses && changes == self.changes[counter(community)] {
            drop(self.older.take(community));
            self.keep(community, Kept { users, read: began });
        }
    }

    /// The members of a community have changed.
    pub(super) fn changed(&mut self, community: CommunityId) {
        self.changes[counter(community)] += 1;
        drop(self.recent.take(community));
        drop(self.older.take(community));
    }

    /// Changes may have been missed, and may be until they are listened to again.
    pub(super) fn missed(&mut self) {
        self.listens = false;
        self.lost();
    }

    /// Whatever is known may be gone; changes of what is read from now on are told as before.
    pub(super) fn lost(&mut self) {
        self.misses += 1;
        self.recent = Shelf::default();
        self.older = Shelf::default();
    }

    /// From now on every change is told.
    pub(super) fn listens(&mut self) {
        self.listens = true;
    }

    /// Users kept, with what their communities take beside them.
    pub(super) fn users(&self) -> usize {
        self.recent.users + self.older.users
    }

    fn keep(&mut self, community: CommunityId, kept: Kept) {
        if self.recent.users + kept.size() > self.users_max / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        if kept.size() <= self.users_max / 2 {
            self.recent.put(community, kept);
        }
    }
}

fn counter(community: CommunityId) -> usize {
    usize::try_from(community.get() % COUNTERS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const AGE: u64 = 10;

    /// What happens to a cache.
    #[derive(Debug, Clone)]
    enum Event {
        Begin(u64),
        /// The read that began so many before the last one.
        Finish(usize),
        Changed(u64),
        Missed,
        Listens,
        Later(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0..6_u64).prop_map(Event::Begin),
            4 => (0..3_usize).prop_map(Event::Finish),
            2 => (0..6_u64).prop_map(Event::Changed),
            1 => Just(Event::Missed),
            2 => Just(Event::Listens),
            1 => (0..AGE).prop_map(Event::Later),
        ]
    }

    /// The truth, and a cache without a limit that looks through everything that has happened.
    #[derive(Default)]
    struct Model {
        now: u64,
        listens: bool,
        members: BTreeMap<u64, Vec<UserId>>,
        kept: BTreeMap<u64, Read>,
        reads: Vec<Read>,
    }

    #[derive(Clone)]
    struct Read {
        community: u64,
        found: Vec<UserId>,
        began: u64,
        fill: Option<Fill>,
        /// Nothing has changed since it began.
        holds: bool,
    }

    impl Model {
        fn forget(&mut self, goes: impl Fn(u64) -> bool) {
            self.kept.retain(|community, _| !goes(*community));
            self.reads.iter_mut().for_each(|read| read.holds &= !goes(read.community));
        }

        fn get(&self, community: u64) -> Option<&[UserId]> {
            self.kept.get(&community).filter(|read| self.now - read.began < AGE).map(|read| &read.found[..])
        }
    }

    fn community(number: u64) -> CommunityId {
        CommunityId::new(number).unwrap()
    }

    fn step(event: Event, model: &mut Model, cache: &mut Cache, start: Instant) {
        match event {
            Event::Begin(number) => {
                let fill = cache.begin(community(number), start + Duration::from_secs(model.now));
                assert_eq!(fill.is_some(), model.listens);
                let found = model.members.get(&number).cloned().unwrap_or_default();
                let holds = model.listens;
                model.reads.push(Read { community: number, found, began: model.now, fill, holds });
            }
            Event::Finish(before) => {
                let Some(at) = model.reads.len().checked_sub(before + 1) else { return };
                let read = model.reads.remove(at);
                if let Some(fill) = read.fill {
                    cache.finish(fill, read.found.clone().into());
                }
                if read.holds {
                    model.kept.insert(read.community, read);
                }
            }
            Event::Changed(number) => {
                let members = model.members.entry(number).or_default();
                members.push(UserId::new(members.len() as u64).unwrap());
                model.forget(|community| community == number);
                cache.changed(community(number));
            }
            Event::Missed => {
                model.listens = false;
                model.forget(|_| true);
                cache.missed();
            }
            Event::Listens => {
                model.listens = true;
                cache.listens();
            }
            Event::Later(seconds) => model.now += seconds,
        }
    }

    /// Runs a cache beside the model; calls back with what both know of each community.
    fn compare(events: Vec<Event>, users_max: usize, check: impl Fn(Option<&[UserId]>, Option<&[UserId]>)) {
        let (start, mut model) = (crate::clock::instant(), Model::default());
        let mut cache = Cache::new(users_max, Duration::from_secs(AGE));
        for event in events {
            step(event, &mut model, &mut cache, start);
            assert!(cache.users() <= users_max);
            for number in 0..6 {
                let got = cache.get(community(number), start + Duration::from_secs(model.now));
                check(got.as_deref(), model.get(number));
            }
        }
    }

    proptest! {
        #[test]
        fn it_knows_what_a_naive_model_knows(events in prop::collection::vec(event(), 0..80)) {
            compare(events, 10_000, |got, expected| assert_eq!(got, expected));
        }

        #[test]
        fn a_small_one_knows_less_but_nothing_else(events in prop::collection::vec(event(), 0..80)) {
            compare(events, 4 * COMMUNITY_USERS, |got, expected| assert!(got.is_none() || got == expected));
        }
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let now = crate::clock::instant();
        let mut cache = Cache::new(8 * (COMMUNITY_USERS + 1), AGE_MAX);
        cache.listens();
        let users: Arc<[UserId]> = [UserId::new(1).unwrap()].into();
        for number in 0..100 {
            let fill = cache.begin(community(number), now).unwrap();
            cache.finish(fill, Arc::clone(&users));
            assert!(cache.get(community(0), now).is_some(), "{number}");
        }
        assert!(cache.get(community(50), now).is_none());
        assert!(cache.get(community(99), now).is_some());
    }
}
