//! How far a partition of `peal.offline` is done, and how that stands in a commit: the lowest entry that is not done, and which
//! of those behind it are, so that whoever goes on pushes none of them again.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use peal_proto::{Offset, Position};
use peal_store::log::Commit;

use crate::limits::PUSH_SPAN_MAX;

/// What is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything below is done.
    pub(super) position: Position,
    /// What is done of the [`PUSH_SPAN_MAX`] offsets from there on.
    pub(super) done: BTreeSet<Offset>,
}

/// A commit is not one of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} does not say in hexadecimal digits which entries are done")]
pub(super) struct InvalidProgress {
    given: String,
}

impl Progress {
    /// As the log keeps it: a bit an offset, the lowest first, four to a digit.
    pub(super) fn to_commit(&self) -> Commit {
        let from = self.position.next().get();
        let mut digits = Vec::new();
        for bit in self.done.iter().map(|offset| offset.get() - from).take_while(|bit| *bit < PUSH_SPAN_MAX) {
            let digit = usize::try_from(bit / 4).unwrap_or_default(); // below the span
            digits.resize(digits.len().max(digit + 1), 0_u8);
            digits[digit] |= 1 << (bit % 4);
        }
        let mut metadata = String::with_capacity(digits.len());
        for digit in digits {
            write!(metadata, "{digit:x}").unwrap_or_default(); // a String takes every write
        }
        Commit { position: self.position, metadata }
    }

    /// From what the log kept.
    ///
    /// # Errors
    /// When the metadata is not ours.
    pub(super) fn from_commit(commit: &Commit) -> Result<Self, InvalidProgress> {
        let from = commit.position.next().get();
        let mut done = BTreeSet::new();
        for (digit, index) in commit.metadata.chars().zip(0..) {
            let bits = digit.to_digit(16).ok_or_else(|| InvalidProgress { given: commit.metadata.clone() })?;
            let set = (0..4).filter(|bit| bits & (1 << bit) != 0);
            done.extend(set.map(|bit| Offset::new(from + index * 4 + bit)));
        }
        Ok(Self { position: commit.position, done })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_commit_reads_back_what_it_wrote(
            from in 0_u64..1_000_000,
            bits in prop::collection::btree_set(0..PUSH_SPAN_MAX, 0..200)
        ) {
            let position = Position::at(Offset::new(from));
            let done = bits.into_iter().map(|bit| Offset::new(from + bit)).collect();
            let progress = Progress { position, done };
            let commit = progress.to_commit();
            prop_assert!(commit.metadata.len() <= 4_096, "{} bytes", commit.metadata.len());
            prop_assert_eq!(Progress::from_commit(&commit), Ok(progress));
        }
    }

    #[test]
    fn the_lowest_offset_is_the_first_bit_and_what_is_not_ours_is_told() {
        let offset = Offset::new;
        let progress = Progress { position: Position::at(offset(7)), done: [offset(8), offset(11)].into() };
        assert_eq!(progress.to_commit().metadata, "21");
        let foreign = Commit { position: Position::START, metadata: "a zebra".to_owned() };
        assert!(Progress::from_commit(&foreign).unwrap_err().to_string().contains("a zebra"));
    }
}
