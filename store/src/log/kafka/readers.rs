//! Readers: each on a consumer that reads its partition for nobody else.
//!
//! A process reads a partition once, so one consumer serves them all. A second reader of a partition, as while one is
//! replaced or in a test, gets another consumer, which ends with its readers.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use peal_proto::Position;

use super::client::{Clients, Place};
use super::fault;
use super::lane::Lane;
use super::limits::LANES_MAX;
use super::slot::{Slot, Taken};
use crate::StoreError;
use crate::log::{Reader, Record};

/// The consumers of this process.
pub(super) struct Readers {
    clients: Arc<Clients>,
    lanes: Mutex<Vec<Weak<Lane>>>,
}

impl Readers {
    pub(super) fn new(clients: Arc<Clients>) -> Self {
        Self { clients, lanes: Mutex::default() }
    }

    pub(super) fn open(&self, place: Place, from: Position) -> Result<KafkaReader, StoreError> {
        let slot = Arc::new(Slot::default());
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| lane.strong_count() > 0);
        for lane in lanes.iter().filter_map(Weak::upgrade) {
            if lane.read(place, from, &slot) {
                return Ok(KafkaReader { lane, place, slot });
            }
        }
        if lanes.len() >= LANES_MAX {
            return Err(fault::unavailable(format!("one partition has {LANES_MAX} readers already")));
        }
        let lane = Arc::new(Lane::start(Arc::clone(&self.clients))?);
        lane.read(place, from, &slot);
        lanes.push(Arc::downgrade(&lane));
        Ok(KafkaReader { lane, place, slot })
    }
}

/// Reads one partition.
pub(super) struct KafkaReader {
    lane: Arc<Lane>,
    place: Place,
    slot: Arc<Slot>,
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<Vec<Record>, StoreError> {
        loop {
            match self.slot.take() {
                Taken::Records { records, resume } => {
                    if resume {
                        self.lane.resume(self.place);
                    }
                    return Ok(records);
                }
                Taken::Fault(fault) => return Err(fault),
                Taken::Nothing => self.slot.filled().await,
            }
        }
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.lane.forget(self.place);
    }
}
