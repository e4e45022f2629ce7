//! How long a partition told nobody anything while there was something to tell: what a move of partitions, or a slow one, costs
//! all of its users at once.

use std::time::Duration;

use peal_proto::shard::partition_of;

/// What is known of each partition.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// When somebody of the partition heard last.
    heard_at: Vec<Duration>,
    longest: Silent,
}

/// A time in which a partition told nobody anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Silent {
    pub(super) since: Duration,
    pub(super) took: Duration,
}

impl Silence {
    pub(super) fn of(partitions: u32) -> Self {
        Self { heard_at: vec![Duration::ZERO; partitions as usize], longest: Silent::default() }
    }

    /// A user hears what was posted then.
    pub(super) fn ends(&mut self, user: u64, posted: Duration, now: Duration) {
        let Ok(partitions) = u32::try_from(self.heard_at.len()) else { return };
        if partitions == 0 {
            return; // it is not asked for
        }
        let heard_at = &mut self.heard_at[partition_of(user, partitions).get() as usize];
        let since = posted.max(*heard_at);
        let took = now.saturating_sub(since);
        if took > self.longest.took {
            self.longest = Silent { since, took };
        }
        *heard_at = now;
    }

    /// The longest of all; none where nobody looked.
    pub(super) fn longest(&self) -> Option<Silent> {
        (!self.heard_at.is_empty()).then_some(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_silent_from_when_it_was_heard_or_had_something_to_tell() {
        let second = Duration::from_secs;
        let mut silence = Silence::of(2);
        silence.ends(4, second(10), second(11));
        let longest = |since, took| Some(Silent { since: second(since), took: second(took) });
        assert_eq!(silence.longest(), longest(10, 1), "nothing was to be told before");
        silence.ends(6, second(10), second(13));
        assert_eq!(silence.longest(), longest(11, 2), "another user of the partition was told meanwhile");
        silence.ends(5, second(12), second(17));
        assert_eq!(silence.longest(), longest(12, 5), "another partition told its own");
        silence.ends(4, second(40), second(41));
        assert_eq!(silence.longest(), longest(12, 5));
        assert_eq!(Silence::default().longest(), None);
    }
}
