//! The log in memory: a vector a partition.
//!
//! Every atomic slice leaves a hole behind it in the partitions it wrote to, as Kafka's transaction markers do.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use peal_proto::{Generation, Offset, Partition, Position, Topic};
use tokio::sync::Notify;

use super::{Commit, Log, Member, NewRecord, Reader, Record, Source, Writer, check_partition};
use crate::StoreError;
use crate::limits::{COMMIT_METADATA_BYTES_MAX, READ_BYTES_MAX, READ_RECORDS_MAX};
use crate::simulated::{Fate, Handle};

/// All topics, commits and writers.
pub(crate) struct Model {
    partitions: u32,
    logs: BTreeMap<(Topic, Partition), PartitionLog>,
    commits: BTreeMap<Source, Commit>,
    /// The commits that an append followed.
    commits_durable: BTreeMap<Source, Commit>,
    /// The number of the newest writer of each name.
    writers: BTreeMap<String, u64>,
    /// Who shares a topic, by group, in the order they came.
    groups: BTreeMap<&'static str, Vec<u64>>,
    joined: u64,
    /// Somebody joined or left.
    rebalanced: Arc<Notify>,
    /// How often the readers of the time went deaf.
    deafened: u64,
}

#[derive(Default)]
struct PartitionLog {
    records: Vec<Record>,
    end: Position,
    appended: Arc<Notify>,
}

impl Model {
    pub(crate) fn new(partitions: u32) -> Self {
        Self {
            partitions,
            logs: BTreeMap::new(),
            commits: BTreeMap::new(),
            commits_durable: BTreeMap::new(),
            writers: BTreeMap::new(),
            groups: BTreeMap::new(),
            joined: 0,
            rebalanced: Arc::new(Notify::new()),
            deafened: 0,
        }
    }

    pub(crate) fn deafen_readers(&mut self) {
        self.deafened += 1;
    }

    pub(crate) fn lose_commits(&mut self) {
        self.commits.clone_from(&self.commits_durable);
    }

    pub(crate) fn expire(&mut self, topic: Topic, partition: Partition, below: Position) {
        self.log(topic, partition).records.retain(|record| !below.covers(record.offset));
    }

    fn log(&mut self, topic: Topic, partition: Partition) -> &mut PartitionLog {
        self.logs.entry((topic, partition)).or_default()
    }

    fn append(&mut self, topic: Topic, records: Vec<NewRecord>) -> Vec<Offset> {
        let offsets = records.into_iter().map(|record| self.log(topic, record.partition).push(record)).collect();
        self.commits_durable.clone_from(&self.commits);
        offsets
    }

    fn write(&mut self, records: Vec<(Topic, Vec<NewRecord>)>, source: Source, commit: Commit) {
        self.commits.insert(source, commit);
        for (topic, records) in records {
            let partitions: Vec<_> = records.iter().map(|record| record.partition).collect();
            self.append(topic, records);
            for partition in partitions {
                let log = self.log(topic, partition);
                log.end = log.records.last().map_or(log.end, |last| Position::at(Offset::new(last.offset.get() + 2)));
            }
        }
    }

    fn open_writer(&mut self, name: &str) -> u64 {
        let number = self.writers.entry(name.to_owned()).or_default();
        *number += 1;
        *number
    }

    fn join(&mut self, group: &'static str) -> u64 {
        self.joined += 1;
        self.groups.entry(group).or_default().push(self.joined);
        self.rebalanced.notify_waiters();
        self.joined
    }

    fn leave(&mut self, group: &'static str, number: u64) {
        self.groups.entry(group).or_default().retain(|member| *member != number);
        self.rebalanced.notify_waiters();
    }

    /// Every so-many-th partition, by the member's place among the others.
    fn share(&self, group: &'static str, number: u64, topic: Topic) -> Vec<Partition> {
        let members = self.groups.get(group).map_or(&[][..], |members| members);
        let place = members.iter().position(|member| *member == number).unwrap_or_default();
        (0..topic.partitions(self.partitions)).skip(place).step_by(members.len().max(1)).map(Partition::new).collect()
    }

    fn refusal(&self, topic: Topic, records: &[NewRecord], commit: Option<&Commit>) -> Option<String> {
        let metadata = commit.map_or(0, |commit| commit.metadata.len());
        if metadata > COMMIT_METADATA_BYTES_MAX {
            return Some(format!("a commit has at most {COMMIT_METADATA_BYTES_MAX} bytes of metadata, not {metadata}"));
        }
        records.iter().find_map(|record| check_partition(topic, record.partition, self.partitions).err())
    }
}

impl PartitionLog {
    fn push(&mut self, record: NewRecord) -> Offset {
        let NewRecord { partition: _, key, headers, value } = record;
        let offset = self.end.next();
        self.records.push(Record { offset, written: None, key: Some(key), headers, value });
        self.end = Position::behind(offset);
        self.appended.notify_waiters();
        offset
    }

    fn read(&self, from: Position, records_max: usize) -> Vec<Record> {
        let start = self.records.partition_point(|record| from.covers(record.offset));
        let mut bytes = 0;
        let mut batch = Vec::new();
        for record in self.records[start..].iter().take(records_max) {
            bytes += record.value.len();
            batch.push(record.clone());
            if bytes > READ_BYTES_MAX {
                break;
            }
        }
        batch
    }
}

impl Handle<Model> {
    fn check(&self, topic: Topic, records: &[NewRecord], commit: Option<&Commit>) -> Result<(), StoreError> {
        let refusal = self.with(|log| log.refusal(topic, records, commit));
        refusal.map_or(Ok(()), |reason| Err(self.gate.unavailable(reason)))
    }
}

#[async_trait]
impl Log for Handle<Model> {
    fn generation(&self) -> Generation {
        Generation::new(1)
    }

    fn partitions(&self) -> u32 {
        self.with(|log| log.partitions)
    }

    async fn append(&self, topic: Topic, mut records: Vec<NewRecord>) -> Result<Vec<Offset>, StoreError> {
        self.check(topic, &records, None)?;
        let fate = self.gate.enter().await?;
        if fate == Fate::Lost {
            records.truncate(self.gate.draw(records.len()));
        }
        let offsets = self.with(|log| log.append(topic, records));
        self.gate.leave(fate, offsets).await
    }

    async fn writer(&self, name: &str) -> Result<Box<dyn Writer>, StoreError> {
        let number = self.call(|log| log.open_writer(name)).await?;
        Ok(Box::new(SimulatedWriter { log: self.clone(), name: name.to_owned(), number }))
    }

    async fn reader(&self, topic: Topic, partition: Partition, from: Position) -> Result<Box<dyn Reader>, StoreError> {
        let opened = self.call(|log| (Arc::clone(&log.log(topic, partition).appended), log.deafened)).await?;
        let (appended, deafened) = opened;
        Ok(Box::new(SimulatedReader { log: self.clone(), topic, partition, position: from, appended, deafened }))
    }

    async fn join(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Member>, StoreError> {
        let fate = self.gate.enter().await?;
        let (number, rebalanced) = self.with(|log| (log.join(group), Arc::clone(&log.rebalanced)));
        let member = SimulatedMember { log: self.clone(), group, topic, number, rebalanced, last: None };
        self.gate.leave(fate, ()).await?; // one that nobody hears of has left again
        Ok(Box::new(member))
    }

    async fn commit(&self, source: Source, commit: Commit) -> Result<(), StoreError> {
        self.check(source.topic, &[], Some(&commit))?;
        self.call(|log| log.commits.insert(source, commit)).await?;
        Ok(())
    }

    async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError> {
        self.call(|log| log.commits.get(&source).cloned()).await
    }

    async fn end(&self, topic: Topic, partition: Partition) -> Result<Position, StoreError> {
        self.call(|log| log.log(topic, partition).end).await
    }
}

struct SimulatedWriter {
    log: Handle<Model>,
    name: String,
    number: u64,
}

#[async_trait]
impl Writer for SimulatedWriter {
    async fn write(
        &mut self,
        records: Vec<(Topic, Vec<NewRecord>)>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        for (topic, records) in &records {
            self.log.check(*topic, records, Some(&commit))?;
        }
        let Self { log, name, number } = self;
        let written = log.call(|log| {
            let newest = log.writers.get(name) == Some(number);
            if newest {
                log.write(records, source, commit);
            }
            newest
        });
        if written.await? { Ok(()) } else { Err(StoreError::Fenced { writer: name.clone() }) }
    }
}

/// Leaves when it is dropped: nobody waits for the silence of one that has crashed.
struct SimulatedMember {
    log: Handle<Model>,
    group: &'static str,
    topic: Topic,
    number: u64,
    rebalanced: Arc<Notify>,
    /// What was told.
    last: Option<Vec<Partition>>,
}

#[async_trait]
impl Member for SimulatedMember {
    async fn assigned(&mut self) -> Result<Vec<Partition>, StoreError> {
        loop {
            let mut rebalanced = pin!(self.rebalanced.notified());
            rebalanced.as_mut().enable(); // before the look, or a change between the two wakes nobody
            let share = self.log.with(|log| log.share(self.group, self.number, self.topic));
            if self.last.as_ref() != Some(&share) {
                self.last = Some(share.clone());
                return Ok(share);
            }
            rebalanced.await;
        }
    }
}

impl Drop for SimulatedMember {
    fn drop(&mut self) {
        self.log.with(|log| log.leave(self.group, self.number));
    }
}

struct SimulatedReader {
    log: Handle<Model>,
    topic: Topic,
    partition: Partition,
    position: Position,
    appended: Arc<Notify>,
    /// As often as that when it was opened; once more, and it is deaf.
    deafened: u64,
}

#[async_trait]
impl Reader for SimulatedReader {
    async fn next(&mut self) -> Result<Vec<Record>, StoreError> {
        loop {
            let mut appended = pin!(self.appended.notified());
            appended.as_mut().enable(); // before the look, or what is appended between the two wakes nobody
            let records_max = 1 + self.log.gate.draw(READ_RECORDS_MAX - 1);
            let read = self.log.call(|log| {
                let hears = log.deafened == self.deafened;
                hears.then(|| log.log(self.topic, self.partition).read(self.position, records_max))
            });
            let Some(batch) = read.await? else { return std::future::pending().await };
            if let Some(last) = batch.last() {
                self.position = Position::behind(last.offset);
                return Ok(batch);
            }
            tokio::select! {
                () = appended => {}
                () = self.log.gate.refusing() => {}
            }
        }
    }
}
