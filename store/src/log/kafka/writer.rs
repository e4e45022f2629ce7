//! Slices: one transaction each, the commit it follows from inside of it.
//!
//! A writer's name is its transactional id, so Kafka itself refuses the older of two. After a failure that can't be rolled
//! back a writer is of no more use: a new one of its name makes Kafka end what the old one had open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::Topic;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::oneshot;

use super::client::Clients;
use super::groups::{Groups, put};
use super::limits::{DELIVERY_LATE, DELIVERY_PAUSE, GRACE, ROOM_PAUSE, SLICE_TIME_MAX, WRITER_TIME_MAX};
use super::words::Words;
use super::{check_commit, check_records, dismiss, fault, record};
use crate::StoreError;
use crate::log::{Commit, NewRecord, Source, Writer};

/// Writes slices under one name.
pub(super) struct KafkaWriter {
    clients: Arc<Clients>,
    groups: Arc<Groups>,
    transactions: Arc<Mutex<Transactions>>,
    /// A slice did not come back: a new writer of the name ends it.
    is_lost: bool,
}

impl KafkaWriter {
    /// Opens a writer, which fences any other of the name.
    pub(super) async fn open(clients: Arc<Clients>, groups: Arc<Groups>, name: &str) -> Result<Self, StoreError> {
        let (name, own) = (name.to_owned(), Arc::clone(&clients));
        let opened = within(WRITER_TIME_MAX + GRACE, move || Transactions::open(&own, name)).await;
        let transactions = Arc::new(Mutex::new(opened.unwrap_or_else(|Late| Err(fault::unavailable(Late)))?));
        Ok(Self { clients, groups, transactions, is_lost: false })
    }
}

#[async_trait]
impl Writer for KafkaWriter {
    async fn write(
        &mut self,
        records: Vec<(Topic, Vec<NewRecord>)>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        for (topic, records) in &records {
            check_records(*topic, records, self.clients.partitions())?;
        }
        check_commit(&commit)?;
        let mut offsets = TopicPartitionList::with_capacity(1);
        put(&mut offsets, self.clients.topic(source.topic), source.partition, &commit).map_err(unknown)?;
        let slice = Slice { records, offsets, group: self.groups.metadata(source.group)? };
        if self.is_lost {
            return Err(fault::unavailable(Late));
        }
        let (clients, transactions) = (Arc::clone(&self.clients), Arc::clone(&self.transactions));
        let written = within(SLICE_TIME_MAX + GRACE, move || {
            let mut transactions = transactions.lock().unwrap_or_else(PoisonError::into_inner);
            transactions.write(&clients, &slice)
        });
        written.await.unwrap_or_else(|Late| {
            self.is_lost = true;
            Err(fault::unavailable(Late))
        })
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        dismiss(Arc::clone(&self.transactions));
    }
}

/// librdkafka has not come back.
#[derive(Debug, thiserror::Error)]
#[error("librdkafka did not come back in time; a new writer ends what it was at")]
struct Late;

/// A blocking call on a thread of its own; one that is late is left to itself. librdkafka is told how long to take, but waits
/// for ever in `send_offsets_to_transaction` when the group's coordinator is gone from the metadata for a moment (its issues
/// 5456 and 5511).
async fn within<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<Result<T, StoreError>, Late> {
    let (answer, answered) = oneshot::channel();
    let thread = std::thread::Builder::new().name("peal-slice".to_owned());
    let spawned = thread.spawn(move || drop(answer.send(call()))); // nobody waits any more: nobody is told
    if let Err(error) = spawned {
        return Ok(Err(fault::unavailable(error)));
    }
    match tokio::time::timeout(limit, answered).await {
        Ok(answer) => Ok(answer.unwrap_or_else(|_| Err(fault::unavailable("the call has ended early")))),
        Err(_) => Err(Late),
    }
}

/// What is written at once.
pub(super) struct Slice {
    pub(super) records: Vec<(Topic, Vec<NewRecord>)>,
    pub(super) offsets: TopicPartitionList,
    pub(super) group: ConsumerGroupMetadata,
}

/// One transaction after the other. Every call blocks.
pub(super) struct Transactions {
    name: String,
    producer: BaseProducer<Words>,
    /// Why nothing more is written.
    ended: Option<End>,
}

#[derive(Clone)]
enum End {
    Fenced,
    Broken(String),
}

impl Transactions {
    pub(super) fn open(clients: &Clients, name: String) -> Result<Self, StoreError> {
        let producer = clients.transactional(&name).map_err(unknown)?;
        producer.init_transactions(WRITER_TIME_MAX).map_err(unknown)?;
        Ok(Self { name, producer, ended: None })
    }

    /// Writes a slice; durable when answered.
    pub(super) fn write(&mut self, clients: &Clients, slice: &Slice) -> Result<(), StoreError> {
        self.transact(|producer| {
            for (topic, records) in &slice.records {
                let topic = clients.topic(*topic);
                // A partition after the other: what becomes one batch is handed over in one go, and lies together in memory.
                let mut records: Vec<_> = records.iter().collect();
                records.sort_by_key(|new| new.partition);
                records.into_iter().try_for_each(|new| send(producer, topic, new))?;
            }
            producer.send_offsets_to_transaction(&slice.offsets, &slice.group, SLICE_TIME_MAX)
        })
    }

    /// Runs one transaction.
    pub(super) fn transact(
        &mut self,
        fill: impl FnOnce(&BaseProducer<Words>) -> KafkaResult<()>,
    ) -> Result<(), StoreError> {
        if let Some(end) = self.ended.clone() {
            return Err(self.error(end));
        }
        let producer = &self.producer;
        let begun = producer.begin_transaction();
        let filled = begun.and_then(|()| fill(producer));
        let done = filled.and_then(|()| {
            drain(producer);
            producer.commit_transaction(SLICE_TIME_MAX)
        });
        done.map_err(|error| self.give_up(&error))
    }

    /// Rolls back, so that the writer is of use again; or finds that it is not.
    fn give_up(&mut self, error: &KafkaError) -> StoreError {
        let rolled_back = while_polled(&self.producer, || self.producer.abort_transaction(SLICE_TIME_MAX));
        let fatal = self.producer.client().fatal_error();
        let fenced = fatal.as_ref().is_some_and(|(code, _)| fault::is_fenced(*code));
        let why = fatal.map_or_else(|| fault::words(error), |(_, why)| why);
        if fenced {
            self.ended = Some(End::Fenced);
        } else if let Err(also) = rolled_back {
            let also = fault::words(&also);
            self.ended = Some(End::Broken(format!("{why}, and it can't be rolled back: {also}; a new writer ends it")));
        }
        self.error(self.ended.clone().unwrap_or(End::Broken(why)))
    }

    fn error(&self, end: End) -> StoreError {
        match end {
            End::Fenced => StoreError::Fenced { writer: self.name.clone() },
            End::Broken(reason) => fault::unavailable(reason),
        }
    }
}

/// Hands one record to the producer, waiting while it is full: a slice may be larger than its queue.
fn send(producer: &BaseProducer<Words>, topic: &str, new: &NewRecord) -> KafkaResult<()> {
    let key = new.key.to_string();
    let mut waited = Duration::ZERO;
    loop {
        match producer.send(record::encode(topic, &key, new, ())) {
            Ok(()) => return Ok(()),
            Err((error, _)) if error.rdkafka_error_code() != Some(Code::QueueFull) => return Err(error),
            Err((error, _)) if waited >= SLICE_TIME_MAX => return Err(error),
            Err(_) => {
                producer.poll(ROOM_PAUSE);
                waited += ROOM_PAUSE;
            }
        }
    }
}

/// Polls a producer during a call. Rolling back waits until somebody has taken what became of every record.
fn while_polled<T>(producer: &BaseProducer<Words>, call: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                producer.poll(ROOM_PAUSE);
            }
        });
        let answer = call();
        done.store(true, Ordering::Relaxed);
        answer
    })
}

/// Waits until Kafka has answered for every record. The commit would do that too, but rdkafka's flush inside of it looks
/// only every 100 ms; and its poll, given a time to wait, spins through the last millisecond of it.
#[expect(clippy::disallowed_methods, reason = "rdkafka has nothing to wait on but what spins")]
fn drain(producer: &BaseProducer<Words>) {
    let mut waited = Duration::ZERO;
    loop {
        let before = producer.in_flight_count();
        if before == 0 || waited >= SLICE_TIME_MAX {
            return;
        }
        producer.poll(Duration::ZERO);
        if producer.in_flight_count() == before {
            let pause = DELIVERY_PAUSE.max(waited / DELIVERY_LATE);
            std::thread::sleep(pause);
            waited += pause;
        }
    }
}

fn unknown(error: KafkaError) -> StoreError {
    fault::unavailable(fault::words(&error))
}
