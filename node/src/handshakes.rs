//! Handshakes are rationed: so many under way, and so many a second, so that a storm of clients that reconnect costs those who
//! are there little. Beyond it a client is told when to come back, each a little later than the one before.
//!
//! A pure machine ([`Ration`]) and a handle on it. What is checked beside that before a socket opens is [`crate::http`]'s business.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, gauge};
use peal_proto::{NodeId, Partition};
use peal_serve::Clock;

use crate::limits::{HANDSHAKE_SHARES, HANDSHAKE_WAIT_MAX, Limits};

/// Why a handshake may not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// More a second than may be.
    Rate,
    /// As many are under way as may be.
    UnderWay,
    /// As many are under way as may be of one partition, which is slow to greet them.
    Partition,
}

impl Full {
    /// The label of the metric.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::UnderWay => "under-way",
            Self::Partition => "partition",
        }
    }
}

/// A handshake that may not begin, and when the client may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: Full,
    pub(crate) wait: Duration,
}

/// How many handshakes there may be. The rate is that of a leaky bucket (GCRA) with room for as many as may be under way.
#[derive(Debug)]
struct Ration {
    under_way_max: u32,
    of_a_partition_max: u32,
    /// What each takes of a second.
    interval: Duration,
    /// How far the bucket is filled: when it will be empty.
    empty_at: Duration,
    /// Until when those who were refused are told to come back, an interval each.
    promised: Duration,
    refused: u32,
    under_way: u32,
    by_partition: BTreeMap<Option<Partition>, u32>,
}

impl Ration {
    fn new(per_second: u32, under_way_max: u32) -> Self {
        Self {
            under_way_max,
            of_a_partition_max: under_way_max.div_ceil(HANDSHAKE_SHARES),
            interval: Duration::from_secs(1) / per_second.max(1),
            empty_at: Duration::ZERO,
            promised: Duration::ZERO,
            refused: 0,
            under_way: 0,
            by_partition: BTreeMap::new(),
        }
    }

    /// Begins a handshake of a user of this partition; none where it is not said of which user.
    fn begin(&mut self, now: Duration, partition: Option<Partition>) -> Result<(), Refused> {
        let of_partition = self.by_partition.get(&partition).copied().unwrap_or_default();
        let filled = self.empty_at.max(now);
        let why = if self.under_way >= self.under_way_max {
            Full::UnderWay
        } else if of_partition >= self.of_a_partition_max {
            Full::Partition
        } else if filled > now + self.interval * (self.under_way_max - 1) {
            Full::Rate
        } else {
            self.empty_at = filled + self.interval;
            self.under_way += 1;
            *self.by_partition.entry(partition).or_default() += 1;
            return Ok(());
        };
        Err(Refused { why, wait: self.promise(now) })
    }

    /// When one more may come back: behind all who were told so before, as the node takes them, and a quarter of that earlier or
    /// later. Whole seconds are what `Retry-After` can say.
    fn promise(&mut self, now: Duration) -> Duration {
        /// The fractions of its multiples lie evenly, however many there are.
        const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
        self.promised = (self.promised.max(now) + self.interval).min(now + HANDSHAKE_WAIT_MAX);
        self.refused = self.refused.wrapping_add(1);
        let draw = (f64::from(self.refused) * GOLDEN_RATIO).fract();
        (self.promised.saturating_sub(now)).mul_f64(0.75 + draw / 2.0)
    }

    /// A handshake of this partition is over, well or not.
    fn end(&mut self, partition: Option<Partition>) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(count) = self.by_partition.get_mut(&partition) {
            *count -= 1;
            if *count == 0 {
                self.by_partition.remove(&partition);
            }
        }
    }
}

/// The handshakes of one node.
#[derive(Debug)]
pub(crate) struct Handshakes {
    ration: Mutex<Ration>,
    clock: Clock,
    under_way: Gauge,
}

impl Handshakes {
    pub(crate) fn new(node: NodeId, clock: Clock, limits: &Limits) -> Arc<Self> {
        let ration = Mutex::new(Ration::new(limits.handshakes_per_second, limits.handshakes_max));
        let under_way = gauge!("peal_node_handshakes_under_way", "node" => node.to_string());
        Arc::new(Self { ration, clock, under_way })
    }

    /// Begins one, which lasts until what this gives is dropped.
    pub(crate) fn begin(self: &Arc<Self>, partition: Option<Partition>) -> Result<Handshake, Refused> {
        self.ration().begin(self.clock.uptime(), partition)?;
        self.under_way.increment(1);
        Ok(Handshake { of: Arc::clone(self), partition })
    }

    fn ration(&self) -> MutexGuard<'_, Ration> {
        self.ration.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handshake under way: from before the upgrade until the socket is greeted.
#[derive(Debug)]
pub(crate) struct Handshake {
    of: Arc<Handshakes>,
    partition: Option<Partition>,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.ration().end(self.partition);
        self.of.under_way.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as a ration takes it")]
    fn partition(number: u32) -> Option<Partition> {
        Some(Partition::new(number))
    }

    #[test]
    fn a_partition_that_does_not_greet_leaves_room_for_the_others() {
        let mut ration = Ration::new(1_000_000, 8);
        let now = Duration::from_secs(9);
        assert!(ration.begin(now, partition(0)).is_ok() && ration.begin(now, partition(0)).is_ok());
        assert_eq!(ration.begin(now, partition(0)).unwrap_err().why, Full::Partition);
        for other in 1..4 {
            assert!(ration.begin(now, partition(other)).is_ok() && ration.begin(now, partition(other)).is_ok());
        }
        assert_eq!(ration.begin(now, partition(4)).unwrap_err().why, Full::UnderWay);
        ration.end(partition(0));
        assert!(ration.begin(now + Duration::from_secs(1), partition(0)).is_ok());
    }

    /// All come at once, do as they are told (in whole seconds), and each handshake takes a tenth of a second.
    #[test]
    fn a_herd_gets_in_about_as_fast_as_the_rate_allows_and_nobody_asks_often() {
        const HERD: u32 = 20_000;
        const RATE: u32 = 1_000;
        let mut ration = Ration::new(RATE, 256);
        let mut due: BinaryHeap<_> = (0..HERD).map(|client| Reverse((Duration::ZERO, client, 1))).collect();
        let mut under_way = BinaryHeap::new();
        let (mut tries, mut last) = (0, Duration::ZERO);
        while let Some(Reverse((now, client, number))) = due.pop() {
            while under_way.peek().is_some_and(|Reverse((end, _))| *end <= now) {
                let Some(Reverse((_, partition))) = under_way.pop() else { break };
                ration.end(partition);
            }
            match ration.begin(now, partition(client % 40)) {
                Ok(()) => {
                    under_way.push(Reverse((now + Duration::from_millis(100), partition(client % 40))));
                    (tries, last) = (tries + number, now);
                }
                Err(Refused { wait, .. }) => {
                    let own = Duration::from_millis(u64::from(client.wrapping_mul(7_919) % 500));
                    let told = Duration::from_secs(wait.as_secs() + 1);
                    due.push(Reverse((now + told + own, client, number + 1)));
                }
            }
        }
        assert!(last < Duration::from_secs(2 * u64::from(HERD / RATE)), "the last got in after {last:?}");
        assert!(tries < 4 * HERD, "{tries} tries of {HERD} clients");
    }

    proptest! {
        /// Steps: how much later, whether another ends first, and of which partition one begins.
        #[test]
        fn never_more_than_the_rate_and_a_burst_nor_more_under_way(
            rate in 1_u32..2_000,
            most in 1_u32..40,
            steps in prop::collection::vec((0_u64..20_000, any::<bool>(), 0_u32..5), 1..400),
        ) {
            let mut ration = Ration::new(rate, most);
            let (mut now, mut open, mut begun) = (Duration::ZERO, Vec::new(), Vec::<Duration>::new());
            for (micros, ends, number) in steps {
                now += Duration::from_micros(micros);
                if ends && let Some(partition) = open.pop() {
                    ration.end(partition);
                }
                match ration.begin(now, partition(number)) {
                    Ok(()) => {
                        open.push(partition(number));
                        begun.push(now);
                    }
                    Err(Refused { why: Full::UnderWay, .. }) => prop_assert_eq!(open.len(), most as usize),
                    Err(Refused { wait, .. }) => prop_assert!(wait <= HANDSHAKE_WAIT_MAX * 5 / 4),
                }
                prop_assert!(open.len() <= most as usize);
            }
            for (index, from) in begun.iter().enumerate() {
                let until = begun.get(index + most as usize).copied();
                let least = ration.interval.saturating_sub(Duration::from_nanos(1));
                prop_assert!(until.is_none_or(|until| until - *from >= least), "a burst of more than {most}");
            }
        }
    }
}
