//! The topic of a table's changes: a consumer and a thread for all partitions that this process reads of it.
//!
//! What is fetched goes through one bounded queue: all partitions end in the same store, so none is served by going ahead of
//! another. The thread waits for room; the consumer is a member of no group that would miss it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::name::CDC_GROUP;
use peal_proto::{Offset, Partition, Position};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tokio::sync::mpsc;

use super::asking::Asking;
use super::client::Clients;
use super::groups::number;
use super::limits::{ASK_TIME_MAX, IDLE_PAUSE, TABLE_BATCH_BYTES_MAX, TABLE_BATCH_RECORDS_MAX};
use super::member::KafkaMember;
use super::words::Words;
use super::{OpenError, Settings, blocking, fault, topics};
use crate::StoreError;
use crate::log::Member;
use crate::table::{Bounds, Keeping, RowRecord, Table, TableReader};

/// The changes of a table in this topic. The prefix of the settings stands before the group and not before the topic, which is
/// another program's.
///
/// # Errors
/// [`OpenError::Property`]. Whether Kafka or the topic is there is not looked at.
pub fn table(settings: Settings, topic: &str) -> Result<Arc<dyn Table>, OpenError> {
    let clients = Arc::new(Clients::new(settings)?);
    let asking = Asking::new(Arc::clone(&clients), topics::ask(&clients)?);
    Ok(Arc::new(KafkaTable { clients, asking: Arc::new(asking), topic: topic.into() }))
}

struct KafkaTable {
    clients: Arc<Clients>,
    asking: Arc<Asking>,
    topic: Arc<str>,
}

#[async_trait]
impl Table for KafkaTable {
    fn topic(&self) -> &str {
        &self.topic
    }

    async fn partitions(&self) -> Result<Option<u32>, StoreError> {
        let (asking, topic) = (Arc::clone(&self.asking), Arc::clone(&self.topic));
        blocking(move || asking.partitions(&topic)).await
    }

    async fn keeping(&self) -> Result<Keeping, StoreError> {
        let unavailable = |error: KafkaError| fault::unavailable(fault::words(&error));
        let admin: AdminClient<Words> =
            self.clients.plain().create_with_context(self.clients.words().clone()).map_err(unavailable)?;
        let options = AdminOptions::new().request_timeout(Some(ASK_TIME_MAX));
        let described = admin.describe_configs([&ResourceSpecifier::Topic(&self.topic)], &options).await;
        match described.map_err(unavailable)?.pop() {
            Some(Ok(resource)) => Ok(keeping(&self.topic, &resource)),
            Some(Err(code)) => Err(fault::unavailable(format!("{}: {code}", self.topic))),
            None => Err(fault::unavailable(format!("kafka does not say how {} is kept", self.topic))),
        }
    }

    async fn join(&self) -> Result<Box<dyn Member>, StoreError> {
        let (clients, topic) = (Arc::clone(&self.clients), Arc::clone(&self.topic));
        let member = blocking(move || KafkaMember::join(&clients, CDC_GROUP, &topic)).await?;
        Ok(Box::new(member))
    }

    async fn bounds(&self, partition: Partition) -> Result<Bounds, StoreError> {
        let (asking, topic) = (Arc::clone(&self.asking), Arc::clone(&self.topic));
        blocking(move || asking.bounds(&topic, partition)).await
    }

    async fn read(&self, from: Vec<(Partition, Position)>) -> Result<Box<dyn TableReader>, StoreError> {
        let (clients, topic) = (Arc::clone(&self.clients), Arc::clone(&self.topic));
        let reader = blocking(move || KafkaTableReader::open(&clients, &topic, &from)).await?;
        Ok(Box::new(reader))
    }
}

/// How a topic with these settings keeps its records.
fn keeping(topic: &str, resource: &ConfigResource) -> Keeping {
    let settings: HashMap<_, _> = resource
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.value.as_deref().unwrap_or_default()))
        .collect();
    let setting = |name| settings.get(name).copied().unwrap_or_default();
    let policy = setting("cleanup.policy");
    let deletes = policy.contains("delete") && (setting("retention.ms") != "-1" || setting("retention.bytes") != "-1");
    let concern = deletes.then(|| {
        format!(
            "{topic} has cleanup.policy={policy}, so that changes are gone after a while, and sets that were lost can't be \
             read again from it; set cleanup.policy=compact"
        )
    });
    let age = setting("delete.retention.ms").parse().map_or(Duration::MAX, Duration::from_millis);
    let tombstone_age_max = if policy.contains("compact") { age } else { Duration::MAX };
    Keeping { concern, tombstone_age_max }
}

/// Reads until it is dropped.
struct KafkaTableReader {
    batches: mpsc::Receiver<Result<Vec<RowRecord>, StoreError>>,
    closing: Arc<AtomicBool>,
    thread: Thread,
}

impl KafkaTableReader {
    fn open(clients: &Clients, topic: &str, from: &[(Partition, Position)]) -> Result<Self, StoreError> {
        let unavailable = |error: KafkaError| fault::unavailable(fault::words(&error));
        let consumer = clients.consumer(CDC_GROUP).map_err(unavailable)?;
        let mut list = TopicPartitionList::with_capacity(from.len());
        for (partition, position) in from {
            let offset = At::Offset(i64::try_from(position.next().get()).unwrap_or(i64::MAX));
            list.add_partition_offset(topic, number(*partition), offset).map_err(unavailable)?;
        }
        consumer.assign(&list).map_err(unavailable)?;
        let (send, batches) = mpsc::channel(1);
        let closing = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&closing);
        let reading = move || run(consumer, &send, &told);
        let handle = std::thread::Builder::new().name("peal-table".to_owned()).spawn(reading);
        Ok(Self { batches, closing, thread: handle.map_err(fault::unavailable)?.thread().clone() })
    }
}

#[async_trait]
impl TableReader for KafkaTableReader {
    async fn next(&mut self) -> Result<Vec<RowRecord>, StoreError> {
        let ended = || fault::unavailable("nothing is read any more");
        self.batches.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

impl Drop for KafkaTableReader {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Hands over what is fetched, until nobody takes it any more or an error that does not pass by itself.
fn run(
    mut consumer: BaseConsumer<Words>,
    batches: &mpsc::Sender<Result<Vec<RowRecord>, StoreError>>,
    closing: &AtomicBool,
) {
    let thread = std::thread::current();
    consumer.set_nonempty_callback(move || thread.unpark());
    while !closing.load(Ordering::Relaxed) {
        let taken = take(&consumer);
        if taken.as_ref().is_ok_and(Vec::is_empty) {
            std::thread::park_timeout(IDLE_PAUSE);
            continue;
        }
        let failed = taken.is_err();
        if batches.blocking_send(taken).is_err() || failed {
            return;
        }
    }
}

/// What is at hand, up to a batch.
fn take(consumer: &BaseConsumer<Words>) -> Result<Vec<RowRecord>, StoreError> {
    let (mut records, mut bytes) = (Vec::new(), 0);
    while records.len() < TABLE_BATCH_RECORDS_MAX && bytes < TABLE_BATCH_BYTES_MAX {
        match consumer.poll(Duration::ZERO) {
            None => break,
            Some(Ok(message)) => {
                bytes += message.key_len() + message.payload_len();
                records.push(decode(&message));
            }
            Some(Err(error)) if fault::passes_by_itself(&error) => {}
            Some(Err(error)) if records.is_empty() => return Err(fault::unavailable(fault::words(&error))),
            // What came before it is handed over; the partition that it is of fails again, or reads on.
            Some(Err(error)) => {
                tracing::warn!(error = fault::words(&error), "a table's changes are read on after an error");
                break;
            }
        }
    }
    Ok(records)
}

fn decode(message: &BorrowedMessage<'_>) -> RowRecord {
    RowRecord {
        partition: Partition::new(u32::try_from(message.partition()).unwrap_or_default()), // never negative
        offset: Offset::new(u64::try_from(message.offset()).unwrap_or_default()),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
    }
}
