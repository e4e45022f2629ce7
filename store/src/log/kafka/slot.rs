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
    records: VecDeque<Record>,
    bytes: usize,
    /// Nothing is fetched until the reader has caught up.
    paused: bool,
    /// Told once, behind the records that came before it.
    fault: Option<StoreError>,
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

fn size(record: &Record) -> usize {
    record.value.len() + RECORD_BYTES
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds records; whether the partition is to be paused now.
    pub(super) fn fill(&self, records: &mut Vec<Record>) -> bool {
        let mut waiting = self.lock();
        waiting.bytes += records.iter().map(size).sum::<usize>();
        waiting.records.extend(records.drain(..));
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

    /// A batch off the front.
    pub(super) fn take(&self) -> Taken {
        let mut waiting = self.lock();
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < READ_RECORDS_MAX
            && bytes <= READ_BYTES_MAX
            && let Some(record) = waiting.records.pop_front()
        {
            bytes += record.value.len();
            waiting.bytes -= size(&record);
            records.push(record);
        }
        if records.is_empty() {
            return waiting.fault.take().map_or(Taken::Nothing, Taken::Fault);
        }
        let resume = waiting.paused && waiting.bytes <= SLOT_BYTES_LOW;
        waiting.paused &= !resume;
        Taken::Records { records, resume }
    }
}
