//! The course of a run: users arrive as the phases say, whether those before them are through or not, and every second is looked
//! at who is busy.
//!
//! An arrival counts from when it was due. A generator that falls behind starts those that are due together, and says how late.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use peal_serve::Clock;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::audience::Audience;
use super::busy::{Busy, Parts};
use super::phase::Phase;
use super::plan::Plan;
use super::record::Record;
use super::scene::Scene;
use super::user::{Outcome, User};
use crate::api::Api;
use crate::limits::LOAD_USERS_MAX;

/// How often those that are due are started.
const TICK: Duration = Duration::from_millis(1);

/// How often it is looked who is busy.
const LOOK: Duration = Duration::from_secs(1);

/// At the limit: this much less than what was asked for, in percent, is too little.
const ENOUGH_PERCENT: u64 = 90;

/// A run, for all of its users.
pub(super) struct Run {
    pub(super) api: Api,
    pub(super) clock: Clock,
    pub(super) plan: Plan,
    pub(super) scene: Scene,
    pub(super) audience: Audience,
    pub(super) record: Arc<Record>,
    /// Who arrived, one after the other.
    pub(super) arrivals: AtomicU64,
    /// Makes every event's id another.
    pub(super) posts: AtomicU64,
}

/// How a phase went.
pub(super) struct Passed {
    pub(super) name: String,
    /// Users that should have arrived in the time it took.
    pub(super) asked: u64,
    pub(super) started: u64,
    pub(super) took: Duration,
    /// The longest that an arrival was due before it was started.
    pub(super) late: Duration,
    /// Notifications that were not heard yet at its end.
    pub(super) behind: u64,
    /// What gave, where it was there to find that out.
    pub(super) limit: Option<Limit>,
}

/// Where something gave.
pub(super) struct Limit {
    pub(super) why: &'static str,
    /// In the second before.
    pub(super) asked: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    /// How many cores each part took.
    pub(super) busy: Vec<(String, f64)>,
}

/// One second.
struct Second {
    asked: u64,
    started: u64,
    accepted: u64,
    refused: u64,
    at_it: usize,
}

/// A run under way.
pub(super) struct Course<'p> {
    run: Arc<Run>,
    parts: &'p Parts,
    users: JoinSet<Outcome>,
}

impl<'p> Course<'p> {
    pub(super) fn new(run: &Arc<Run>, parts: &'p Parts) -> Self {
        Self { run: Arc::clone(run), parts, users: JoinSet::new() }
    }

    /// Goes through all phases, and waits until every user is through.
    pub(super) async fn run(mut self) -> io::Result<Vec<Passed>> {
        let mut passed = Vec::new();
        let run = Arc::clone(&self.run);
        for phase in &run.plan.phases {
            passed.push(self.phase(phase).await?);
        }
        while let Some(ended) = self.users.join_next().await {
            self.take(ended)?;
        }
        Ok(passed)
    }

    async fn phase(&mut self, phase: &Phase) -> io::Result<Passed> {
        let clock = self.run.clock.clone();
        let began = clock.uptime();
        let mut pace = interval(TICK);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut started, mut due, mut late, mut before) = (0, 0, Duration::ZERO, Duration::ZERO);
        let (mut seen, mut busy, mut next) = (self.totals(0, 0), self.parts.busy()?, LOOK);
        let mut limit = None;
        while limit.is_none() && before < phase.duration() {
            pace.tick().await;
            let elapsed = clock.uptime().saturating_sub(began);
            let due_before = std::mem::replace(&mut due, phase.due(elapsed));
            started += self.start(due - due_before, phase.is_limit());
            late = if due > due_before { late.max(elapsed - before) } else { late };
            before = elapsed;
            while let Some(ended) = self.users.try_join_next() {
                self.take(ended)?;
            }
            if elapsed >= next {
                next = elapsed + LOOK;
                let (totals, now) = (self.totals(due, started), self.parts.busy()?);
                if phase.is_limit() {
                    limit = totals.since(&seen).gives(&now.since(&busy));
                }
                (seen, busy) = (totals, now);
            }
        }
        Ok(Passed {
            name: phase.name().to_owned(),
            asked: due,
            started,
            took: before,
            late,
            behind: self.run.audience.ledger().owed_count(),
            limit,
        })
    }

    /// Starts so many users; how many that were, as there is a limit to those at it.
    fn start(&mut self, count: u64, is_at_limit: bool) -> u64 {
        let mut started = 0;
        while started < count && self.users.len() < LOAD_USERS_MAX {
            self.users.spawn(User::new(Arc::clone(&self.run), is_at_limit).plays());
            started += 1;
        }
        if started < count && !is_at_limit {
            let why = format!("{LOAD_USERS_MAX} users were still at it, and this one did not start");
            (started..count).for_each(|_| self.run.record.notes().failed(why.clone()));
        }
        started
    }

    fn take(&self, ended: Result<Outcome, JoinError>) -> io::Result<()> {
        if let Err(why) = ended.map_err(io::Error::other)? {
            self.run.record.notes().failed(why);
        }
        Ok(())
    }

    fn totals(&self, asked: u64, started: u64) -> Second {
        let (accepted, refused) = {
            let notes = self.run.record.notes();
            (notes.accepted, notes.refused)
        };
        Second { asked, started, accepted, refused, at_it: self.users.len() }
    }
}

impl Second {
    fn since(&self, before: &Self) -> Self {
        Self {
            asked: self.asked - before.asked,
            started: self.started - before.started,
            accepted: self.accepted - before.accepted,
            refused: self.refused - before.refused,
            at_it: self.at_it,
        }
    }

    /// Whether this second was too much, and why.
    fn gives(&self, busy: &Busy) -> Option<Limit> {
        let Self { asked, started, accepted, refused, at_it } = *self;
        let why = if refused > 0 {
            "posts were refused"
        } else if started * 100 < asked * ENOUGH_PERCENT {
            "the generator could not start as many users"
        } else if at_it as u64 > accepted {
            "answers took over a second"
        } else {
            return None;
        };
        Some(Limit { why, asked, accepted, refused, busy: busy.cores() })
    }
}

/// Waits for the last deliveries, for as long as the plan has patience.
pub(super) async fn hears_the_rest(run: &Run) -> Option<String> {
    timeout(run.scene.patience, run.audience.hears_the_rest()).await.unwrap_or(Ok(())).err()
}
