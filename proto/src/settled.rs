//! What the commit of a node says: how far a partition of the notifications is settled, and on what inbox that relies.
//!
//! It stands in the metadata of the commit, beside the position, and is read by the node that takes the partition over, and by
//! whoever wants to know whether what an inbox does not have is settled or lost.

use serde::{Deserialize, Serialize};

use crate::cursor::Position;
use crate::id::Offset;

/// Which batch was parked last in a partition. Each batch leaves a higher one, given by who parks and never given twice, in
/// the same transaction; an inbox whose marker is missing or lower than expected has lost something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Marker(u64);

impl Marker {
    /// The marker of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next higher marker.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How far a partition is settled, and on what inbox that relies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// The lowest position not settled: that of the commit.
    pub position: Position,
    /// The inbox's marker when that was so.
    pub marker: Option<Marker>,
    /// The lowest offset that may still have been parked then.
    pub floor: Option<Offset>,
    /// How often the partition was taken over.
    pub takeover: u32,
    /// Of everything parked below it is written down that it may have to be pushed. Above `position` only after a rewind.
    pub told: Position,
}

/// The metadata of a commit.
#[derive(Serialize, Deserialize)]
struct Metadata {
    marker: Option<Marker>,
    floor: Option<Offset>,
    takeover: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Position>,
}

impl Settled {
    /// What stands beside the position.
    #[must_use]
    pub fn metadata(self) -> String {
        let Self { position, marker, floor, takeover, told } = self;
        let metadata = Metadata { marker, floor, takeover, told: (told > position).then_some(told) };
        serde_json::to_string(&metadata).unwrap_or_default() // integers are always JSON
    }

    /// From what the log kept.
    ///
    /// # Errors
    /// When the metadata is not a node's.
    pub fn of(position: Position, metadata: &str) -> Result<Self, serde_json::Error> {
        let Metadata { marker, floor, takeover, told } = serde_json::from_str(metadata)?;
        Ok(Self { position, marker, floor, takeover, told: told.unwrap_or(position) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Settled {
        let position = Position::at(Offset::new(position));
        Settled { position, told: position, ..Settled::default() }
    }

    #[test]
    fn what_is_settled_reads_back_as_it_was_written() {
        let settled = Settled { marker: Some(Marker::new(7)), floor: Some(Offset::new(3)), takeover: 2, ..at(12) };
        assert_eq!(settled.metadata(), r#"{"marker":7,"floor":3,"takeover":2}"#);
        assert_eq!(at(0).metadata(), r#"{"marker":null,"floor":null,"takeover":0}"#);
        let rewound = Settled { told: at(20).position, ..at(12) };
        assert_eq!(rewound.metadata(), r#"{"marker":null,"floor":null,"takeover":0,"told":20}"#);
        for written in [settled, at(0), rewound] {
            assert_eq!(Settled::of(written.position, &written.metadata()).unwrap(), written);
        }
        assert!(Settled::of(at(3).position, r#"{"reach":3}"#).is_err());
    }
}
