//! A receipt: what became of notifications, as a node writes it to `peal.receipts` for the account of their events.
//!
//! Keyed by the partition of the notification log that it speaks of. A node writes down what it settled before it commits
//! that, in the order of offsets; whoever reads receipts skips what lies below the offsets it has, so what is settled again
//! after a crash is counted once. A notification that was parked and is acknowledged later is named by its offset.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cursor::Position;
use crate::id::{EventId, Offset, Partition};
use crate::name::Topic;
use crate::time::Timestamp;

/// The version of [`Receipt`] that this code writes and the only one it reads.
pub const RECEIPT_VERSION: u32 = 1;

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its user acknowledged it.
    Delivered,
    /// It is in its user's inbox, until the user acknowledges it or this time has come.
    Parked {
        /// When it expires.
        until: Timestamp,
    },
    /// It expired before it was delivered or parked.
    Expired,
    /// It was parked, and a newer one of its collapse key took its place, or was about to.
    Replaced,
}

/// Notifications of one event that stand side by side in a partition, with the same fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "(EventId, Offset, u32, Fate)", from = "(EventId, Offset, u32, Fate)")]
pub struct Run {
    /// Whose.
    pub event: EventId,
    /// The offset of the first.
    pub first: Offset,
    /// How many, each at the offset behind the one before.
    pub count: u32,
    /// What became of each.
    pub fate: Fate,
}

impl Run {
    /// A run of one.
    #[must_use]
    pub const fn of(event: EventId, offset: Offset, fate: Fate) -> Self {
        Self { event, first: offset, count: 1, fate }
    }

    /// Takes in a notification if it continues this run; whether it does.
    pub fn extend(&mut self, event: &EventId, offset: Offset, fate: Fate) -> bool {
        let behind = self.first.get() + u64::from(self.count);
        let continues = offset.get() == behind && self.fate == fate && self.event == *event && self.count < u32::MAX;
        self.count += u32::from(continues);
        continues
    }

    /// Its offsets.
    pub fn offsets(&self) -> impl Iterator<Item = Offset> + use<> {
        (self.first.get()..self.first.get() + u64::from(self.count)).map(Offset::new)
    }
}

impl From<Run> for (EventId, Offset, u32, Fate) {
    fn from(Run { event, first, count, fate }: Run) -> Self {
        (event, first, count, fate)
    }
}

impl From<(EventId, Offset, u32, Fate)> for Run {
    fn from((event, first, count, fate): (EventId, Offset, u32, Fate)) -> Self {
        Self { event, first, count, fate }
    }
}

/// A record of the receipts log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReceiptContent")]
pub enum Receipt {
    /// Everything of the partition from one position to another is settled. Notifications of no event are not named.
    Settled {
        /// Where the receipt before ended, if the same node wrote it.
        from: Position,
        /// Behind the last.
        to: Position,
        /// What became of the notifications, in the order of their offsets.
        runs: Vec<Run>,
    },
    /// These were parked, or will be said to be, and are acknowledged or replaced now, whatever a receipt said of them before.
    Replayed {
        /// Ones that stand side by side together; the fate is [`Fate::Delivered`] or [`Fate::Replaced`].
        runs: Vec<Run>,
    },
}

/// A receipt as it is written: the value of a record of `peal.receipts`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Receipt")]
pub struct Written<R> {
    /// Of this shape.
    #[schemars(extend("const" = RECEIPT_VERSION))]
    version: u32,
    #[serde(flatten)]
    receipt: R,
}

/// Why a record is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReceipt {
    /// Not of its shape.
    #[error("it is no receipt: {0}")]
    Json(#[from] serde_json::Error),
    /// Of another shape.
    #[error("it is of version {given}, and this code reads version {RECEIPT_VERSION} only")]
    Version {
        /// What was given.
        given: u32,
    },
}

impl Receipt {
    /// The partition of the receipts log for those of a partition of the notification log, in a log of P (`of`).
    #[must_use]
    pub const fn partition(of_notifications: Partition, of: u32) -> Partition {
        Partition::new(of_notifications.get() % Topic::Receipts.partitions(of))
    }

    /// As the log keeps it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Ids and integers can't fail to be written.
        serde_json::to_vec(&Written { version: RECEIPT_VERSION, receipt: self }).unwrap_or_default()
    }

    /// From what the log kept.
    ///
    /// # Errors
    /// When it is something else, or of another version.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidReceipt> {
        let Written { version, receipt } = serde_json::from_slice(json)?;
        if version != RECEIPT_VERSION {
            return Err(InvalidReceipt::Version { given: version });
        }
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> EventId {
        id.parse().unwrap()
    }

    #[test]
    fn a_receipt_reads_back_what_it_wrote() {
        let until = Timestamp::from_millis(1_795_341_600_000);
        let mut run = Run::of(event("e1"), Offset::new(12), Fate::Delivered);
        assert!(run.extend(&event("e1"), Offset::new(13), Fate::Delivered));
        let parked = Run::of(event("e2"), Offset::new(15), Fate::Parked { until });
        let (from, to) = (Position::at(Offset::new(10)), Position::at(Offset::new(16)));
        let settled = Receipt::Settled { from, to, runs: vec![run, parked] };
        let json = String::from_utf8(settled.to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"version":1,"settled":{"from":10,"to":16,"runs":[["e1",12,2,"delivered"],["e2",15,1,{"parked":{"until":"2026-11-22T10:00:00.000Z"}}]]}}"#
        );
        assert_eq!(Receipt::from_json(json.as_bytes()).unwrap(), settled);
        let replayed = Receipt::Replayed { runs: vec![Run::of(event("e2"), Offset::new(15), Fate::Delivered)] };
        assert_eq!(Receipt::from_json(&replayed.to_json()).unwrap(), replayed);
        let replaced = Receipt::Replayed { runs: vec![Run::of(event("e2"), Offset::new(15), Fate::Replaced)] };
        assert_eq!(replaced.to_json(), br#"{"version":1,"replayed":{"runs":[["e2",15,1,"replaced"]]}}"#);
    }

    #[test]
    fn what_is_no_receipt_is_told() {
        let reason = |json: &str| Receipt::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(reason(r#"{"version":2,"replayed":{"runs":[]}}"#).contains("version 2"));
        assert!(reason("{}").contains("it is no receipt"));
    }

    #[test]
    fn a_run_is_of_one_event_and_one_fate_side_by_side() {
        let mut run = Run::of(event("e1"), Offset::new(3), Fate::Delivered);
        assert!(!run.extend(&event("e1"), Offset::new(5), Fate::Delivered));
        assert!(!run.extend(&event("e2"), Offset::new(4), Fate::Delivered));
        assert!(!run.extend(&event("e1"), Offset::new(4), Fate::Expired));
        assert!(run.extend(&event("e1"), Offset::new(4), Fate::Delivered));
        assert_eq!(run.offsets().collect::<Vec<_>>(), [Offset::new(3), Offset::new(4)]);
    }
}
