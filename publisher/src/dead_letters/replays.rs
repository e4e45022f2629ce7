//! Which letters were replayed: their offsets, partition by partition, in the commits of a group that reads nothing.
//!
//! So every publisher knows, and no second log disagrees with the letters. Kafka keeps a commit for a week after the last
//! (`offsets.retention.minutes`), and a letter a day longer.

use std::fmt;

use peal_proto::name::REPLAYS_GROUP;
use peal_proto::{LetterId, Offset, Partition, Position, Topic};
use peal_store::log::{Commit, Source};
use peal_store::{Log, StoreError};

use crate::limits::LETTERS_REPLAYED_BYTES_MAX;

/// The letters of a partition that were replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Replays {
    /// First and last offset of each run, ascending, with a gap between any two.
    runs: Vec<(u64, u64)>,
}

impl Replays {
    /// Those of a partition that are known.
    pub(crate) async fn of(log: &dyn Log, partition: Partition) -> Result<Self, StoreError> {
        let commit = log.committed(source(partition)).await?;
        Ok(commit.map(|commit| Self::read(&commit.metadata)).unwrap_or_default())
    }

    pub(crate) fn has(&self, offset: Offset) -> bool {
        self.runs.iter().any(|(first, last)| (*first..=*last).contains(&offset.get()))
    }

    /// One more was. When there are too many to be kept, the oldest is forgotten. Another publisher that does the same at the same
    /// moment may be overwritten.
    pub(crate) async fn keep(mut self, log: &dyn Log, letter: LetterId) -> Result<(), StoreError> {
        self.add(letter.offset.get());
        let metadata = self.to_string();
        log.commit(source(letter.partition), Commit { position: Position::START, metadata }).await
    }

    fn add(&mut self, offset: u64) {
        self.runs.push((offset, offset));
        self.runs.sort_unstable();
        self.runs.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        while self.to_string().len() > LETTERS_REPLAYED_BYTES_MAX {
            self.runs.remove(0);
        }
    }

    /// What can't be read is none.
    fn read(text: &str) -> Self {
        let run = |run: &str| {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Self { runs: text.split(',').filter_map(run).collect() }
    }
}

impl fmt::Display for Replays {
    /// `0-3,7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.runs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

fn source(partition: Partition) -> Source {
    Source { group: REPLAYS_GROUP, topic: Topic::DeadLetters, partition }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn when_there_are_too_many_the_oldest_are_forgotten() {
        let mut replays = Replays::default();
        for offset in (0..4_000).map(|number| 2 * number) {
            replays.add(offset);
            assert!(replays.has(Offset::new(offset)));
        }
        assert!(replays.to_string().len() <= LETTERS_REPLAYED_BYTES_MAX);
        assert!(!replays.has(Offset::new(0)) && replays.has(Offset::new(7_000)));
    }

    proptest! {
        #[test]
        fn those_that_were_replayed_are_known_and_no_others(offsets in prop::collection::vec(0..60_u64, 0..40)) {
            let mut replays = Replays::default();
            for offset in &offsets {
                replays.add(*offset);
                replays = Replays::read(&replays.to_string());
            }
            for offset in 0..60 {
                prop_assert_eq!(replays.has(Offset::new(offset)), offsets.contains(&offset), "{}: {}", replays, offset);
            }
            let gaps = replays.runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0);
            prop_assert!(gaps, "{}", replays);
        }
    }
}
