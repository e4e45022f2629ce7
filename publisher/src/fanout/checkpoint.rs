//! How far a fan-out is, as it is committed with every slice.
//!
//! Everything before `reach` is done with but for a few events that are open: begun, or held back behind others. The
//! position of the commit is the first of them. The metadata names them, and the events that the slice was the last of:
//! their statuses are said after the commit, so whoever takes over says them again.

use std::collections::HashMap;

use peal_proto::{Offset, Position, UserId};
use peal_store::StoreError;
use peal_store::log::Commit;
use serde::{Deserialize, Serialize};

/// Where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every event before it is done with, or open.
    pub(crate) reach: Position,
    /// Events before `reach` that are not done with, ascending.
    pub(crate) open: Vec<Open>,
    /// The events that the slice was the last of.
    pub(crate) done: Vec<Done>,
}

/// An event that is not done with, and how far it is, once begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) offset: Offset,
    pub(crate) part: Option<Part>,
}

/// Some of the members of an event are told, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The last member told.
    pub(crate) last: UserId,
    /// How many were told.
    pub(crate) published: u64,
}

/// An event with all its members told, but for those that are no users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) offset: Offset,
    pub(crate) members: u64,
    /// So many of them are no users.
    pub(crate) failed: u64,
}

/// The metadata of a commit.
#[derive(Serialize, Deserialize)]
struct Metadata {
    reach: Position,
    /// Offset, last member told, how many were told; the offset alone when none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<WrittenOpen>,
    /// By how much its offset is above that of the one before, members, and so on: hundreds must fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<i64>,
    /// Of those, the offset of each that has members who are no users, and how many they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<(Offset, u64)>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenOpen {
    Begun(Offset, UserId, u64),
    Held(Offset),
}

impl From<&Open> for WrittenOpen {
    fn from(Open { offset, part }: &Open) -> Self {
        part.map_or(Self::Held(*offset), |Part { last, published }| Self::Begun(*offset, last, published))
    }
}

impl From<WrittenOpen> for Open {
    fn from(written: WrittenOpen) -> Self {
        match written {
            WrittenOpen::Begun(offset, last, published) => Self { offset, part: Some(Part { last, published }) },
            WrittenOpen::Held(offset) => Self { offset, part: None },
        }
    }
}

/// The numbers that stand for an event that is done with.
fn numbers(before: Option<Offset>, done: &Done) -> [i64; 2] {
    let above = done.offset.get().cast_signed() - before.map_or(0, |before| before.get().cast_signed());
    [above, done.members.cast_signed()]
}

/// Bytes that an event takes among those done with, behind another.
pub(super) fn bytes_of(before: Option<Offset>, done: &Done) -> usize {
    let digits = |number: u64| number.checked_ilog10().unwrap_or_default() as usize + 1;
    let numbers = numbers(before, done).into_iter();
    let pair: usize = numbers.map(|number| digits(number.unsigned_abs()) + usize::from(number < 0) + 1).sum();
    let brackets = "[,],".len();
    pair + if done.failed > 0 { digits(done.offset.get()) + digits(done.failed) + brackets } else { 0 }
}

impl Checkpoint {
    /// What a commit says; without one, the start. A commit without metadata, which a person may have set, is a position.
    pub(crate) fn of(commit: Option<Commit>) -> Result<Self, StoreError> {
        let Some(Commit { position, metadata }) = commit else { return Ok(Self::default()) };
        if metadata.is_empty() {
            return Ok(Self { reach: position, ..Self::default() });
        }
        let damaged = |error: &dyn std::fmt::Display| StoreError::Damaged {
            store: "log",
            reason: format!("the fan-out's checkpoint {metadata:?} can't be read: {error}"),
        };
        let Metadata { reach, open, done: written, failed } =
            serde_json::from_str(&metadata).map_err(|error| damaged(&error))?;
        let failed: HashMap<_, _> = failed.into_iter().collect();
        let mut done = Vec::with_capacity(written.len() / 2);
        let mut offset = 0_i64;
        for pair in written.chunks(2) {
            let &[above, members] = pair else { return Err(damaged(&"a number of members is missing")) };
            offset = offset.saturating_add(above);
            let (offset, members) = (Offset::new(offset.cast_unsigned()), members.cast_unsigned());
            done.push(Done { offset, members, failed: failed.get(&offset).copied().unwrap_or_default() });
        }
        Ok(Self { reach, open: open.into_iter().map(Open::from).collect(), done })
    }

    pub(crate) fn commit(&self) -> Commit {
        let mut before = None;
        let mut done = Vec::with_capacity(2 * self.done.len());
        for event in &self.done {
            done.extend(numbers(before.replace(event.offset), event));
        }
        let failed = self.done.iter().filter(|done| done.failed > 0).map(|done| (done.offset, done.failed)).collect();
        let open = self.open.iter().map(WrittenOpen::from).collect();
        let metadata = Metadata { reach: self.reach, open, done, failed };
        // Numbers can't fail to be written.
        Commit { position: self.position(), metadata: serde_json::to_string(&metadata).unwrap_or_default() }
    }

    /// Every event before it is done with.
    pub(crate) fn position(&self) -> Position {
        self.open.first().map_or(self.reach, |open| Position::at(open.offset))
    }

    /// Where to read from, to say the statuses of the events done once more.
    pub(crate) fn read_from(&self) -> Position {
        let done = self.done.iter().map(|done| Position::at(done.offset)).min();
        done.map_or(self.position(), |done| done.min(self.position()))
    }

    /// What is known of the event at this offset, if it is one of those done.
    pub(crate) fn done_at(&self, offset: Offset) -> Option<Done> {
        self.done.iter().find(|done| done.offset == offset).copied()
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::limits::INTEGER_MAX;
    use peal_store::limits::COMMIT_METADATA_BYTES_MAX;

    use super::*;
    use crate::limits::{HELD_EVENTS_MAX, LARGE_EVENTS_MAX, SLICE_DONE_BYTES_MAX};

    fn done(offset: u64, members: u64) -> Done {
        Done { offset: Offset::new(offset), members, failed: 0 }
    }

    fn failed(offset: u64, members: u64, failed: u64) -> Done {
        Done { failed, ..done(offset, members) }
    }

    #[test]
    fn a_checkpoint_reads_back_what_it_wrote() {
        let part = Some(Part { last: UserId::new(42).unwrap(), published: 3 });
        let open = vec![Open { offset: Offset::new(9), part }, Open { offset: Offset::new(12), part: None }];
        let done = vec![done(14, 2), done(6, 0), failed(15, 3, 2)];
        let checkpoint = Checkpoint { reach: Position::at(Offset::new(16)), open, done };
        let commit = checkpoint.commit();
        assert_eq!(commit.position, Position::at(Offset::new(9)));
        assert_eq!(commit.metadata, r#"{"reach":16,"open":[[9,42,3],12],"done":[14,2,-8,0,9,3],"failed":[[15,2]]}"#);
        assert_eq!(Checkpoint::of(Some(commit)).unwrap(), checkpoint);
        assert_eq!(checkpoint.read_from(), Position::at(Offset::new(6)));
    }

    #[test]
    fn the_longest_checkpoint_fits_into_a_commit() {
        let (largest, last) = (Offset::new(INTEGER_MAX), UserId::new(INTEGER_MAX).unwrap());
        let part = Some(Part { last, published: INTEGER_MAX });
        let mut open = vec![Open { offset: largest, part }; LARGE_EVENTS_MAX + 1];
        open.extend(vec![Open { offset: largest, part: None }; HELD_EVENTS_MAX]);
        let mut written = Vec::new();
        let (mut bytes, mut before) = (0, None);
        let most = INTEGER_MAX;
        for event in [failed(most, most, most), failed(0, most, most)].into_iter().cycle() {
            if bytes >= SLICE_DONE_BYTES_MAX {
                break;
            }
            bytes += bytes_of(before.replace(event.offset), &event);
            written.push(event);
        }
        let commit = Checkpoint { reach: Position::at(largest), open, done: written }.commit();
        assert!(commit.metadata.len() <= COMMIT_METADATA_BYTES_MAX, "{}", commit.metadata.len());
    }

    #[test]
    fn the_bytes_of_what_is_done_are_counted_as_they_are_written() {
        let events = [done(7, 0), done(8, 1), done(3, 99), done(1_000, 10), done(1_001, 9)];
        is_counted(&events, &[r#","done":[]"#]);
        is_counted(&[failed(7, 10, 10), done(8, 1), failed(3, 99, 1)], &[r#","done":[]"#, r#","failed":[]"#]);
    }

    fn is_counted(events: &[Done], lists: &[&str]) {
        let mut before = None;
        let counted: usize = events.iter().map(|event| bytes_of(before.replace(event.offset), event)).sum();
        let with = Checkpoint { done: events.to_vec(), ..Checkpoint::default() }.commit().metadata.len();
        let without = Checkpoint::default().commit().metadata.len();
        let commas = lists.len(); // the first in a list has none
        assert_eq!(with - without, lists.concat().len() + counted - commas);
    }

    #[test]
    fn a_position_that_a_person_set_is_taken_and_rubbish_is_not_guessed_at() {
        let position = Position::at(Offset::new(7));
        let set = Checkpoint::of(Some(Commit { position, metadata: String::new() })).unwrap();
        assert_eq!((set.position(), set.read_from()), (position, position));
        for rubbish in ["7", r#"{"reach":7,"done":[1]}"#] {
            let rubbish = Checkpoint::of(Some(Commit { position, metadata: rubbish.into() }));
            assert!(matches!(rubbish, Err(StoreError::Damaged { .. })));
        }
    }
}
