//! A log that counts, and that stops answering at a given write, so that a test can let its process die right there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use peal_proto::{Generation, Offset, Partition, Position, Topic};
use peal_store::log::{Commit, Log, Member, NewRecord, Reader, Record, Source, Writer};
use peal_store::{StoreError, Stores};
use tokio::sync::Notify;

/// Where a process dies: at this write, before or after it is done. Or each write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Never,
    Failing,
    Before(usize),
    After(usize),
}

/// What is counted, and told when the trap has sprung.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) writes: AtomicUsize,
    pub(crate) reads: AtomicUsize,
    pub(crate) sprung: Notify,
}

/// The same stores, with a trap in the log.
pub(crate) fn trapped(stores: Stores, at: At) -> (Stores, Arc<Count>) {
    let count = Arc::new(Count::default());
    let log = Arc::new(Trapped { log: stores.log, at, count: Arc::clone(&count) });
    (Stores { log, ..stores }, count)
}

struct Trapped<L> {
    at: At,
    count: Arc<Count>,
    log: L,
}

impl<L> Trapped<L> {
    fn with<M>(&self, log: M) -> Trapped<M> {
        Trapped { at: self.at, count: Arc::clone(&self.count), log }
    }
}

#[async_trait]
impl Log for Trapped<Arc<dyn Log>> {
    fn generation(&self) -> Generation {
        self.log.generation()
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    async fn append(&self, topic: Topic, records: Vec<NewRecord>) -> Result<Vec<Offset>, StoreError> {
        self.log.append(topic, records).await
    }

    async fn join(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Member>, StoreError> {
        self.log.join(group, topic).await
    }

    async fn writer(&self, name: &str) -> Result<Box<dyn Writer>, StoreError> {
        Ok(Box::new(self.with(self.log.writer(name).await?)))
    }

    async fn reader(&self, topic: Topic, partition: Partition, from: Position) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.with(self.log.reader(topic, partition, from).await?)))
    }

    async fn commit(&self, source: Source, commit: Commit) -> Result<(), StoreError> {
        self.log.commit(source, commit).await
    }

    async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError> {
        self.log.committed(source).await
    }

    async fn end(&self, topic: Topic, partition: Partition) -> Result<Position, StoreError> {
        self.log.end(topic, partition).await
    }
}

#[async_trait]
impl Writer for Trapped<Box<dyn Writer>> {
    async fn write(
        &mut self,
        records: Vec<(Topic, Vec<NewRecord>)>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let number = self.count.writes.fetch_add(1, Ordering::Relaxed);
        if self.at == At::Failing {
            return Err(StoreError::Unavailable { store: "log", reason: "no writes today".into() });
        }
        spring(self.at == At::Before(number), &self.count).await;
        self.log.write(records, source, commit).await?;
        spring(self.at == At::After(number), &self.count).await;
        Ok(())
    }
}

#[async_trait]
impl Reader for Trapped<Box<dyn Reader>> {
    async fn next(&mut self) -> Result<Vec<Record>, StoreError> {
        self.count.reads.fetch_add(1, Ordering::Relaxed);
        self.log.next().await
    }
}

async fn spring(here: bool, count: &Count) {
    if here {
        count.sprung.notify_one();
        std::future::pending::<()>().await;
    }
}
