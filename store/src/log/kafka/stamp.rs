//! What a log was made with: P and the generation, kept in a compacted topic of their own beside the log's.
//!
//! Kafka refuses unknown topic settings, its topic ids can't be read through librdkafka, and a record in a topic of the log
//! would fall to its retention; a compacted topic keeps its last record for ever, and any tool shows it. It is written by
//! a writer of one name in one transaction, so of two processes that make a log at once one is fenced.

use std::time::Duration;

use peal_proto::{Generation, Timestamp};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::OpenError;
use super::client::Clients;
use super::fault;
use super::limits::ASK_TIME_MAX;
use super::words::Words;
use super::writer::Transactions;

/// The topic of the stamp, and the name of its writer.
pub(super) const STAMP: &str = "peal.stamp";

/// How long one poll for the stamp waits.
const POLL: Duration = Duration::from_millis(100);

/// What every process has to agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) partitions: u32,
    pub(super) generation: Generation,
}

impl Stamp {
    /// Another one for each log that is made, and higher: the seconds since 1970, which last until 2106.
    pub(super) fn new(partitions: u32, before: Option<Self>, now: Timestamp) -> Self {
        let least = before.map_or(1, |before| before.generation.get().saturating_add(1));
        let seconds = u32::try_from(now.millis() / 1_000).unwrap_or(u32::MAX);
        Self { partitions, generation: Generation::new(seconds.max(least)) }
    }

    /// Reads the last stamp; `None` when there is none yet. Blocks.
    pub(super) fn read(clients: &Clients, consumer: &BaseConsumer<Words>) -> Result<Option<Self>, OpenError> {
        let topic = clients.name(STAMP);
        let value = last_value(consumer, &topic).map_err(|error| clients.unavailable(fault::words(&error)))?;
        let Some(value) = value else { return Ok(None) };
        let stamp: Self =
            serde_json::from_slice(&value).map_err(|error| OpenError::Damaged { topic, reason: error.to_string() })?;
        Ok(Some(stamp))
    }

    /// Writes the stamp. Blocks.
    pub(super) fn write(self, clients: &Clients, writer: &mut Transactions) -> Result<(), OpenError> {
        let topic = clients.name(STAMP);
        let value = serde_json::to_string(&self).map_err(|error| clients.unavailable(error))?;
        let record = || BaseRecord::to(&topic).partition(0).key(STAMP).payload(&value);
        let written = writer.transact(|producer| producer.send(record()).map_err(|(error, _)| error));
        written.map_err(|error| clients.unavailable(error))
    }
}

/// The value of the last record of a topic's only partition.
fn last_value(consumer: &BaseConsumer<Words>, topic: &str) -> KafkaResult<Option<Vec<u8>>> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    let value = read_to_end(consumer);
    consumer.unassign()?;
    value
}

fn read_to_end(consumer: &BaseConsumer<Words>) -> KafkaResult<Option<Vec<u8>>> {
    let mut value = None;
    let mut waited = Duration::ZERO;
    while waited < ASK_TIME_MAX {
        match consumer.poll(POLL) {
            Some(Ok(message)) => value = message.payload().map(<[u8]>::to_vec),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(value),
            Some(Err(error)) if !fault::passes_by_itself(&error) => return Err(error),
            Some(Err(_)) | None => waited += POLL,
        }
    }
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_made_again_has_a_higher_generation_even_when_the_clock_went_back() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        let first = Stamp::new(4, None, at(1_000));
        assert_eq!(first.generation.get(), 1_000);
        assert_eq!(Stamp::new(4, Some(first), at(900)).generation.get(), 1_001);
        assert_eq!(Stamp::new(4, Some(first), at(2_000)).generation.get(), 2_000);
    }
}
