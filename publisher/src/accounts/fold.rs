//! What receipts change in the accounts: pure, and the same whenever the same receipts are read again.
//!
//! A node writes down what became of a partition's notifications in the order of their offsets. So whatever a receipt says of
//! offsets below those that were settled before is said twice, by a node that read them again after a crash, and is left out;
//! unless it is that one which was parked is delivered now, or replaced, which holds whoever says it and however often.
//!
//! What was never parked is only counted, in one part for all partitions: a part for each would be a part for each member of a
//! small event. A part knows which receipts are in it. So receipts may be read again from any position that was committed, and
//! a part that has them already stays as it is.

use std::collections::BTreeMap;
use std::ops::Range;

use peal_proto::{Fate, Offset, Partition, Position, Receipt, Run};
use peal_store::StoreError;
use peal_store::log::Commit;
use peal_store::status::PartKey;
use serde::{Deserialize, Serialize};

use super::part::{Part, parts_of};

/// How far receipts are read, and what they settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of the log of receipts.
    #[serde(skip, default = "first")]
    partition: Partition,
    #[serde(skip)]
    pub(super) position: Position,
    /// By partition of the notification log: everything below is settled.
    settled: BTreeMap<u32, Position>,
}

const fn first() -> Partition {
    Partition::new(0)
}

impl Progress {
    /// What a commit says of a partition of the receipts; without one, the start.
    pub(super) fn of(partition: Partition, commit: Option<Commit>) -> Result<Self, StoreError> {
        let start = Self { partition, position: Position::START, settled: BTreeMap::new() };
        let Some(Commit { position, metadata }) = commit else { return Ok(start) };
        if metadata.is_empty() {
            return Ok(Self { position, ..start });
        }
        let progress: Self = serde_json::from_str(&metadata).map_err(|error| StoreError::Damaged {
            store: "log",
            reason: format!("the commit of the accounts, {metadata:?}, can't be read: {error}"),
        })?;
        Ok(Self { partition, position, ..progress })
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

/// What receipts change.
#[derive(Debug)]
pub(super) struct Plan {
    steps: Vec<Step>,
    /// How far they are read then.
    pub(super) after: Progress,
}

/// What one receipt does to one part.
#[derive(Debug)]
struct Step {
    receipt: Offset,
    key: PartKey,
    offsets: Range<u64>,
    change: Change,
}

impl Plan {
    /// What these receipts change, when everything before was taken note of.
    pub(super) fn of(entries: &[Entry], before: &Progress) -> Self {
        let (mut steps, mut after) = (Vec::new(), before.clone());
        for entry in entries {
            after.each(entry, |key, offsets, change| steps.push(Step { receipt: entry.offset, key, offsets, change }));
            after.take_note(entry);
        }
        Self { steps, after }
    }

    /// The parts that they change, in the order of the steps.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PartKey> {
        self.steps.iter().map(|step| &step.key)
    }

    /// Changes the parts; each step's is at its slot.
    pub(super) fn apply(&self, slots: &[usize], parts: &mut [Part]) {
        let Progress { partition, position, .. } = self.after;
        for (Step { receipt, offsets, change, .. }, slot) in self.steps.iter().zip(slots) {
            let part = &mut parts[*slot];
            if !part.covers(partition, *receipt) {
                match change {
                    Change::Settle(fate) => part.settle(offsets.clone(), *fate),
                    Change::Deliver => part.deliver(offsets.clone()),
                    Change::Replace => part.replace(offsets.clone()),
                }
            }
        }
        // Only now, as a receipt may change a part in several steps.
        slots.iter().for_each(|slot| parts[*slot].advance(partition, position));
    }
}

/// How a part changes.
#[derive(Debug)]
enum Change {
    /// Counts notifications that nothing was said of before.
    Settle(Fate),
    /// Those of them that were parked are delivered now.
    Deliver,
    /// Those of them that were parked, or will be said to be, are replaced.
    Replace,
}

impl Progress {
    /// Each change that a receipt makes: to which part, of which offsets.
    fn each(&self, entry: &Entry, mut change: impl FnMut(PartKey, Range<u64>, Change)) {
        let Entry { partition, receipt, .. } = entry;
        let settled = self.settled.get(&partition.get()).copied().unwrap_or_default().next().get();
        let (runs, is_settled) = match receipt {
            Receipt::Settled { runs, .. } => (runs, true),
            Receipt::Replayed { runs } => (runs, false),
        };
        for run in runs {
            let offsets = run.first.get()..run.first.get() + u64::from(run.count);
            // What is replayed was settled before, whatever of it was read yet.
            let first = if is_settled { settled.clamp(offsets.start, offsets.end) } else { offsets.end };
            for (number, offsets) in parts_of(offsets.start..first) {
                match run.fate {
                    Fate::Delivered => change(bits(run, *partition, number), offsets, Change::Deliver),
                    Fate::Replaced => change(bits(run, *partition, number), offsets, Change::Replace),
                    Fate::Parked { .. } | Fate::Expired => {}
                }
            }
            if first == offsets.end {
                continue;
            }
            match run.fate {
                Fate::Delivered | Fate::Expired => {
                    change(counts(run), first..offsets.end, Change::Settle(run.fate));
                }
                Fate::Parked { .. } | Fate::Replaced => {
                    for (number, offsets) in parts_of(first..offsets.end) {
                        change(bits(run, *partition, number), offsets, Change::Settle(run.fate));
                    }
                }
            }
        }
    }

    fn take_note(&mut self, Entry { offset, partition, receipt }: &Entry) {
        if let Receipt::Settled { to, .. } = receipt {
            let settled = self.settled.entry(partition.get()).or_default();
            *settled = (*settled).max(*to);
        }
        self.position = Position::behind(*offset);
    }
}

/// Where it is counted what was never parked.
fn counts(run: &Run) -> PartKey {
    PartKey { event: run.event.clone(), partition: first(), number: u64::MAX }
}

/// Where it is known of each notification whether it is parked.
fn bits(run: &Run, partition: Partition, number: u64) -> PartKey {
    PartKey { event: run.event.clone(), partition, number }
}
