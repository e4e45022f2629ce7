//! Questions about topics: one client for all, replaced when it does not get an answer.
//!
//! Kafka that was away and came back may be found by new clients sooner than by one that was there before; while it is away,
//! a client more or less makes no difference.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peal_proto::{Offset, Partition, Position};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{Clients, Place};
use super::groups::number;
use super::limits::ASK_TIME_MAX;
use super::words::Words;
use super::{dismiss, fault};
use crate::StoreError;
use crate::table::Bounds;

type Client = Arc<BaseConsumer<Words>>;

/// Asks; every call blocks.
pub(super) struct Asking {
    clients: Arc<Clients>,
    client: Mutex<Client>,
}

impl Asking {
    pub(super) fn new(clients: Arc<Clients>, client: BaseConsumer<Words>) -> Self {
        Self { clients, client: Mutex::new(Arc::new(client)) }
    }

    /// Where a partition ends for those who read only what is committed.
    pub(super) fn end(&self, place: Place) -> Result<Position, StoreError> {
        self.bounds(self.clients.topic(place.topic), place.partition).map(|bounds| bounds.end)
    }

    /// Where a partition of any topic begins, and where it ends for those who read only what is committed.
    pub(super) fn bounds(&self, topic: &str, partition: Partition) -> Result<Bounds, StoreError> {
        let client = self.client();
        let marks = client.fetch_watermarks(topic, number(partition), ASK_TIME_MAX);
        let (begin, end) = marks.map_err(|error| self.failed(&client, &error))?;
        let position = |mark| Position::at(Offset::new(u64::try_from(mark).unwrap_or_default()));
        Ok(Bounds { begin: position(begin), end: position(end) })
    }

    /// How many partitions a topic has; `None` when there is no such topic.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<u32>, StoreError> {
        let client = self.client();
        let metadata =
            client.fetch_metadata(Some(topic), ASK_TIME_MAX).map_err(|error| self.failed(&client, &error))?;
        let Some(found) = metadata.topics().first() else { return Ok(None) };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(u32::try_from(found.partitions().len()).ok()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
            Some(other) => Err(fault::unavailable(format!("{topic}: {other}"))),
        }
    }

    fn client(&self) -> Client {
        let client = Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner));
        while client.poll(Duration::ZERO).is_some() {} // errors that nobody else takes off its queue
        client
    }

    fn failed(&self, client: &Client, error: &KafkaError) -> StoreError {
        let mut current = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, client)
            && let Ok(new) = self.clients.asking()
        {
            dismiss(std::mem::replace(&mut *current, Arc::new(new)));
        }
        fault::unavailable(fault::words(error))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        dismiss(Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}
