//! How far the node's clock is from that of the stores. Pure.
//!
//! Which of the two is wrong nobody can say here; that they differ is what a person should know.

use std::time::Duration;

use peal_proto::Timestamp;

use crate::limits::CLOCK_SKEW_MAX;

/// What a look found to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The clocks differ by more than they may; so far the node's is ahead.
    Off { millis: i64 },
    /// They do not any more.
    Right,
}

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// How far the node's clock is ahead, or behind where it is negative.
    ahead_millis: i64,
    is_off: bool,
}

impl Skew {
    /// The stores said that it was `theirs`, some time between the node's `ours` and `took` later.
    pub(super) fn look(&mut self, ours: Timestamp, took: Duration, theirs: Timestamp) -> Option<Change> {
        let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        let half = took / 2;
        self.ahead_millis = signed(ours.after(half).millis()).saturating_sub(signed(theirs.millis()));
        let may_be = CLOCK_SKEW_MAX + half; // a slow answer says less
        let is_off = Duration::from_millis(self.ahead_millis.unsigned_abs()) > may_be;
        if std::mem::replace(&mut self.is_off, is_off) == is_off {
            return None;
        }
        Some(if is_off { Change::Off { millis: self.ahead_millis } } else { Change::Right })
    }

    /// The same of any size, for the gauge.
    #[expect(clippy::cast_precision_loss, reason = "exact for thousands of years")]
    pub(super) fn ahead_seconds(&self) -> f64 {
        self.ahead_millis as f64 / 1_000.0
    }

    /// How many seconds the node's clock is ahead, where that is more than it may be.
    pub(super) fn seconds(&self) -> i64 {
        if self.is_off { self.ahead_millis / 1_000 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_told_once_either_way_and_a_slow_answer_is_none() {
        let (mut skew, theirs) = (Skew::default(), Timestamp::from_millis(1_000_000_000));
        let hour = Duration::from_secs(3_600);
        let quick = Duration::from_millis(2);
        assert_eq!(skew.look(theirs, quick, theirs), None);
        assert_eq!(skew.look(theirs.after(hour), quick, theirs), Some(Change::Off { millis: 3_600_001 }));
        assert_eq!((skew.look(theirs.after(hour), quick, theirs), skew.seconds()), (None, 3_600));
        assert_eq!(skew.look(theirs.after(Duration::from_secs(3)), quick, theirs), Some(Change::Right));
        assert_eq!(skew.seconds(), 0);
        assert_eq!(skew.look(theirs.before(hour), quick, theirs), Some(Change::Off { millis: -3_599_999 }));
        assert_eq!(
            skew.look(theirs.before(Duration::from_secs(13)), Duration::from_secs(8), theirs),
            Some(Change::Right)
        );
    }
}
