//! The task that pushes what one partition of `peal.offline` says: feeds the [`Window`], does what it wants done, and commits how
//! far it is. It decides nothing but what to do when a store does not answer: wait, and try again.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metrics::{Gauge, counter, gauge};
use peal_proto::name::PUSH_GROUP;
use peal_proto::{Offline, Offset, Partition, Position, Topic};
use peal_store::StoreError;
use peal_store::log::{Record, Source, dead_letter};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::origins::Job;
use super::progress::Progress;
use super::sender::{Found, Sender, Target};
use super::window::{self, Outcome, Output, Window};
use crate::backoff::Backoff;
use crate::feed::Feed;
use crate::limits::{PUSH_COMMIT_INTERVAL, PUSH_STOP_TIMEOUT, PUSH_STORE_RETRY};
use crate::share::{Beat, Pulse};

/// What is wrong with an entry whose push is given up: the label of the metric.
const NOT_PUSHED: &str = "not-pushed";

/// What comes back from what was asked for.
enum Input {
    LookedUp(Vec<Offset>, Option<Vec<Found>>),
    Sent(Job, Outcome),
    Buried(Offset, Result<(), StoreError>, String),
    Committed(u64, Result<(), StoreError>),
}

type Call = Pin<Box<dyn Future<Output = Input> + Send>>;

/// An entry that is not done.
struct Held {
    /// `None` when the record is none.
    entry: Option<Arc<Offline>>,
    /// Its record, for the dead letter that it may become.
    record: Record,
    targets: Vec<Target>,
}

pub(super) struct Worker {
    partition: Partition,
    sender: Arc<Sender>,
    pulse: Arc<Pulse>,
    window: Window,
    held: BTreeMap<Offset, Held>,
    feed: Option<Feed>,
    /// Behind the last record that was read.
    read: Position,
    /// Read and not taken.
    ahead: VecDeque<Record>,
    calls: FuturesUnordered<Call>,
    backoff: Backoff,
    /// The log is not read before then.
    read_at: Duration,
    /// [`Window::steps`] when it was committed last.
    committed: u64,
    is_committing: bool,
    commit_at: Duration,
    /// Since when a store does not say who is to be pushed to.
    unheard: Option<Duration>,
    waiting: Gauge,
}

impl Worker {
    /// Works until `stop`. What it was at is done again by whoever comes next.
    pub(super) async fn run(
        partition: Partition,
        sender: Arc<Sender>,
        give_up_after: Duration,
        pulse: Arc<Pulse>,
        stop: CancellationToken,
    ) {
        let mut backoff = Backoff::new(partition);
        let progress = loop {
            match progress(&sender, partition).await {
                Ok(progress) => break progress,
                Err(error) => {
                    tracing::warn!(%partition, %error, "it is not known how far pushes are; asking again");
                    pulse.set(Beat::Busy { since: sender.clock.uptime() });
                }
            }
            if timeout(backoff.next(), stop.cancelled()).await.is_ok() {
                return;
            }
        };
        let worker = Self {
            partition,
            read: progress.position,
            window: Window::new(progress, give_up_after),
            held: BTreeMap::new(),
            feed: None,
            ahead: VecDeque::new(),
            calls: FuturesUnordered::new(),
            backoff: Backoff::new(partition),
            read_at: Duration::ZERO,
            committed: 0,
            is_committing: false,
            commit_at: Duration::ZERO,
            unheard: None,
            waiting: gauge!("peal_push_entries", "partition" => partition.to_string()),
            sender,
            pulse,
        };
        worker.serve(stop).await;
    }

    async fn serve(mut self, stop: CancellationToken) {
        self.pulse.set(Beat::Idle);
        loop {
            self.take();
            self.carry_out();
            self.commit();
            self.waiting.set(u32::try_from(self.window.len()).unwrap_or(u32::MAX));
            let pause = self.pause();
            let reads = self.ahead.is_empty() && self.sender.clock.uptime() >= self.read_at;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(input) = self.calls.next(), if !self.calls.is_empty() => self.answered(input),
                records = next(&mut self.feed, &self.sender, self.partition, self.read), if reads => self.heard(records),
                () = sleep(pause) => {}
            }
        }
        self.finish().await;
    }

    /// Waits for what is under way, as it would be done again, and commits. Nothing more begins.
    async fn finish(mut self) {
        let ended = async {
            while let Some(input) = self.calls.next().await {
                self.answered(input);
            }
            self.commit_at = Duration::ZERO;
            self.commit();
            while let Some(input) = self.calls.next().await {
                self.answered(input);
            }
        };
        if timeout(PUSH_STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!(partition = %self.partition, "pushes were under way; they are done again");
        }
    }

    fn heard(&mut self, records: Result<Vec<Record>, StoreError>) {
        match records {
            Ok(records) => {
                self.read = records.last().map_or(self.read, |last| Position::behind(last.offset));
                self.ahead.extend(records);
                if self.backoff.reset() > 0 {
                    self.pulse.set(Beat::Idle);
                }
            }
            Err(error) => {
                let now = self.sender.clock.uptime();
                if !self.backoff.failing() {
                    tracing::warn!(partition = %self.partition, %error, "who is to be pushed to is not read; trying again");
                    self.pulse.set(Beat::Busy { since: now });
                }
                self.feed = None;
                self.read_at = now + self.backoff.next();
            }
        }
    }

    /// Takes what there is room for.
    fn take(&mut self) {
        while let Some(record) = self.ahead.front()
            && self.window.has_room(record.offset)
            && let Some(record) = self.ahead.pop_front()
        {
            let offset = record.offset;
            let entry = match Offline::from_json(&record.value) {
                _ if record.headers.canary => {
                    self.window.pass(offset);
                    continue;
                }
                Ok(entry) => {
                    self.window.take(offset, entry.due);
                    Some(Arc::new(entry))
                }
                Err(error) => {
                    self.window.refuse(offset, error.to_string());
                    None
                }
            };
            self.held.insert(offset, Held { entry, record, targets: Vec::new() });
        }
    }

    /// Does what the window wants done.
    fn carry_out(&mut self) {
        while let Some(output) = self.window.next(self.sender.clock.now()) {
            let call = match output {
                Output::LookUp(entries) => self.look_up(entries),
                Output::Send(job) => self.send(job),
                Output::Bury { entry, reason } => self.bury(entry, reason),
            };
            self.calls.push(call);
        }
    }

    fn look_up(&self, offsets: Vec<Offset>) -> Call {
        let held = offsets.iter().filter_map(|offset| self.held.get(offset));
        let entries: Vec<_> = held.filter_map(|held| held.entry.clone()).collect();
        let sender = Arc::clone(&self.sender);
        Box::pin(async move {
            let found = sender.look_up(&entries).await.inspect_err(|error| {
                tracing::warn!(%error, "a store did not answer about who is to be pushed to; trying again");
            });
            Input::LookedUp(offsets, found.ok())
        })
    }

    fn send(&self, job: Job) -> Call {
        let held = self.held.get(&job.entry);
        let what = held.and_then(|held| Some((held.entry.clone()?, held.targets.get(job.target)?.clone())));
        let sender = Arc::clone(&self.sender);
        Box::pin(async move {
            let outcome = match what {
                Some((entry, target)) => sender.send(&entry, &target).await,
                None => Outcome::Gone,
            };
            Input::Sent(job, outcome)
        })
    }

    fn bury(&self, offset: Offset, reason: String) -> Call {
        let letter = self
            .held
            .get(&offset)
            .map(|Held { record, .. }| dead_letter(Topic::Offline, self.partition, record, NOT_PUSHED, reason.clone()));
        let log = Arc::clone(&self.sender.stores.log);
        Box::pin(async move {
            let appended = log.append(Topic::DeadLetters, letter.into_iter().collect()).await.map(drop);
            if appended.is_err() {
                sleep(PUSH_STORE_RETRY).await;
            }
            Input::Buried(offset, appended, reason)
        })
    }

    fn commit(&mut self) {
        let now = self.sender.clock.uptime();
        let steps = self.window.steps();
        if self.is_committing || now < self.commit_at || steps == self.committed {
            return;
        }
        let progress = self.window.progress();
        (self.is_committing, self.commit_at) = (true, now + PUSH_COMMIT_INTERVAL);
        let (log, source) = (Arc::clone(&self.sender.stores.log), source(self.partition));
        self.calls.push(Box::pin(async move {
            let committed = log.commit(source, progress.to_commit()).await;
            Input::Committed(steps, committed)
        }));
    }

    fn answered(&mut self, input: Input) {
        let now = self.sender.clock.now();
        match input {
            Input::LookedUp(entries, found) => {
                self.note(found.is_some());
                let found = match found {
                    Some(found) => {
                        entries.into_iter().zip(found).map(|(at, found)| (at, self.found(at, found))).collect()
                    }
                    None => entries.into_iter().map(|entry| (entry, window::Found::Nothing)).collect(),
                };
                self.window.looked_up(found, now);
            }
            Input::Sent(job, outcome) => {
                count(&outcome);
                self.window.sent(job, now, outcome);
            }
            Input::Buried(entry, Ok(()), reason) => {
                tracing::warn!(partition = %self.partition, offset = %entry, reason, "a push is given up; it is a dead letter now");
                counter!("peal_dead_letters_total", "topic" => Topic::Offline.name(), "reason" => NOT_PUSHED)
                    .increment(1);
                self.window.buried(entry);
            }
            Input::Buried(entry, Err(error), reason) => {
                tracing::warn!(partition = %self.partition, %error, "a dead letter is not kept; trying again");
                self.calls.push(self.bury(entry, reason));
            }
            Input::Committed(steps, committed) => {
                self.is_committing = false;
                match committed {
                    Ok(()) => self.committed = steps,
                    Err(error) => {
                        tracing::warn!(partition = %self.partition, %error, "how far pushes are is not committed; trying again");
                    }
                }
            }
        }
        let lowest = self.window.lowest();
        while self.held.first_key_value().is_some_and(|(first, _)| *first < lowest) {
            self.held.pop_first();
        }
    }

    /// Whether a store answered.
    fn note(&mut self, answered: bool) {
        self.unheard = if answered { None } else { self.unheard.or(Some(self.sender.clock.uptime())) };
        self.pulse.set(self.unheard.map_or(Beat::Idle, |since| Beat::Busy { since }));
    }

    fn found(&mut self, entry: Offset, found: Found) -> window::Found {
        match found {
            Found::Targets(targets) => {
                let routes = targets.iter().map(|target| self.sender.route(target)).collect();
                if let Some(held) = self.held.get_mut(&entry) {
                    held.targets = targets;
                }
                window::Found::Routes(routes)
            }
            Found::Gone => {
                counter!("peal_pushes_cancelled_total").increment(1);
                window::Found::Gone
            }
            Found::Lost => window::Found::Lost,
        }
    }

    /// How long nothing is due.
    fn pause(&self) -> Duration {
        let (now, uptime) = (self.sender.clock.now(), self.sender.clock.uptime());
        let due = self.window.due().map(|due| Duration::from_millis(due.millis().saturating_sub(now.millis())));
        let has_news = !self.is_committing && self.window.steps() != self.committed;
        let commit = has_news.then(|| self.commit_at.saturating_sub(uptime));
        let read = (uptime < self.read_at).then(|| self.read_at.saturating_sub(uptime));
        [due, commit, read].into_iter().flatten().min().unwrap_or(PUSH_COMMIT_INTERVAL)
    }
}

const fn source(partition: Partition) -> Source {
    Source { group: PUSH_GROUP, topic: Topic::Offline, partition }
}

async fn progress(sender: &Sender, partition: Partition) -> Result<Progress, StoreError> {
    let Some(commit) = sender.stores.log.committed(source(partition)).await? else { return Ok(Progress::default()) };
    Progress::from_commit(&commit)
        .map_err(|error| StoreError::Damaged { store: "log", reason: format!("a commit of {PUSH_GROUP}: {error}") })
}

/// The next records; opens the feed if it is not open.
async fn next(
    feed: &mut Option<Feed>,
    sender: &Sender,
    partition: Partition,
    from: Position,
) -> Result<Vec<Record>, StoreError> {
    let open = || Feed::open(Arc::clone(&sender.stores.log), Topic::Offline, partition, from);
    feed.get_or_insert_with(open).next().await
}

fn count(outcome: &Outcome) {
    let outcome = match outcome {
        Outcome::Sent => "sent",
        Outcome::Gone => "cancelled",
        Outcome::Unasked => "unasked",
        Outcome::Failed { .. } => "failed",
        Outcome::Refused { .. } => "refused",
    };
    counter!("peal_pushes_total", "outcome" => outcome).increment(1);
}
