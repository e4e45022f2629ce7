//! What was fetched of one partition and waits for its reader: bounded, and handed over in batches.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::limits::{RECORD_BYTES, SLOT_BYTES_LOW, SLOT_BYTES_MAX};
use crate::StoreError;
use crate::limits::{READ_BYTES_MAX, READ_RECORDS_MAX};
use crate::log::Record;

/// Between the thread of a consumer and one reader.
#[derive(Default)]
pub(super) struct Slot {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    /// Of all batches, with what their records take beside their values.
    bytes: usize,
    /// Nothing is fetched until the reader has caught up.
    paused: bool,
    /// Told once, behind the records that came before it.
    fault: Option<StoreError>,
}

/// Records that are handed over as one.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    /// Of their values.
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.value.len();
        self.records.push(record);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// As much as a reader is given at once.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= READ_RECORDS_MAX || self.bytes > READ_BYTES_MAX
    }

    fn size(&self) -> usize {
        self.bytes + self.records.len() * RECORD_BYTES
    }

    fn has_room_for(&self, other: &Self) -> bool {
        self.records.len() + other.records.len() <= READ_RECORDS_MAX && self.bytes + other.bytes <= READ_BYTES_MAX
    }

    fn append(&mut self, other: &mut Self) {
        self.bytes += other.bytes;
        self.records.append(&mut other.records);
    }
}

/// What a reader found.
pub(super) enum Taken {
    /// Records, and whether the partition is to be fetched again.
    Records {
        records: Vec<Record>,
        resume: bool,
    },
    Fault(StoreError),
    Nothing,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds records; whether the partition is to be paused now.
    pub(super) fn fill(&self, batch: Batch) -> bool {
        let mut waiting = self.lock();
        waiting.bytes += batch.size();
        waiting.batches.push_back(batch);
        let pause = !waiting.paused && waiting.bytes >= SLOT_BYTES_MAX;
        waiting.paused |= pause;
        drop(waiting);
        self.filled.notify_one();
        pause
    }

    /// Tells the reader why nothing comes.
    pub(super) fn fail(&self, fault: StoreError) {
        self.lock().fault = Some(fault);
        self.filled.notify_one();
    }

    /// Until something was filled in or told; maybe for nothing.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// A batch off the front, and as many behind it as fit.
    pub(super) fn take(&self) -> Taken {
        let mut waiting = self.lock();
        let Some(mut batch) = waiting.batches.pop_front() else {
            return waiting.fault.take().map_or(Taken::Nothing, Taken::Fault);
        };
        while let Some(mut next) = waiting.batches.pop_front_if(|next| batch.has_room_for(next)) {
            batch.append(&mut next);
        }
        waiting.bytes -= batch.size();
        let resume = waiting.paused && waiting.bytes <= SLOT_BYTES_LOW;
        waiting.paused &= !resume;
        Taken::Records { records: batch.records, resume }
    }
}
