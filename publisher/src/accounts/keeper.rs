//! The task that keeps the accounts of one partition of the receipts log: reads receipts, changes the parts they are about, and
//! commits how far it is. All errors are tried again.
//!
//! A commit is written only when what it stands for has been in the store for a while: a store that comes back younger than it
//! was, as a Redis does that syncs once a second, is given the same receipts again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use peal_proto::name::ACCOUNTS_GROUP;
use peal_proto::{DeadLetter, Partition, Position, Receipt, Topic};
use peal_serve::Clock;
use peal_store::log::{Headers, NewRecord, Record, Source};
use peal_store::status::{Change, PartKey};
use peal_store::{StoreError, Stores};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::fold::{self, Entry, Progress};
use super::part::Part;
use crate::backoff::Backoff;
use crate::feed::Feed;
use crate::limits::{ACCOUNTS_COMMIT_DELAY, ACCOUNTS_COMMIT_INTERVAL, ACCOUNTS_PAUSE};
use crate::share::{Beat, Pulse};

pub(super) struct Keeper {
    partition: Partition,
    stores: Stores,
    clock: Clock,
    pulse: Arc<Pulse>,
    backoff: Backoff,
    /// Where the feed stands; `None` until it was asked for.
    progress: Option<Progress>,
    feed: Option<Feed>,
    /// How far it was, and since when that is in the store.
    to_commit: VecDeque<(Duration, Progress)>,
}

impl Keeper {
    pub(super) fn new(partition: Partition, stores: Stores, clock: Clock, pulse: Arc<Pulse>) -> Self {
        let backoff = Backoff::new(partition);
        Self { partition, stores, clock, pulse, backoff, progress: None, feed: None, to_commit: VecDeque::new() }
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
                    self.to_commit.clear();
                    metrics::counter!("peal_accounts_retries_total").increment(1);
                    if timeout(self.backoff.next(), stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// One batch of receipts.
    async fn step(&mut self) -> Result<(), StoreError> {
        let log = &self.stores.log;
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
            sleep(ACCOUNTS_PAUSE).await;
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
        let Some(progress) = self.progress.take() else { return Ok(()) };
        let mut after = self.settle(&entries, progress).await?;
        if let Some(last) = records.last() {
            after.position = Position::behind(last.offset);
        }
        metrics::counter!("peal_accounts_receipts_total").increment(entries.len() as u64);
        self.to_commit.push_back((self.clock.uptime(), after.clone()));
        self.progress = Some(after);
        Ok(())
    }

    /// Changes the parts; another keeper that changed one meanwhile has read the same receipts, so it is looked at again.
    async fn settle(&self, entries: &[Entry], before: Progress) -> Result<Progress, StoreError> {
        let keys = fold::keys(entries, &before);
        loop {
            let stored = self.stores.statuses.parts(&keys).await?;
            let mut parts = BTreeMap::new();
            for (key, stored) in keys.iter().zip(&stored) {
                parts.insert(key.clone(), part(key, stored.as_deref())?);
            }
            let mut progress = before.clone();
            fold::fold(entries, &mut parts, &mut progress);
            let mut changes = Vec::new();
            for ((key, part), before) in parts.into_iter().zip(stored) {
                let after = part.encode();
                if before.as_ref() != Some(&after) {
                    changes.push(Change { key, before, after });
                }
            }
            if changes.is_empty() || self.stores.statuses.change(changes).await? {
                return Ok(progress);
            }
        }
    }

    fn entry(&self, record: &Record) -> Result<Entry, String> {
        let partitions = self.stores.log.partitions();
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
        let &Record { offset, key, ref value, .. } = record;
        tracing::error!(partition = %self.partition, %offset, reason, "a record of the receipts log is no receipt; it is a dead letter now");
        let letter = DeadLetter::new(reason, Topic::Receipts, self.partition, offset, key, value).to_json();
        let (key, headers) = (key.unwrap_or_default(), Headers::default());
        let record = NewRecord { partition: self.partition, key, headers, value: letter.into() };
        self.stores.log.append(Topic::DeadLetters, vec![record]).await?;
        metrics::counter!("peal_dead_letters_total", "topic" => Topic::Receipts.name(), "reason" => "not-a-receipt")
            .increment(1);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let before = self.clock.uptime().checked_sub(ACCOUNTS_COMMIT_DELAY);
        let mut due = None;
        while self.to_commit.front().is_some_and(|(since, _)| Some(*since) <= before) {
            due = self.to_commit.pop_front();
        }
        match due {
            Some((_, progress)) => self.stores.log.commit(self.source(), progress.commit()).await,
            None => Ok(()),
        }
    }

    fn source(&self) -> Source {
        Source { group: ACCOUNTS_GROUP, topic: Topic::Receipts, partition: self.partition }
    }
}

fn part(key: &PartKey, stored: Option<&[u8]>) -> Result<Part, StoreError> {
    let Some(stored) = stored else { return Ok(Part::new()) };
    Part::decode(stored).map_err(|error| StoreError::Damaged {
        store: "store of statuses",
        reason: format!("a part of the account of event {} can't be read: {error}", key.event),
    })
}
