//! What receipts change in the accounts: pure, and the same whenever the same receipts are read again.
//!
//! A node writes down what became of a partition's notifications in the order of their offsets. So whatever a receipt says of
//! offsets below those that were settled before is said twice, by a node that read them again after a crash, and is left out;
//! unless it is that one which was parked is delivered now, which holds whoever says it and however often.
//!
//! A part knows which receipts are in it. So receipts may be read again from any position that was committed, and a part that
//! has them already stays as it is.

use std::collections::BTreeMap;

use peal_proto::{Offset, Partition, Position, Receipt, Run};
use peal_store::StoreError;
use peal_store::log::Commit;
use peal_store::status::PartKey;
use serde::{Deserialize, Serialize};

use super::part::{Part, parts_of};

/// How far receipts are read, and what they settled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    #[serde(skip)]
    pub(super) position: Position,
    /// By partition of the notification log: everything below is settled.
    settled: BTreeMap<u32, Position>,
}

impl Progress {
    /// What a commit says; without one, the start.
    pub(super) fn of(commit: Option<Commit>) -> Result<Self, StoreError> {
        let Some(Commit { position, metadata }) = commit else { return Ok(Self::default()) };
        if metadata.is_empty() {
            return Ok(Self { position, ..Self::default() });
        }
        let progress: Self = serde_json::from_str(&metadata).map_err(|error| StoreError::Damaged {
            store: "log",
            reason: format!("the commit of the accounts, {metadata:?}, can't be read: {error}"),
        })?;
        Ok(Self { position, ..progress })
    }

    pub(super) fn commit(&self) -> Commit {
        // Integers can't fail to be written.
        Commit { position: self.position, metadata: serde_json::to_string(self).unwrap_or_default() }
    }
}

/// A receipt as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it stands in the log of receipts.
    pub(super) offset: Offset,
    /// The partition of the notification log that it speaks of.
    pub(super) partition: Partition,
    pub(super) receipt: Receipt,
}

/// The parts that receipts are about, each once.
pub(super) fn keys(entries: &[Entry]) -> Vec<PartKey> {
    let mut keys = Vec::new();
    for Entry { partition, receipt, .. } in entries {
        let (Receipt::Settled { runs, .. } | Receipt::Replayed { runs }) = receipt;
        for run in runs {
            keys.extend(parts_of(offsets(run)).map(|(number, _)| key(run, *partition, number)));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Brings the parts, and the progress, to where they are behind these receipts.
pub(super) fn fold(entries: &[Entry], parts: &mut BTreeMap<PartKey, Part>, progress: &mut Progress) {
    for Entry { offset, partition, receipt } in entries {
        let settled = progress.settled.entry(partition.get()).or_default();
        let below = settled.next().get();
        let (Receipt::Settled { runs, .. } | Receipt::Replayed { runs }) = receipt;
        let is_settled = matches!(receipt, Receipt::Settled { .. });
        let mut touched = Vec::with_capacity(runs.len());
        for run in runs {
            for (number, offsets) in parts_of(offsets(run)) {
                let key = key(run, *partition, number);
                let Some(part) = parts.get_mut(&key).filter(|part| !part.applied.covers(*offset)) else { continue };
                // What is replayed was settled before, whatever of it was read yet.
                let first = if is_settled { below.clamp(offsets.start, offsets.end) } else { offsets.end };
                part.settle_parked(offsets.start..first, run.fate);
                part.settle(first..offsets.end, run.fate);
                touched.push(key);
            }
        }
        for key in touched {
            if let Some(part) = parts.get_mut(&key) {
                part.applied = Position::behind(*offset);
            }
        }
        if let Receipt::Settled { to, .. } = receipt {
            *settled = (*settled).max(*to);
        }
        progress.position = Position::behind(*offset);
    }
}

fn key(run: &Run, partition: Partition, number: u64) -> PartKey {
    PartKey { event: run.event.clone(), partition, number }
}

fn offsets(run: &Run) -> std::ops::Range<u64> {
    let first = run.first.get();
    first..first + u64::from(run.count)
}
