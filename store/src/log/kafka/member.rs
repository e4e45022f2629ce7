//! Members of a consumer group, that share the partitions of a topic.
//!
//! Kafka is asked who has which partition, and for nothing else: the consumer here is assigned nothing and reads nothing.
//! That a partition was revoked is not told, only where it went: who has it works on until then, and whoever has it next
//! fences the one before. So a rebalance, or a group that can't be reached, stops nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::Partition;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::watch;

use super::client::Clients;
use super::fault;
use super::limits::MEMBER_PAUSE;
use super::words::Words;
use crate::StoreError;
use crate::log::Member;

/// One member; it leaves when this is dropped.
pub(super) struct KafkaMember {
    assigned: watch::Receiver<Option<Vec<Partition>>>,
    leaving: Arc<AtomicBool>,
    thread: Thread,
}

impl KafkaMember {
    /// `topic` is a name in Kafka.
    pub(super) fn join(clients: &Clients, group: &str, topic: &str) -> Result<Self, StoreError> {
        let (assign, assigned) = watch::channel(None);
        let context = Assignments { words: clients.words().clone(), assign };
        let unavailable = |error: KafkaError| fault::unavailable(fault::words(&error));
        let consumer: BaseConsumer<_> = clients.member(group).create_with_context(context).map_err(unavailable)?;
        consumer.subscribe(&[topic]).map_err(unavailable)?;
        let leaving = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&leaving);
        let thread = std::thread::Builder::new().name("peal-member".to_owned()).spawn(move || run(consumer, &told));
        Ok(Self { assigned, leaving, thread: thread.map_err(fault::unavailable)?.thread().clone() })
    }
}

#[async_trait]
impl Member for KafkaMember {
    async fn assigned(&mut self) -> Result<Vec<Partition>, StoreError> {
        loop {
            let gone = |_| fault::unavailable("the member's thread has ended");
            self.assigned.changed().await.map_err(gone)?;
            if let Some(assigned) = self.assigned.borrow_and_update().clone() {
                return Ok(assigned);
            }
        }
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Lets the consumer hear of its group; good-bye is said when it is dropped.
fn run(mut consumer: BaseConsumer<Assignments>, leaving: &AtomicBool) {
    let thread = std::thread::current();
    consumer.set_nonempty_callback(move || thread.unpark());
    while !leaving.load(Ordering::Relaxed) {
        while consumer.poll(Duration::ZERO).is_some() {} // nothing but errors, which librdkafka copes with
        std::thread::park_timeout(MEMBER_PAUSE);
    }
}

/// Hears what is assigned.
struct Assignments {
    words: Words,
    assign: watch::Sender<Option<Vec<Partition>>>,
}

impl ClientContext for Assignments {
    fn error(&self, error: KafkaError, reason: &str) {
        self.words.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.words.log(level, facility, line);
    }
}

impl ConsumerContext for Assignments {
    /// The group goes on once the consumer has taken note; of nothing, because others read for it.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let noted = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let elements = partitions.elements();
            let assigned = elements.iter().filter_map(|element| u32::try_from(element.partition()).ok());
            self.assign.send_replace(Some(assigned.map(Partition::new).collect()));
            consumer.assign(&TopicPartitionList::new())
        } else {
            consumer.unassign()
        };
        if let Err(error) = noted {
            tracing::warn!(error = fault::words(&error), "a rebalance of the group is not taken note of");
        }
    }
}
