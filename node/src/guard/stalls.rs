//! Which partitions stall, and since when. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use peal_proto::Partition;

/// What a look found to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The partition stalls.
    Begun { partition: Partition },
    /// It does not any more.
    Over { partition: Partition, after: Duration },
}

/// The partitions that stalled at the last look, and since which look.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    since: BTreeMap<Partition, Duration>,
}

impl Stalls {
    /// These stall now.
    pub(super) fn look(&mut self, stalled: &[Partition], now: Duration) -> Vec<Change> {
        let (mut before, mut changes) = (std::mem::take(&mut self.since), Vec::new());
        for partition in stalled.iter().copied() {
            let since = before.remove(&partition).unwrap_or_else(|| {
                changes.push(Change::Begun { partition });
                now
            });
            self.since.insert(partition, since);
        }
        let over = |(partition, since)| Change::Over { partition, after: now.saturating_sub(since) };
        changes.extend(before.into_iter().map(over));
        changes
    }

    /// How many stalled at the last look.
    pub(super) fn count(&self) -> f64 {
        f64::from(u32::try_from(self.since.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let partition = Partition::new;
        let mut stalls = Stalls::default();
        let mut look = |numbers: &[u32], second| {
            stalls.look(&numbers.iter().copied().map(partition).collect::<Vec<_>>(), Duration::from_secs(second))
        };
        assert_eq!(look(&[], 1), []);
        assert_eq!(look(&[2], 2), [Change::Begun { partition: partition(2) }]);
        assert_eq!(look(&[2, 5], 3), [Change::Begun { partition: partition(5) }]);
        assert_eq!(look(&[5], 4), [Change::Over { partition: partition(2), after: Duration::from_secs(2) }]);
        assert_eq!(look(&[5], 5), []);
    }
}
