//! A part of an event's account: either the notifications at 512 neighbouring offsets of one partition, as far as they were
//! parked, or all that never were.
//!
//! A notification is counted once it is settled. Of those that are parked it is known which they are, so one that is delivered
//! later, or is said to be twice, is counted once. That one was replaced may be said before it is said to be parked, and is
//! no longer so once it is delivered. No IO; which receipts count is [`fold`](super::fold)'s business.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use peal_proto::{EventId, Fate, Offset, Partition, Position, Timestamp};
use peal_store::StoreError;
use serde::{Deserialize, Serialize};

/// Offsets of a part. Few notifications of a small event stand side by side; of a large one a part of 512 takes under 200
/// bytes, and is written whenever one of them changes.
pub(super) const OFFSETS_A_PART: u64 = 64 * WORDS as u64;

const WORDS: usize = 8;

/// Counted and written as an array: `[applied, delivered, expired, until, [parked…, replaced…]]`, without zeros at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Written")]
pub(super) struct Part {
    /// By partition of the log of receipts: those below this position are in it.
    applied: BTreeMap<u32, Position>,
    delivered: u64,
    expired: u64,
    /// When the last of those that are parked expires.
    until: Timestamp,
    /// Which are parked, or were until they were replaced, a bit each.
    parked: [u64; WORDS],
    /// Which are replaced, if they are parked.
    replaced: [u64; WORDS],
}

type Written = (Vec<(u32, Position)>, u64, u64, u64, Vec<u64>);

impl From<Part> for Written {
    fn from(part: Part) -> Self {
        let Part { applied, delivered, expired, until, parked, replaced } = part;
        let mut words = [parked, replaced].concat();
        while words.pop_if(|last| *last == 0).is_some() {}
        (applied.into_iter().collect(), delivered, expired, until.millis(), words)
    }
}

impl From<Written> for Part {
    fn from((applied, delivered, expired, until, words): Written) -> Self {
        let (mut parked, mut replaced) = ([0; WORDS], [0; WORDS]);
        parked.iter_mut().chain(&mut replaced).zip(words).for_each(|(word, written)| *word = written);
        let applied = applied.into_iter().collect();
        Self { applied, delivered, expired, until: Timestamp::from_millis(until), parked, replaced }
    }
}

/// What parts say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) parked: u64,
    pub(super) expired: u64,
    pub(super) replaced: u64,
}

/// The parts that these offsets belong to, with the offsets of each.
pub(super) fn parts_of(offsets: Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> {
    let numbers = offsets.start / OFFSETS_A_PART..offsets.end.div_ceil(OFFSETS_A_PART);
    numbers.map(move |number| {
        let part = number * OFFSETS_A_PART..(number + 1) * OFFSETS_A_PART;
        (number, offsets.start.max(part.start)..offsets.end.min(part.end))
    })
}

impl Part {
    pub(super) fn new() -> Self {
        Self {
            applied: BTreeMap::new(),
            delivered: 0,
            expired: 0,
            until: Timestamp::from_millis(0),
            parked: [0; WORDS],
            replaced: [0; WORDS],
        }
    }

    /// As it is stored, if it is there.
    pub(super) fn read(event: &EventId, stored: Option<&[u8]>) -> Result<Self, StoreError> {
        let Some(stored) = stored else { return Ok(Self::new()) };
        serde_json::from_slice(stored).map_err(|error| StoreError::Damaged {
            store: "store of statuses",
            reason: format!("a part of the account of event {event} can't be read: {error}"),
        })
    }

    /// Whether this receipt, of the log of receipts' partition, is in it.
    pub(super) fn covers(&self, receipts: Partition, offset: Offset) -> bool {
        self.applied.get(&receipts.get()).is_some_and(|applied| applied.covers(offset))
    }

    /// All receipts of that partition below this position are in it.
    pub(super) fn advance(&mut self, receipts: Partition, to: Position) {
        let applied = self.applied.entry(receipts.get()).or_default();
        *applied = (*applied).max(to);
    }

    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into() // integers are always JSON
    }

    /// Counts notifications that nothing was said of before.
    pub(super) fn settle(&mut self, offsets: Range<u64>, fate: Fate) {
        let count = offsets.end - offsets.start;
        match fate {
            Fate::Delivered => self.delivered += count,
            Fate::Expired => self.expired += count,
            Fate::Parked { until } => {
                offsets.for_each(|offset| self.parked[word(offset)] |= bit(offset));
                self.until = self.until.max(until);
            }
            Fate::Replaced => {
                offsets.clone().for_each(|offset| self.parked[word(offset)] |= bit(offset));
                self.replace(offsets);
            }
        }
    }

    /// Those of the notifications that are parked, or will be said to be, are replaced.
    pub(super) fn replace(&mut self, offsets: Range<u64>) {
        offsets.for_each(|offset| self.replaced[word(offset)] |= bit(offset));
    }

    /// Those of the notifications that were parked are delivered now.
    pub(super) fn deliver(&mut self, offsets: Range<u64>) {
        for offset in offsets {
            let word = &mut self.parked[word(offset)];
            if *word & bit(offset) != 0 {
                *word &= !bit(offset);
                self.delivered += 1;
            }
        }
    }

    /// What it says at this time.
    pub(super) fn tally(&self, now: Timestamp) -> Tally {
        let (mut parked, mut replaced) = (0, 0);
        for (word, gone) in self.parked.iter().zip(self.replaced) {
            parked += u64::from((word & !gone).count_ones());
            replaced += u64::from((word & gone).count_ones());
        }
        let (parked, gone) = if now < self.until { (parked, 0) } else { (0, parked) };
        Tally { delivered: self.delivered, parked, expired: self.expired + gone, replaced }
    }
}

/// The number of the offset's word.
fn word(offset: u64) -> usize {
    usize::try_from(offset / 64 % WORDS as u64).unwrap_or_default() // below 8
}

/// The offset's in its word.
const fn bit(offset: u64) -> u64 {
    1 << (offset % 64)
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, Self { delivered, parked, expired, replaced }| Self {
            delivered: sum.delivered + delivered,
            parked: sum.parked + parked,
            expired: sum.expired + expired,
            replaced: sum.replaced + replaced,
        })
    }
}
