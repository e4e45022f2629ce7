//! The window against a naive world: entries, who is sent to and what is answered at random, with crashes anywhere.
//!
//! The oracle looks from the outside: nothing is sent before it is due, nor again once a commit says that it is done; whoever is
//! sent to never has more than its part; a commit names nothing that is not done; and in the end everything is done: sent,
//! acknowledged, or a dead letter if somebody was sent to in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use peal_proto::{Offset, Position, Timestamp};
use proptest::prelude::*;

use super::origins::{Job, Verdict};
use super::progress::Progress;
use super::window::{Found, Outcome, Output, Route, Window};
use crate::limits::{PUSH_BACKOFF_MIN, PUSH_SENDS_AN_ORIGIN_MAX, PUSH_SENDS_MAX, PUSH_SPAN_MAX};

const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
const RETRY_AFTER: Duration = Duration::from_secs(40);

/// Who may be sent to: one that answers, one that fails at first, one that always does, one that refuses, and the webhook.
const ORIGINS: [&str; 5] = ["well", "flaky", "dead", "strict", "webhook"];

#[derive(Debug, Clone)]
struct Entry {
    /// Offsets from the one before.
    step: u64,
    /// Milliseconds from the one before.
    later: u64,
    /// Which of [`ORIGINS`].
    routes: BTreeSet<usize>,
    /// It is acknowledged after so many sends of all.
    acked_after: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Answer(usize),
    Pass,
    Commit,
    Crash,
    /// A store does not answer to what is asked of it next.
    StoreFails(usize),
}

fn entry() -> impl Strategy<Value = Entry> {
    let step = prop_oneof![4 => Just(1_u64), 1 => Just(PUSH_SPAN_MAX / 4)];
    let routes = prop::collection::btree_set(0..ORIGINS.len(), 0..3);
    (step, 0_u64..3_000, routes, prop::option::weighted(0.2, 0_usize..100))
        .prop_map(|(step, later, routes, acked_after)| Entry { step, later, routes, acked_after })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => any::<usize>().prop_map(Act::Answer),
        2 => Just(Act::Pass),
        2 => Just(Act::Commit),
        1 => Just(Act::Crash),
        1 => any::<usize>().prop_map(Act::StoreFails),
    ]
}

struct World {
    log: Vec<(Offset, Timestamp, Entry)>,
    now: Timestamp,
    window: Window,
    committed: Progress,
    asked: Vec<Output>,
    sends: usize,
    tries: BTreeMap<Job, u32>,
    /// Not before then.
    again: BTreeMap<Job, Timestamp>,
    /// Whom each entry reached, or never will.
    over: BTreeMap<Offset, BTreeSet<usize>>,
    gone: BTreeSet<Offset>,
    buried: BTreeSet<Offset>,
    in_vain: BTreeSet<Offset>,
}

impl World {
    fn new(entries: Vec<Entry>) -> Self {
        let (mut offset, mut due) = (0, 1_000_000);
        let place = |entry: Entry| {
            (offset, due) = (offset + entry.step, due + entry.later);
            (Offset::new(offset), Timestamp::from_millis(due), entry)
        };
        Self {
            log: entries.into_iter().map(place).collect(),
            now: Timestamp::from_millis(1_000_000),
            window: Window::new(Progress::default(), GIVE_UP_AFTER),
            committed: Progress::default(),
            asked: Vec::new(),
            sends: 0,
            tries: BTreeMap::new(),
            again: BTreeMap::new(),
            over: BTreeMap::new(),
            gone: BTreeSet::new(),
            buried: BTreeSet::new(),
            in_vain: BTreeSet::new(),
        }
    }

    fn entry(&self, offset: Offset) -> &(Offset, Timestamp, Entry) {
        self.log.iter().find(|(at, ..)| *at == offset).unwrap()
    }

    fn route(&self, job: Job) -> usize {
        *self.entry(job.entry).2.routes.iter().nth(job.target).unwrap()
    }

    /// Reads what there is room for, and takes down what is to be done.
    fn turn(&mut self) {
        for (offset, due, _) in &self.log {
            if !self.window.has_room(*offset) {
                break;
            }
            self.window.take(*offset, *due);
        }
        while let Some(output) = self.window.next(self.now) {
            match &output {
                Output::LookUp(entries) => {
                    assert!(entries.iter().all(|entry| self.entry(*entry).1 <= self.now), "before it is due");
                }
                Output::Send(job) => {
                    assert!(self.again.get(job).is_none_or(|at| *at <= self.now), "{job:?} too soon");
                    assert!(!self.is_committed(job.entry), "{job:?} once more");
                }
                Output::Bury { entry, .. } => assert!(self.in_vain.contains(entry), "nobody failed"),
            }
            self.asked.push(output);
        }
        let sends = self.asked.iter().filter_map(|asked| match asked {
            Output::Send(job) => Some(self.route(*job)),
            Output::LookUp(_) | Output::Bury { .. } => None,
        });
        let under_way: Vec<_> = sends.collect();
        assert!(under_way.len() <= PUSH_SENDS_MAX);
        for origin in 0..ORIGINS.len() {
            assert!(under_way.iter().filter(|to| **to == origin).count() <= PUSH_SENDS_AN_ORIGIN_MAX);
        }
    }

    fn is_committed(&self, entry: Offset) -> bool {
        self.committed.position.covers(entry) || self.committed.done.contains(&entry)
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Answer(pick) => self.answer(pick, true),
            Act::StoreFails(pick) => self.answer(pick, false),
            Act::Pass => self.pass(),
            Act::Commit => self.commit(),
            Act::Crash => {
                self.asked.clear();
                self.again.clear();
                self.window = Window::new(self.committed.clone(), GIVE_UP_AFTER);
            }
        }
        self.turn();
    }

    /// Until something is due.
    fn pass(&mut self) {
        if let Some(due) = self.window.due() {
            self.now = self.now.max(due);
        }
    }

    fn commit(&mut self) {
        let stored = self.window.progress().to_commit();
        self.committed = Progress::from_commit(&stored).unwrap();
        let claimed: Vec<_> = self.log.iter().filter(|(offset, ..)| self.is_committed(*offset)).collect();
        for (offset, _, entry) in claimed {
            let over = self.over.get(offset).cloned().unwrap_or_default();
            let is_done = self.gone.contains(offset) || self.buried.contains(offset) || over == entry.routes;
            assert!(is_done, "{offset} is not done: {entry:?}");
        }
    }

    fn answer(&mut self, pick: usize, stores_answer: bool) {
        let Some(index) = pick.checked_rem(self.asked.len()) else { return };
        match self.asked.remove(index) {
            Output::LookUp(entries) => {
                let found = entries.into_iter().map(|entry| (entry, self.look_up(entry, stores_answer))).collect();
                self.window.looked_up(found, self.now);
            }
            Output::Send(job) if stores_answer => {
                let outcome = self.send(job);
                self.window.sent(job, self.now, outcome);
            }
            Output::Send(job) => self.window.sent(job, self.now, Outcome::Unasked),
            Output::Bury { entry, .. } => {
                self.buried.insert(entry);
                self.window.buried(entry);
            }
        }
    }

    fn look_up(&mut self, entry: Offset, stores_answer: bool) -> Found {
        let route = |number: &usize| Route { origin: Arc::from(ORIGINS[*number]), yields: *number < 4 };
        match stores_answer {
            false if entry.get().is_multiple_of(2) => Found::Nothing,
            false => Found::Lost,
            true if self.is_acked(entry) => Found::Gone,
            true => Found::Routes(self.entry(entry).2.routes.iter().map(route).collect()),
        }
    }

    fn is_acked(&mut self, entry: Offset) -> bool {
        let is_acked = self.entry(entry).2.acked_after.is_some_and(|sends| sends <= self.sends);
        if is_acked {
            self.gone.insert(entry);
        }
        is_acked
    }

    fn send(&mut self, job: Job) -> Outcome {
        self.sends += 1;
        if self.is_acked(job.entry) {
            return Outcome::Gone;
        }
        let route = self.route(job);
        let tries = self.tries.entry(job).or_default();
        *tries += 1;
        let fails = |retry_after, verdict| Outcome::Failed { reason: "no".to_owned(), retry_after, verdict };
        let outcome = match (ORIGINS[route], *tries) {
            ("well", _) | ("flaky" | "webhook", 4..) => Outcome::Sent,
            ("webhook", 2) => fails(Some(RETRY_AFTER), Verdict::Well),
            ("strict", _) => Outcome::Refused { reason: "never".to_owned() },
            (_, _) => fails(None, Verdict::Unwell),
        };
        match &outcome {
            Outcome::Failed { retry_after, .. } => {
                self.again.insert(job, self.now.after(retry_after.unwrap_or(PUSH_BACKOFF_MIN / 2)));
                self.in_vain.insert(job.entry);
            }
            Outcome::Refused { .. } => {
                self.in_vain.insert(job.entry);
            }
            Outcome::Sent => {
                self.over.entry(job.entry).or_default().insert(route);
            }
            Outcome::Gone | Outcome::Unasked => {}
        }
        outcome
    }

    /// Answers everything, until nothing moves any more.
    fn heal(&mut self) {
        for _ in 0..200_000 {
            self.turn();
            if self.asked.is_empty() {
                if self.window.due().is_none() {
                    return;
                }
                self.pass();
            } else {
                self.answer(0, true);
            }
        }
        panic!("no progress: {:?}", self.window);
    }

    fn check(&mut self) {
        self.commit();
        let end = self.log.last().map_or(Position::START, |(offset, ..)| Position::behind(*offset));
        assert_eq!(self.committed, Progress { position: end, done: BTreeSet::new() });
        for (offset, _, entry) in &self.log {
            let is_lost_to = |origin: &usize| ["dead", "strict"].contains(&ORIGINS[*origin]);
            let has_gone = self.gone.contains(offset);
            assert!(has_gone || self.buried.contains(offset) || !entry.routes.iter().any(is_lost_to), "{offset}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_pushed_in_its_time_or_kept_as_a_dead_letter(
        entries in prop::collection::vec(entry(), 0..60),
        acts in prop::collection::vec(act(), 0..400)
    ) {
        let mut world = World::new(entries);
        for act in acts {
            world.act(act);
        }
        world.heal();
        world.check();
    }
}

/// Whoever hangs for ever costs what is for it, and not the time of the others.
#[test]
fn an_origin_that_hangs_does_not_hold_up_another() {
    let mut world = World::new(Vec::new());
    world.log = (0..1_000_u64)
        .map(|number| {
            let routes = BTreeSet::from([if number % 2 == 0 { 2 } else { 0 }]);
            let entry = Entry { step: 1, later: 0, routes, acked_after: None };
            (Offset::new(number), world.now, entry)
        })
        .collect();
    for _ in 0..10_000 {
        world.turn();
        let hangs = |asked: &Output| matches!(asked, Output::Send(job) if job.entry.get() % 2 == 0);
        match world.asked.iter().position(|asked| !hangs(asked)) {
            Some(other) => world.answer(other, true),
            None => break,
        }
    }
    let reached = world.over.values().filter(|over| over.contains(&0)).count();
    assert_eq!(reached, 500);
}

/// Who fails for ever makes room for those that could not be read, long before it would be given up.
#[test]
fn a_push_service_that_fails_makes_room_when_everybody_waits_for_it() {
    let mut world = World::new(Vec::new());
    let (start, step) = (world.now, PUSH_SPAN_MAX / 4);
    world.log = (0..20)
        .map(|number| {
            let routes = BTreeSet::from([if number < 19 { 2 } else { 0 }]);
            (Offset::new(number * step), start, Entry { step, later: 0, routes, acked_after: None })
        })
        .collect();
    while world.over.is_empty() {
        world.turn();
        if world.asked.is_empty() { world.pass() } else { world.answer(0, true) }
    }
    assert!(world.now < start.after(GIVE_UP_AFTER / 2), "{}", world.now);
}
