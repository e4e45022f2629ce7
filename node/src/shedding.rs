//! What a node sheds when it runs out of memory, and in which order: new sockets first, then replays, then live delivery. Pure.
//!
//! Nothing is lost by it: whoever is refused a socket comes back, and what is not delivered is parked. Each stage ends only some
//! way below where it began, so that a node does not go to and fro.

use crate::limits::{SHED_LIVE_PERCENT, SHED_REPLAYS_PERCENT, SHED_SLACK_PERCENT, SHED_SOCKETS_PERCENT};

/// What is shed; each stage with all that stand before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Shed {
    /// Nothing.
    #[default]
    Nothing,
    /// No socket is opened.
    Sockets,
    /// And one user of a partition at a time is replayed to.
    Replays,
    /// And users are treated as if they were away: what comes for them is parked.
    Live,
}

impl Shed {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Sockets, Self::Replays, Self::Live];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Sockets => "sockets",
            Self::Replays => "replays",
            Self::Live => "live",
        }
    }

    /// From so many percent of the most on.
    const fn begins_at(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Sockets => SHED_SOCKETS_PERCENT,
            Self::Replays => SHED_REPLAYS_PERCENT,
            Self::Live => SHED_LIVE_PERCENT,
        }
    }
}

/// How far a node has come.
#[derive(Debug)]
pub(crate) struct Shedding {
    /// Bytes of memory that the process may have.
    memory_max: u64,
    shed: Shed,
}

impl Shedding {
    pub(crate) fn new(memory_max: u64) -> Self {
        Self { memory_max, shed: Shed::Nothing }
    }

    /// What is to be shed now that so many bytes are resident.
    pub(crate) fn look(&mut self, resident: u64) -> Shed {
        let slack = self.memory_max / 100 * SHED_SLACK_PERCENT;
        let (begun, not_over) = (self.stage(resident), self.stage(resident.saturating_add(slack)));
        self.shed = begun.max(self.shed.min(not_over));
        self.shed
    }

    /// The stage that begins with so many bytes.
    fn stage(&self, bytes: u64) -> Shed {
        let begun = |shed: &Shed| bytes >= self.memory_max / 100 * shed.begins_at();
        Shed::ALL.into_iter().rfind(begun).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u64 = 100_000;

    fn percent(number: u64) -> u64 {
        number * MAX / 100
    }

    #[test]
    fn stages_begin_and_end_in_order_and_end_lower_than_they_begin() {
        let mut shedding = Shedding::new(MAX);
        let up: Vec<_> = (0..=100).map(|number| shedding.look(percent(number))).collect();
        let down: Vec<_> = (0..=100).rev().map(|number| shedding.look(percent(number))).collect();
        let begins = |shed| up.iter().position(|now| *now == shed).unwrap();
        let ends = |shed| 100 - down.iter().rposition(|now| *now == shed).unwrap();
        assert!(up.is_sorted() && down.iter().rev().is_sorted());
        assert_eq!([Shed::Sockets, Shed::Replays, Shed::Live].map(begins), [80, 85, 90]);
        assert_eq!([Shed::Sockets, Shed::Replays, Shed::Live].map(ends), [75, 80, 85]);
    }

    proptest! {
        #[test]
        fn a_stage_begins_where_it_is_due_and_stands_until_it_is_safely_over(looks in prop::collection::vec(0..=120_u64, 1..200)) {
            let mut shedding = Shedding::new(MAX);
            let mut before = Shed::Nothing;
            for resident in looks {
                let now = shedding.look(percent(resident));
                for shed in Shed::ALL {
                    let slack = if before >= shed { SHED_SLACK_PERCENT } else { 0 };
                    prop_assert_eq!(now >= shed, resident + slack >= shed.begins_at(), "{:?} at {}", shed, resident);
                }
                before = now;
            }
        }
    }
}
