//! The task of one partition's fan-out: does what the machine names, with the stores. It decides nothing but when to try
//! again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use peal_proto::name::FANOUT_GROUP;
use peal_proto::{CommunityId, Partition, Position, Topic};
use peal_serve::Clock;
use peal_store::log::{Commit, NewRecord, Source, Writer};
use peal_store::members::ScanCursor;
use peal_store::status::{Claim, Origin, State, Status};
use peal_store::{StoreError, Stores};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::invalid;
use super::letter::Letter;
use super::machine::{Effect, Machine, Wait};
use crate::backoff::Backoff;
use crate::config::FanoutLimits;
use crate::feed::Feed;
use crate::limits::{COMMIT_AGE_MAX, FENCED_AGAIN, FENCED_PAUSE, SLICE_TURN_MAX};
use crate::share::{Beat, Pulse};

/// The fan-out of one partition.
pub(super) struct Worker {
    partition: Partition,
    stores: Stores,
    clock: Clock,
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
    pulse: Arc<Pulse>,
    machine: Machine,
    writer: Option<Box<dyn Writer>>,
    feed: Option<Feed>,
    backoff: Backoff,
    /// When another writer had taken its place.
    fenced_at: Option<Duration>,
    /// The last write failed: what succeeds before the next one is no recovery.
    writes_fail: bool,
}

impl Worker {
    pub(super) fn new(
        partition: Partition,
        stores: Stores,
        clock: Clock,
        limits: FanoutLimits,
        turns: Arc<Semaphore>,
        pulse: Arc<Pulse>,
    ) -> Self {
        let machine = Machine::new(partition, stores.log.partitions(), limits);
        let backoff = Backoff::new(partition);
        Self {
            partition,
            stores,
            clock,
            turns,
            turn: None,
            pulse,
            machine,
            writer: None,
            feed: None,
            backoff,
            fenced_at: None,
            writes_fail: false,
        }
    }

    /// Works until `stop`, and then until the slice under way is written and said. All errors are tried again.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let effect = self.machine.next(self.clock.uptime());
            self.beat(&effect);
            let write = matches!(effect, Effect::Write { .. });
            let report = matches!(effect, Effect::Report { .. });
            if stop.is_cancelled() && !report {
                return;
            }
            let performed = tokio::select! {
                biased;
                () = stop.cancelled(), if !write && !report => return,
                performed = self.perform(effect) => performed,
            };
            match performed {
                Ok(()) if self.writes_fail && !write => {} // on the way to the next attempt
                Ok(()) => self.recovered(),
                Err(error @ StoreError::Fenced { .. }) => {
                    if timeout(self.fenced(&error), stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
                Err(
                    error @ (StoreError::Unavailable { .. } | StoreError::Missing { .. } | StoreError::Damaged { .. }),
                ) => {
                    self.writes_fail |= write;
                    if timeout(self.failed(&error), stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// How long to wait before this worker begins again. Another writer is no proof of another worker: Kafka tells a producer
    /// whose transaction it ended itself, because it took too long, that it was fenced; until the next writer is open nobody
    /// reads what stands behind that transaction. So the first time it begins again at once, and fences whoever may be there.
    fn fenced(&mut self, error: &StoreError) -> Duration {
        (self.writer, self.feed, self.turn) = (None, None, None);
        let (partition, now) = (self.partition, self.clock.uptime());
        let before = self.fenced_at.replace(now);
        tracing::warn!(%partition, %error, "the fan-out begins again");
        let again = before.is_some_and(|before| now.saturating_sub(before) <= FENCED_AGAIN);
        if again { FENCED_PAUSE } else { Duration::ZERO }
    }

    fn beat(&self, effect: &Effect) {
        if self.backoff.failing() {
            return; // still at the step that failed
        }
        let waits = |wait: &Wait| *wait != Wait::Not;
        let idle = matches!(effect, Effect::Read { wait, .. } if waits(wait)) || matches!(effect, Effect::Rest { .. });
        self.pulse.set(if idle { Beat::Idle } else { Beat::Busy { since: self.clock.uptime() } });
    }

    async fn perform(&mut self, effect: Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Open => self.open().await?,
            Effect::Read { from, wait } => self.read(from, wait).await?,
            Effect::Rest { until } => self.rest(until).await,
            Effect::Claim { events } => {
                self.wait_for_turn().await;
                let (statuses, now) = (&self.stores.statuses, self.clock.now());
                let claims = events.iter().map(|(event, origin)| statuses.claim(event, *origin, now));
                let claims = try_join_all(claims).await?;
                claims.iter().for_each(|claim| count_duplicate(*claim));
                self.machine.handle_claims(claims);
            }
            Effect::Join { community, user } => {
                self.stores.members.add(community, vec![user]).await?;
                self.machine.handle_joined();
            }
            Effect::Scan { community, from } => self.scan(community, from).await?,
            Effect::Write { records, letters, commit } => self.write(records, letters, commit).await?,
            Effect::Report { statuses, again } => self.report(statuses, again).await?,
            Effect::Bury(letter) => self.bury(letter).await?,
        }
        Ok(())
    }

    async fn scan(&mut self, community: CommunityId, from: Option<ScanCursor>) -> Result<(), StoreError> {
        match self.stores.members.scan(community, from).await {
            Ok(page) => self.machine.handle_page(&page),
            Err(error @ StoreError::Missing { .. }) => {
                tracing::debug!(partition = %self.partition, %community, %error, "an event is set aside");
                metrics::counter!("peal_fanout_set_aside_total").increment(1);
                self.machine.handle_missing();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// First the writer, which fences any other, then the commit, which nobody else can move any more.
    async fn open(&mut self) -> Result<(), StoreError> {
        self.feed = None;
        self.writer = Some(self.stores.log.writer(&format!("{FANOUT_GROUP}.{}", self.partition)).await?);
        let commit = self.stores.log.committed(self.source()).await?;
        self.machine.handle_opened(commit)
    }

    /// Waits for records, or takes what is at hand.
    async fn read(&mut self, from: Position, wait: Wait) -> Result<(), StoreError> {
        if wait != Wait::Not {
            self.turn = None;
        }
        let open = || Feed::open(Arc::clone(&self.stores.log), Topic::Events, self.partition, from);
        let feed = self.feed.get_or_insert_with(open);
        let read = match wait {
            Wait::Not => Ok(feed.at_hand()),
            Wait::Until(until) => timeout(until.saturating_sub(self.clock.uptime()), feed.next()).await,
            Wait::Long => timeout(COMMIT_AGE_MAX, feed.next()).await,
        };
        match read {
            Ok(Ok(records)) => self.machine.handle_records(&records),
            Ok(Err(error)) => {
                self.feed = None;
                return Err(error);
            }
            Err(_) if wait == Wait::Long => self.machine.handle_quiet(),
            Err(_) => {} // the machine goes on by itself
        }
        Ok(())
    }

    async fn rest(&mut self, until: Duration) {
        self.turn = None;
        sleep(until.saturating_sub(self.clock.uptime())).await;
    }

    async fn write(
        &mut self,
        records: Vec<NewRecord>,
        letters: Vec<NewRecord>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.wait_for_turn().await;
        let (source, started) = (self.source(), self.clock.uptime());
        let (notifications, failed) = (records.len(), letters.len());
        // Nothing is read before the writer is open; were it not, the machine would open it next.
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let slice = vec![(Topic::Notifications, records), (Topic::DeadLetters, letters)];
        writer.write(slice, source, commit).await?;
        let took = self.clock.uptime().saturating_sub(started);
        metrics::histogram!("peal_fanout_slice_seconds").record(took);
        metrics::counter!("peal_fanout_notifications_total").increment(notifications as u64);
        if failed > 0 {
            self.count_failed(failed);
        }
        self.turn = None;
        self.machine.handle_written();
        Ok(())
    }

    fn count_failed(&self, letters: usize) {
        tracing::error!(partition = %self.partition, letters, "members that are no users can't be told; see the dead letters");
        let labels = [("topic", Topic::Events.name()), ("reason", invalid::KIND)];
        metrics::counter!("peal_dead_letters_total", &labels).increment(letters as u64);
    }

    /// Before a slice is begun, so that it grows by what comes meanwhile.
    async fn wait_for_turn(&mut self) {
        if self.turn.is_none() {
            let turn = timeout(SLICE_TURN_MAX, Arc::clone(&self.turns).acquire_owned()).await;
            self.turn = turn.ok().and_then(Result::ok);
        }
    }

    async fn report(&mut self, statuses: Vec<Status>, again: bool) -> Result<(), StoreError> {
        try_join_all(statuses.iter().map(|status| self.stores.statuses.update(status.clone()))).await?;
        if !again {
            self.count_published(&statuses);
        }
        self.machine.handle_reported();
        Ok(())
    }

    fn count_published(&self, statuses: &[Status]) {
        let now = self.clock.now().millis();
        for status in statuses.iter().filter(|status| status.state == State::Published) {
            let lag = Duration::from_millis(now.saturating_sub(status.at.millis()));
            metrics::histogram!("peal_fanout_lag_seconds").record(lag);
            metrics::counter!("peal_fanout_events_total").increment(1);
        }
    }

    async fn bury(&mut self, letter: Letter) -> Result<(), StoreError> {
        let Letter { poison, offset, claimed, status, record } = letter;
        let partition = self.partition;
        if let Some(event) = claimed {
            // First, so that nothing that fails behind the append leaves a second letter.
            self.stores.statuses.release(&event, Origin { partition, offset }).await?;
        }
        if let Some(status) = status {
            self.stores.statuses.update(*status).await?;
        }
        self.stores.log.append(Topic::DeadLetters, vec![record]).await?;
        tracing::error!(%partition, %offset, %poison, "a record of the events log can't be told; it is a dead letter now");
        let topic = Topic::Events.name();
        metrics::counter!("peal_dead_letters_total", "topic" => topic, "reason" => poison.name()).increment(1);
        self.machine.handle_buried();
        Ok(())
    }

    fn source(&self) -> Source {
        Source { group: FANOUT_GROUP, topic: Topic::Events, partition: self.partition }
    }

    /// How long to wait. Only the first error in a row is logged.
    fn failed(&mut self, error: &StoreError) -> Duration {
        self.turn = None;
        metrics::counter!("peal_fanout_retries_total").increment(1);
        let partition = self.partition;
        match error {
            _ if self.backoff.failing() => {}
            StoreError::Damaged { .. } => tracing::error!(%partition, %error, "the fan-out waits for a person"),
            StoreError::Unavailable { .. } | StoreError::Missing { .. } | StoreError::Fenced { .. } => {
                tracing::warn!(%partition, %error, "the fan-out tries again");
            }
        }
        self.backoff.next()
    }

    fn recovered(&mut self) {
        self.writes_fail = false;
        let failures = self.backoff.reset();
        if failures > 0 {
            tracing::info!(partition = %self.partition, failures, "the fan-out goes on");
        }
    }
}

fn count_duplicate(claim: Claim) {
    match claim {
        Claim::Ours => {}
        Claim::Duplicate => metrics::counter!("peal_fanout_duplicates_total").increment(1),
    }
}
