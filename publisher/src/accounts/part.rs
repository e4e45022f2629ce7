//! A part of an event's account: either the notifications at 512 neighbouring offsets of one partition, as far as they were
//! parked, or all that never were.
//!
//! A notification is counted once it is settled. Of those that are parked it is known which they are, so one that is delivered
//! later, or is said to be twice, is counted once. No IO; which receipts count is [`fold`](super::fold)'s business.

use std::ops::Range;

use bytes::Bytes;
use peal_proto::{Fate, Position, Timestamp};
use serde::{Deserialize, Serialize};

/// Offsets of a part. Few notifications of a small event stand side by side; of a large one a part of 512 takes under 200
/// bytes, and is written whenever one of them changes.
pub(super) const OFFSETS_A_PART: u64 = 64 * WORDS as u64;

const WORDS: usize = 8;

/// Counted and written as an array: `[applied, delivered, expired, until, parked…]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Written")]
pub(super) struct Part {
    /// Receipts below this position of their log are in it.
    pub(super) applied: Position,
    delivered: u64,
    expired: u64,
    /// When the last of those that are parked expires.
    until: Timestamp,
    /// Which are parked, a bit each.
    parked: [u64; WORDS],
}

type Written = (Position, u64, u64, u64, Vec<u64>);

impl From<Part> for Written {
    fn from(part: Part) -> Self {
        let words = part.parked.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        let Part { applied, delivered, expired, until, parked } = part;
        (applied, delivered, expired, until.millis(), parked[..words].to_vec())
    }
}

impl From<Written> for Part {
    fn from((applied, delivered, expired, until, words): Written) -> Self {
        let mut parked = [0; WORDS];
        parked.iter_mut().zip(words).for_each(|(word, written)| *word = written);
        Self { applied, delivered, expired, until: Timestamp::from_millis(until), parked }
    }
}

/// What parts say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) parked: u64,
    pub(super) expired: u64,
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
            applied: Position::START,
            delivered: 0,
            expired: 0,
            until: Timestamp::from_millis(0),
            parked: [0; WORDS],
        }
    }

    pub(super) fn decode(stored: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(stored)
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
                offsets.for_each(|offset| *self.word(offset) |= bit(offset));
                self.until = self.until.max(until);
            }
        }
    }

    /// Those of the notifications that were parked are delivered now.
    pub(super) fn deliver(&mut self, offsets: Range<u64>) {
        for offset in offsets {
            let word = self.word(offset);
            if *word & bit(offset) != 0 {
                *word &= !bit(offset);
                self.delivered += 1;
            }
        }
    }

    fn word(&mut self, offset: u64) -> &mut u64 {
        let number = usize::try_from(offset / 64 % WORDS as u64).unwrap_or_default(); // below 8
        &mut self.parked[number]
    }

    /// What it says at this time.
    pub(super) fn tally(&self, now: Timestamp) -> Tally {
        let parked = self.parked.iter().map(|word| u64::from(word.count_ones())).sum();
        let (parked, gone) = if now < self.until { (parked, 0) } else { (0, parked) };
        Tally { delivered: self.delivered, parked, expired: self.expired + gone }
    }
}

/// The offset's in its word.
const fn bit(offset: u64) -> u64 {
    1 << (offset % 64)
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, Self { delivered, parked, expired }| Self {
            delivered: sum.delivered + delivered,
            parked: sum.parked + parked,
            expired: sum.expired + expired,
        })
    }
}
