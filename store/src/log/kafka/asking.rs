//! Questions about topics: one client for all, replaced when it does not get an answer.
//!
//! Kafka that was away and came back may be found by new clients sooner than by one that was there before; while it is away,
//! a client more or less makes no difference.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peal_proto::{Offset, Position};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::client::{Clients, Place};
use super::groups::number;
use super::limits::ASK_TIME_MAX;
use super::words::Words;
use super::{dismiss, fault};
use crate::StoreError;

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
        let client = Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner));
        while client.poll(Duration::ZERO).is_some() {} // errors that nobody else takes off its queue
        let marks = client.fetch_watermarks(self.clients.topic(place.topic), number(place.partition), ASK_TIME_MAX);
        let (_, end) = marks.map_err(|error| self.failed(&client, &error))?;
        Ok(Position::at(Offset::new(u64::try_from(end).unwrap_or_default())))
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
