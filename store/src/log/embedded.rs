//! The log in the embedded database: one table, keyed by topic, partition and offset.

use std::ops::Range;
use std::pin::pin;

use async_trait::async_trait;
use peal_proto::{Generation, Offset, Partition, Position, Topic};

use super::{Commit, Log, Member, NewRecord, Reader, Record, Source, Writer, check_partition};
use crate::StoreError;
use crate::embedded::schema::{self, Stored};
use crate::embedded::{Durability, Engine, Fault, Look, Slot, Stage, Table, View};
use crate::limits::{COMMIT_METADATA_BYTES_MAX, READ_BYTES_MAX, READ_RECORDS_MAX};

/// The log of an open directory.
pub(crate) struct EmbeddedLog {
    engine: Engine,
}

impl EmbeddedLog {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    fn slot(&self, topic: Topic, partition: Partition) -> Result<Slot, StoreError> {
        let tails = &self.engine.shared().tails;
        match check_partition(topic, partition, tails.partitions()) {
            Ok(()) => Ok(tails.slot(topic, partition)),
            Err(reason) => Err(self.engine.error(Fault::Refused(reason))),
        }
    }
}

fn bytes_of(records: &[NewRecord]) -> usize {
    records.iter().map(|record| record.value.len()).sum()
}

fn put_commit(stage: &mut Stage<'_>, source: Source, commit: &Commit) -> Result<(), Fault> {
    let bytes = commit.metadata.len();
    if bytes > COMMIT_METADATA_BYTES_MAX {
        let reason = format!("a commit has at most {COMMIT_METADATA_BYTES_MAX} bytes of metadata, not {bytes}");
        return Err(Fault::Refused(reason));
    }
    stage.put(Table::State, schema::commit_key(source), schema::encode_commit(commit));
    Ok(())
}

#[async_trait]
impl Log for EmbeddedLog {
    fn generation(&self) -> Generation {
        self.engine.shared().stamp.generation
    }

    fn partitions(&self) -> u32 {
        self.engine.shared().stamp.partitions
    }

    async fn append(&self, topic: Topic, records: Vec<NewRecord>) -> Result<Vec<Offset>, StoreError> {
        let bytes = bytes_of(&records);
        let append = move |stage: &mut Stage<'_>| {
            stage.check(topic, &records)?;
            Ok(records.into_iter().map(|record| stage.append(topic, record)).collect())
        };
        self.engine.run(Durability::Synced, bytes, append).await
    }

    async fn writer(&self, name: &str) -> Result<Box<dyn Writer>, StoreError> {
        let opened = name.to_owned();
        let open = move |stage: &mut Stage<'_>| Ok(stage.memory.open_writer(&opened));
        let number = self.engine.run(Durability::Riding, 0, open).await?;
        Ok(Box::new(EmbeddedWriter { engine: self.engine.clone(), name: name.to_owned(), number }))
    }

    async fn reader(&self, topic: Topic, partition: Partition, from: Position) -> Result<Box<dyn Reader>, StoreError> {
        let slot = self.slot(topic, partition)?;
        Ok(Box::new(EmbeddedReader { engine: self.engine.clone(), topic, partition, slot, position: from }))
    }

    /// The directory is one process's, and so is every partition.
    async fn join(&self, _: &'static str, topic: Topic) -> Result<Box<dyn Member>, StoreError> {
        let all = (0..topic.partitions(self.partitions())).map(Partition::new).collect();
        Ok(Box::new(OnlyMember(Some(all))))
    }

    async fn commit(&self, source: Source, commit: Commit) -> Result<(), StoreError> {
        self.engine.run(Durability::Riding, 0, move |stage| put_commit(stage, source, &commit)).await
    }

    /// One step, and no wait for the disk.
    async fn commit_behind(
        &self,
        topic: Topic,
        records: Vec<NewRecord>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let write = move |stage: &mut Stage<'_>| {
            stage.check(topic, &records)?;
            put_commit(stage, source, &commit)?;
            for record in records {
                stage.append(topic, record);
            }
            Ok(())
        };
        self.engine.run(Durability::Riding, 0, write).await
    }

    async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError> {
        let look = move |view: &View<'_>| {
            let stored = view.get(Table::State, &schema::commit_key(source))?;
            Ok(stored.map(|stored| schema::decode_commit(&stored)).transpose()?)
        };
        self.engine.look(look).await
    }

    async fn end(&self, topic: Topic, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.engine.shared().tails.end(self.slot(topic, partition)?))
    }
}

struct EmbeddedWriter {
    engine: Engine,
    name: String,
    number: u64,
}

#[async_trait]
impl Writer for EmbeddedWriter {
    async fn write(
        &mut self,
        records: Vec<(Topic, Vec<NewRecord>)>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let (name, number, bytes) =
            (self.name.clone(), self.number, records.iter().map(|(_, records)| bytes_of(records)).sum());
        let write = move |stage: &mut Stage<'_>| {
            if !stage.memory.is_newest(&name, number) {
                return Err(Fault::Fenced(name));
            }
            for (topic, records) in &records {
                stage.check(*topic, records)?;
            }
            put_commit(stage, source, &commit)?;
            for (topic, records) in records {
                for record in records {
                    stage.append(topic, record);
                }
            }
            Ok(())
        };
        self.engine.run(Durability::Synced, bytes, write).await
    }
}

/// Is assigned everything, once.
struct OnlyMember(Option<Vec<Partition>>);

#[async_trait]
impl Member for OnlyMember {
    async fn assigned(&mut self) -> Result<Vec<Partition>, StoreError> {
        match self.0.take() {
            Some(all) => Ok(all),
            None => std::future::pending().await,
        }
    }
}

struct EmbeddedReader {
    engine: Engine,
    topic: Topic,
    partition: Partition,
    slot: Slot,
    position: Position,
}

#[async_trait]
impl Reader for EmbeddedReader {
    async fn next(&mut self) -> Result<Vec<Record>, StoreError> {
        let Self { engine, slot, position, .. } = self;
        let tails = &engine.shared().tails;
        loop {
            let mut appended = pin!(tails.appended(*slot).notified());
            appended.as_mut().enable(); // before the look, or what is appended between the two wakes nobody
            let (records, until) = match tails.look(*slot, *position) {
                Look::Records(records) => (records, *position),
                Look::Older(until) => {
                    let range = schema::records(self.topic, self.partition, *position..until);
                    (engine.look(move |view| read(view, range)).await?, until)
                }
                Look::End => {
                    engine.shared().tables().map_err(|fault| engine.error(fault))?; // or nothing will come
                    appended.await;
                    continue;
                }
            };
            match records.last() {
                Some(last) => {
                    *position = Position::behind(last.offset);
                    return Ok(records);
                }
                None => *position = until, // all of them were swept
            }
        }
    }
}

/// Reads records that are no longer in memory.
fn read(view: &View<'_>, range: Range<schema::Key>) -> Result<Vec<Record>, Fault> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for pair in view.range(Table::Log, range).take(READ_RECORDS_MAX) {
        let (key, value) = pair?;
        let Stored { record, .. } = Stored::decode(schema::offset_of(&key)?, value)?;
        bytes += record.value.len();
        records.push(record);
        if bytes > READ_BYTES_MAX {
            break;
        }
    }
    Ok(records)
}
