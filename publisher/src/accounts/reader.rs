//! The task that reads one partition of the receipts log: hands what receipts change to the keeper, and commits how far it is.
//! All errors are tried again.

use std::sync::Arc;

use peal_proto::name::ACCOUNTS_GROUP;
use peal_proto::{Partition, Position, Receipt, Topic};
use peal_serve::Clock;
use peal_store::log::{Record, Source, dead_letter};
use peal_store::{Log, StoreError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::aging::Aging;
use super::fold::{Entry, Plan, Progress};
use super::keeper::Desk;
use crate::backoff::Backoff;
use crate::feed::Feed;
use crate::limits::ACCOUNTS_COMMIT_INTERVAL;
use crate::share::{Beat, Pulse};

pub(super) struct Reader {
    partition: Partition,
    log: Arc<dyn Log>,
    desk: Desk,
    clock: Clock,
    pulse: Arc<Pulse>,
    backoff: Backoff,
    /// Where the feed stands; `None` until it was asked for.
    progress: Option<Progress>,
    feed: Option<Feed>,
    aging: Aging,
}

impl Reader {
    pub(super) fn new(partition: Partition, log: Arc<dyn Log>, desk: Desk, clock: Clock, pulse: Arc<Pulse>) -> Self {
        let backoff = Backoff::new(partition);
        Self { partition, log, desk, clock, pulse, backoff, progress: None, feed: None, aging: Aging::default() }
    }

    /// Works until `stop`. What it was at is done again by whoever comes next.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let stepped = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                stepped = self.step() => stepped,
            };
            match stepped {
                Ok(()) => drop(self.backoff.reset()),
                Err(error) => {
                    if !self.backoff.failing() {
                        tracing::warn!(partition = %self.partition, %error, "the accounts are tried again");
                    }
                    (self.feed, self.progress) = (None, None);
                    self.aging = Aging::default();
                    metrics::counter!("peal_accounts_retries_total").increment(1);
                    if timeout(self.backoff.next(), stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// What is at hand of the receipts.
    async fn step(&mut self) -> Result<(), StoreError> {
        let log = &self.log;
        if self.progress.is_none() {
            self.progress = Some(Progress::of(self.partition, log.committed(self.source()).await?)?);
        }
        let position = self.progress.as_ref().map(|progress| progress.position).unwrap_or_default();
        let open = || Feed::open(Arc::clone(log), Topic::Receipts, self.partition, position);
        let feed = self.feed.get_or_insert_with(open);
        if !self.backoff.failing() {
            self.pulse.set(Beat::Idle);
        }
        if let Ok(records) = timeout(ACCOUNTS_COMMIT_INTERVAL, feed.next()).await {
            self.take(records?).await?;
        }
        self.commit().await
    }

    async fn take(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        if !self.backoff.failing() {
            self.pulse.set(Beat::Busy { since: self.clock.uptime() }); // else still at what failed
        }
        let mut entries = Vec::with_capacity(records.len());
        for record in &records {
            match self.entry(record) {
                Ok(entry) => entries.push(entry),
                Err(reason) => self.bury(record, reason).await?,
            }
        }
        let Some(progress) = &mut self.progress else { return Ok(()) };
        let mut plan = Plan::of(&entries, progress);
        if let Some(last) = records.last() {
            plan.after.position = Position::behind(last.offset);
        }
        *progress = self.desk.settle(plan).await?;
        metrics::counter!("peal_accounts_receipts_total").increment(entries.len() as u64);
        Ok(())
    }

    fn entry(&self, record: &Record) -> Result<Entry, String> {
        let partitions = self.log.partitions();
        let partition = record.key.and_then(|key| u32::try_from(key).ok()).filter(|key| *key < partitions);
        let partition = Partition::new(partition.ok_or("its key is not a partition of notifications")?);
        let home = Receipt::partition(partition, partitions);
        if home != self.partition {
            return Err(format!(
                "it is of partition {partition}, whose receipts stand in {home}, not {}",
                self.partition
            ));
        }
        let receipt = Receipt::from_json(&record.value).map_err(|error| error.to_string())?;
        Ok(Entry { offset: record.offset, partition, receipt })
    }

    /// What is no receipt is kept, and is not in the way.
    async fn bury(&self, record: &Record, reason: String) -> Result<(), StoreError> {
        const KIND: &str = "not-a-receipt";
        let offset = record.offset;
        tracing::error!(partition = %self.partition, %offset, reason, "a record of the receipts log is no receipt; it is a dead letter now");
        let letter = dead_letter(Topic::Receipts, self.partition, record, KIND, reason);
        self.log.append(Topic::DeadLetters, vec![letter]).await?;
        metrics::counter!("peal_dead_letters_total", "topic" => Topic::Receipts.name(), "reason" => KIND).increment(1);
        Ok(())
    }

    /// Commits what is old enough.
    async fn commit(&mut self) -> Result<(), StoreError> {
        let now = self.clock.uptime();
        if let Some(progress) = &self.progress {
            self.aging.note(progress, now);
        }
        match self.aging.due(now) {
            Some(progress) => self.log.commit(self.source(), progress.commit()).await,
            None => Ok(()),
        }
    }

    fn source(&self) -> Source {
        Source { group: ACCOUNTS_GROUP, topic: Topic::Receipts, partition: self.partition }
    }
}
