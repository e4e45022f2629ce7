//! How long to wait after errors in a row: twice as long each time, bounded.

use std::time::Duration;

use peal_proto::Partition;

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// The waits of one worker. No dice: each partition has its own part of the jitter, so that the workers of a process do
/// not knock as one at a store that comes back.
#[derive(Debug)]
pub(crate) struct Backoff {
    partition: Partition,
    failures: u32,
}

/// Into how many parts the jitter is split.
const PARTS: u32 = 16;

impl Backoff {
    pub(crate) fn new(partition: Partition) -> Self {
        Self { partition, failures: 0 }
    }

    /// After another error: from half of the doubled wait to all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let wait = doubled.min(BACKOFF_MAX);
        wait / 2 + wait * (self.partition.get() % PARTS) / (2 * PARTS)
    }

    /// After a success; how many errors were before it.
    pub(crate) fn reset(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }

    /// Whether the last attempt failed.
    pub(crate) fn failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Partition::new(0));
        let waits: Vec<_> = (0..9).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [25, 50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
        assert_eq!(backoff.reset(), 9);
        assert_eq!(backoff.next().as_millis(), 25);
    }

    #[test]
    fn partitions_wait_differently_and_none_longer_than_the_longest() {
        let longest = |partition| {
            let mut backoff = Backoff::new(Partition::new(partition));
            (0..99).map(|_| backoff.next()).max().unwrap()
        };
        assert_ne!(longest(3), longest(4));
        assert!((0..32).all(|partition| longest(partition) <= BACKOFF_MAX));
    }
}
