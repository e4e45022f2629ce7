//! How far a fan-out is, as it is committed with every slice.
//!
//! The position is the event in progress. The metadata says how far in that event, and which events the slice was the last
//! of: their statuses are said after the commit, so whoever takes over says them again.

use peal_proto::{Offset, Position, UserId};
use peal_store::StoreError;
use peal_store::log::Commit;
use serde::{Deserialize, Serialize};

/// Where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every event before it is done with.
    pub(crate) position: Position,
    /// The events that the slice was the last of.
    pub(crate) done: Vec<Done>,
    /// How far the event at the position is, if it was begun.
    pub(crate) part: Option<Part>,
}

/// An event with all its members told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Offset, u64)", into = "(Offset, u64)")]
pub(crate) struct Done {
    pub(crate) offset: Offset,
    pub(crate) members: u64,
}

impl From<(Offset, u64)> for Done {
    fn from((offset, members): (Offset, u64)) -> Self {
        Self { offset, members }
    }
}

impl From<Done> for (Offset, u64) {
    fn from(done: Done) -> Self {
        (done.offset, done.members)
    }
}

/// An event with some of its members told, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) offset: Offset,
    /// The last member told.
    pub(crate) last: UserId,
    /// How many were told.
    pub(crate) published: u64,
}

/// The metadata of a commit.
#[derive(Serialize, Deserialize)]
struct Metadata {
    done: Vec<Done>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
}

impl Checkpoint {
    /// What a commit says; without one, the start. A commit without metadata, which a person may have set, is a position.
    pub(crate) fn of(commit: Option<Commit>) -> Result<Self, StoreError> {
        let Some(Commit { position, metadata }) = commit else { return Ok(Self::default()) };
        if metadata.is_empty() {
            return Ok(Self { position, ..Self::default() });
        }
        let Metadata { done, part } = serde_json::from_str(&metadata).map_err(|error| StoreError::Damaged {
            store: "log",
            reason: format!("the fan-out's checkpoint {metadata:?} can't be read: {error}"),
        })?;
        Ok(Self { position, done, part })
    }

    pub(crate) fn commit(&self) -> Commit {
        let metadata = Metadata { done: self.done.clone(), part: self.part };
        // Numbers can't fail to be written.
        Commit { position: self.position, metadata: serde_json::to_string(&metadata).unwrap_or_default() }
    }

    /// Where to read from, to say the statuses of the events done once more.
    pub(crate) fn read_from(&self) -> Position {
        self.done.first().map_or(self.position, |done| Position::at(done.offset).min(self.position))
    }

    /// How many members the event at this offset had, if it is one of those done.
    pub(crate) fn members_of(&self, offset: Offset) -> Option<u64> {
        self.done.iter().find(|done| done.offset == offset).map(|done| done.members)
    }

    /// How far the event at this offset is, if it was begun.
    pub(crate) fn part_of(&self, offset: Offset) -> Option<Part> {
        self.part.filter(|part| part.offset == offset)
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::limits::INTEGER_MAX;
    use peal_store::limits::COMMIT_METADATA_BYTES_MAX;

    use super::*;
    use crate::limits::SLICE_EVENTS_MAX;

    #[test]
    fn a_checkpoint_reads_back_what_it_wrote() {
        let part = Part { offset: Offset::new(9), last: UserId::new(42).unwrap(), published: 3 };
        let done = vec![Done { offset: Offset::new(4), members: 2 }, Done { offset: Offset::new(6), members: 0 }];
        let checkpoint = Checkpoint { position: Position::at(part.offset), done, part: Some(part) };
        let commit = checkpoint.commit();
        assert_eq!(commit.metadata, r#"{"done":[[4,2],[6,0]],"part":{"offset":9,"last":42,"published":3}}"#);
        assert_eq!(Checkpoint::of(Some(commit)).unwrap(), checkpoint);
        assert_eq!(checkpoint.read_from(), Position::at(Offset::new(4)));
    }

    #[test]
    fn the_longest_checkpoint_fits_into_a_commit() {
        let (offset, members) = (Offset::new(INTEGER_MAX), u64::from(u32::MAX));
        let done = vec![Done { offset, members: INTEGER_MAX }; SLICE_EVENTS_MAX];
        let part = Some(Part { offset, last: UserId::new(INTEGER_MAX).unwrap(), published: members });
        let commit = Checkpoint { position: Position::at(offset), done, part }.commit();
        assert!(commit.metadata.len() <= COMMIT_METADATA_BYTES_MAX, "{}", commit.metadata.len());
    }

    #[test]
    fn a_position_that_a_person_set_is_taken_and_rubbish_is_not_guessed_at() {
        let position = Position::at(Offset::new(7));
        let set = Checkpoint::of(Some(Commit { position, metadata: String::new() })).unwrap();
        assert_eq!((set.position, set.read_from()), (position, position));
        let rubbish = Checkpoint::of(Some(Commit { position, metadata: "7".into() }));
        assert!(matches!(rubbish, Err(StoreError::Damaged { .. })));
    }
}
