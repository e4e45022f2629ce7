//! The entries of one partition of `peal.offline` that are read and not done. Pure.
//!
//! An entry waits until it is due. Then it is looked up whether its notification is still parked and where its user is to be told
//! (its [`Route`]s), and each route is sent to, again after a failure, until it answered, refused, or was tried for so long that a
//! person has to look: then the entry becomes a dead letter. The commit is the lowest entry that is not done. Each call is given the time; [`Window::next`] says what is to
//! be done. Who is sent to first is [`origins`](super::origins)' business, and what was read is its caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use peal_proto::{Offset, Position, Timestamp};

use super::origins::{Job, Origins, Verdict};
use super::progress::Progress;
use crate::limits::{
    PUSH_BACKOFF_MAX, PUSH_BACKOFF_MIN, PUSH_LOOKUP_ENTRIES_MAX, PUSH_LOOKUPS_MAX, PUSH_LOST_RETRY, PUSH_SPAN_MAX,
    PUSH_STORE_RETRY, PUSH_TRIES_MIN,
};

/// Why an entry is given up whose notification did not come back.
pub(super) const LOST: &str = "the inbox lost its notification, and the node has not parked it again";

/// Where a user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Who answers there.
    pub(super) origin: Arc<str>,
    /// Whether it is given up early when everything else waits for it.
    pub(super) yields: bool,
}

/// What was found out about an entry that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Its user is to be told there.
    Routes(Vec<Route>),
    /// Its notification is no longer parked: it was acknowledged, or has expired.
    Gone,
    /// The inbox lost its notification, and will have it again once the node has seen that.
    Lost,
    /// A store did not answer.
    Nothing,
}

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It arrived, or nobody is there any more to whom it could.
    Sent,
    /// The notification is no longer parked: it was acknowledged, or has expired.
    Gone,
    /// A store did not answer: nothing was sent.
    Unasked,
    /// It did not arrive, and may do so later.
    Failed {
        /// Why, for a person.
        reason: String,
        /// Not before this time.
        retry_after: Option<Duration>,
        /// What that says about who was sent to.
        verdict: Verdict,
    },
    /// It will never arrive.
    Refused {
        /// Why, for a person.
        reason: String,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Look these entries up.
    LookUp(Vec<Offset>),
    /// Send, if the notification is still parked.
    Send(Job),
    /// Make a dead letter of this entry.
    Bury {
        /// Which.
        entry: Offset,
        /// Why.
        reason: String,
    },
}

#[derive(Debug)]
enum State {
    /// Until it is due, or may be looked up again; since when it is lost.
    Waiting(Option<Timestamp>),
    LookedUp(Option<Timestamp>),
    Sending {
        targets: Vec<Target>,
        /// Why one of them was given up.
        given_up: Option<String>,
    },
    Burying,
}

#[derive(Debug)]
struct Target {
    route: Route,
    stage: Stage,
    tries: u32,
    /// When it was first tried.
    since: Option<Timestamp>,
    /// Why it failed last.
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued(Timestamp),
    UnderWay,
    Over,
}

/// The entries of one partition that are not done.
#[derive(Debug)]
pub(super) struct Window {
    /// How long a target is tried.
    give_up_after: Duration,
    entries: BTreeMap<Offset, State>,
    /// Of those behind the lowest that is not.
    done: BTreeSet<Offset>,
    /// Behind the last entry that was taken.
    read: Position,
    waiting: BTreeSet<(Timestamp, Offset)>,
    /// Lists that are looked up.
    lookups: usize,
    origins: Origins,
    to_bury: Vec<(Offset, String)>,
    /// When the last entry taken is due.
    newest: Timestamp,
    /// More was read than could be taken.
    is_full: bool,
    /// How often what is done changed.
    steps: u64,
}

impl Window {
    pub(super) fn new(progress: Progress, give_up_after: Duration) -> Self {
        Self {
            give_up_after,
            entries: BTreeMap::new(),
            done: progress.done,
            read: progress.position,
            waiting: BTreeSet::new(),
            lookups: 0,
            origins: Origins::default(),
            to_bury: Vec::new(),
            newest: Timestamp::from_millis(0),
            is_full: false,
            steps: 0,
        }
    }

    /// Whether the record at this offset, which is the next, can be taken now.
    pub(super) fn has_room(&mut self, offset: Offset) -> bool {
        self.is_full = offset.get().saturating_sub(self.position().next().get()) >= PUSH_SPAN_MAX;
        !self.is_full
    }

    /// An entry was read.
    pub(super) fn take(&mut self, offset: Offset, due: Timestamp) {
        if self.read.covers(offset) {
            return;
        }
        self.read = Position::behind(offset);
        if !self.done.contains(&offset) {
            self.newest = due;
            self.wait(offset, due, None);
        }
        self.prune();
    }

    /// A record was read that is no entry, and is to be a dead letter.
    pub(super) fn refuse(&mut self, offset: Offset, reason: String) {
        if self.read.covers(offset) || self.done.contains(&offset) {
            return self.pass(offset);
        }
        self.read = Position::behind(offset);
        self.bury(offset, reason);
        self.prune();
    }

    /// A record was read that says nothing.
    pub(super) fn pass(&mut self, offset: Offset) {
        self.read = self.read.max(Position::behind(offset));
        self.prune();
    }

    /// What is to be done next, if anything.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Output> {
        self.make_room(now);
        if let Some((entry, reason)) = self.to_bury.pop() {
            return Some(Output::Bury { entry, reason });
        }
        if let Some(job) = self.origins.start(now) {
            if let Some(target) = self.target(job) {
                target.stage = Stage::UnderWay;
                target.since.get_or_insert(now);
            }
            return Some(Output::Send(job));
        }
        if self.lookups >= PUSH_LOOKUPS_MAX {
            return None;
        }
        let mut due = Vec::new();
        while due.len() < PUSH_LOOKUP_ENTRIES_MAX
            && let Some((_, entry)) = self.waiting.first().copied().filter(|(at, _)| *at <= now)
        {
            self.waiting.pop_first();
            if let Some(State::Waiting(lost_since)) = self.entries.get(&entry) {
                self.entries.insert(entry, State::LookedUp(*lost_since));
                due.push(entry);
            }
        }
        if due.is_empty() {
            return None;
        }
        self.lookups += 1;
        Some(Output::LookUp(due))
    }

    /// What was found out about the entries of a list.
    pub(super) fn looked_up(&mut self, found: Vec<(Offset, Found)>, now: Timestamp) {
        self.lookups -= 1;
        for (entry, found) in found {
            let Some(&State::LookedUp(lost_since)) = self.entries.get(&entry) else { continue };
            match found {
                Found::Routes(routes) => self.begin(entry, routes, now),
                Found::Gone => self.finish(entry),
                Found::Nothing => self.wait(entry, now.after(PUSH_STORE_RETRY), lost_since),
                Found::Lost => match lost_since {
                    Some(since) if since.after(self.give_up_after) <= now => self.bury(entry, LOST.to_owned()),
                    Some(_) | None => {
                        self.wait(entry, now.after(PUSH_LOST_RETRY), lost_since.or(Some(now)));
                    }
                },
            }
        }
    }

    fn begin(&mut self, entry: Offset, routes: Vec<Route>, now: Timestamp) {
        let queued = |route| Target { route, stage: Stage::Queued(now), tries: 0, since: None, reason: String::new() };
        let targets: Vec<_> = routes.into_iter().map(queued).collect();
        for (number, target) in targets.iter().enumerate() {
            self.origins.push(&target.route.origin, now, Job { entry, target: number });
        }
        self.entries.insert(entry, State::Sending { targets, given_up: None });
        self.close(entry);
    }

    /// What became of a send.
    pub(super) fn sent(&mut self, job: Job, now: Timestamp, outcome: Outcome) {
        let give_up_after = self.give_up_after;
        let Some(target) = self.target(job) else { return };
        let origin = Arc::clone(&target.route.origin);
        target.stage = Stage::Over;
        let (mut given_up, mut verdict) = (None, Verdict::Well);
        match outcome {
            Outcome::Sent => {}
            Outcome::Gone | Outcome::Unasked => verdict = Verdict::Unknown,
            Outcome::Refused { ref reason } => given_up = Some(reason.clone()),
            Outcome::Failed { ref reason, retry_after, verdict: says } => {
                verdict = says;
                target.tries += 1;
                target.reason.clone_from(reason);
                let since = target.since.unwrap_or(now);
                if target.tries >= PUSH_TRIES_MIN && now >= since.after(give_up_after) {
                    given_up = Some(gave_up(target));
                } else {
                    let wait = backoff(job, target.tries).max(retry_after.unwrap_or_default().min(give_up_after));
                    target.stage = Stage::Queued(now.after(wait));
                }
            }
        }
        if outcome == Outcome::Unasked {
            target.stage = Stage::Queued(now.after(PUSH_STORE_RETRY));
        }
        let stage = target.stage;
        self.origins.end(&origin, verdict);
        if let Stage::Queued(at) = stage {
            self.origins.push(&origin, at, job);
        }
        self.origins.forget(&origin);
        if outcome == Outcome::Gone {
            self.drop_queued(job.entry);
        }
        self.give_up(job.entry, given_up);
        self.close(job.entry);
    }

    /// An entry is a dead letter now.
    pub(super) fn buried(&mut self, entry: Offset) {
        self.finish(entry);
    }

    /// What is done.
    pub(super) fn progress(&self) -> Progress {
        Progress { position: self.position(), done: self.done.clone() }
    }

    /// Changes whenever that does.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Everything below is done.
    pub(super) fn lowest(&self) -> Offset {
        self.position().next()
    }

    /// When something is to be done, if no answer comes before.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.first().map(|(at, _)| *at).filter(|_| self.lookups < PUSH_LOOKUPS_MAX);
        [waiting, self.origins.due()].into_iter().flatten().min()
    }

    /// Entries that are not done.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn position(&self) -> Position {
        self.entries.keys().next().map_or(self.read, |lowest| Position::at(*lowest))
    }

    fn wait(&mut self, entry: Offset, until: Timestamp, lost_since: Option<Timestamp>) {
        self.entries.insert(entry, State::Waiting(lost_since));
        self.waiting.insert((until, entry));
    }

    fn target(&mut self, job: Job) -> Option<&mut Target> {
        match self.entries.get_mut(&job.entry)? {
            State::Sending { targets, .. } => targets.get_mut(job.target),
            State::Waiting(_) | State::LookedUp(_) | State::Burying => None,
        }
    }

    /// While nothing more can be read, and all that was read is due, whoever is at the lowest entry holds up everybody behind
    /// it: a push service that was tried several times has had its time.
    fn make_room(&mut self, now: Timestamp) {
        while self.is_full
            && self.newest <= now
            && let Some((&lowest, State::Sending { targets, .. })) = self.entries.first_key_value()
            && let mut left = targets.iter().filter(|target| target.stage != Stage::Over)
            && left.clone().all(yields)
            && let Some(first) = left.next()
        {
            let reason = format!("{}; and others wait", gave_up(first));
            self.drop_queued(lowest);
            self.give_up(lowest, Some(reason));
            self.close(lowest); // to be buried: the loop ends
        }
    }

    fn drop_queued(&mut self, entry: Offset) {
        let Some(State::Sending { targets, .. }) = self.entries.get_mut(&entry) else { return };
        for (number, target) in targets.iter_mut().enumerate() {
            if let Stage::Queued(at) = target.stage {
                target.stage = Stage::Over;
                self.origins.remove(&target.route.origin, at, Job { entry, target: number });
            }
        }
    }

    fn give_up(&mut self, entry: Offset, reason: Option<String>) {
        if let (Some(State::Sending { given_up, .. }), Some(reason)) = (self.entries.get_mut(&entry), reason) {
            *given_up = Some(reason);
        }
    }

    /// Ends an entry all of whose targets are over.
    fn close(&mut self, entry: Offset) {
        let Some(State::Sending { targets, given_up }) = self.entries.get_mut(&entry) else { return };
        if targets.iter().any(|target| target.stage != Stage::Over) {
            return;
        }
        match given_up.take() {
            Some(reason) => self.bury(entry, reason),
            None => self.finish(entry),
        }
    }

    fn bury(&mut self, entry: Offset, reason: String) {
        self.entries.insert(entry, State::Burying);
        self.to_bury.push((entry, reason));
    }

    fn finish(&mut self, entry: Offset) {
        self.entries.remove(&entry);
        self.done.insert(entry);
        self.prune();
    }

    fn prune(&mut self) {
        self.steps += 1;
        let lowest = self.position().next();
        if self.done.first().is_some_and(|first| *first < lowest) {
            self.done = self.done.split_off(&lowest);
        }
    }
}

fn yields(target: &Target) -> bool {
    target.route.yields && target.tries >= PUSH_TRIES_MIN && target.stage != Stage::UnderWay
}

fn gave_up(target: &Target) -> String {
    format!("it was sent {} times to {} in vain: {}", target.tries, target.route.origin, target.reason)
}

/// Twice as long each time, from half of it to all of it. No dice: sends of different entries have different parts of the jitter.
fn backoff(job: Job, tries: u32) -> Duration {
    const PARTS: u64 = 16;
    let doubled = PUSH_BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(tries - 1)).min(PUSH_BACKOFF_MAX);
    let part = u32::try_from((job.entry.get() * 7 + u64::from(tries) * 5) % PARTS).unwrap_or_default();
    doubled / 2 + doubled * part / (2 * u32::try_from(PARTS).unwrap_or(1))
}
