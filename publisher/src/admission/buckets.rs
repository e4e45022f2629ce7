//! The buckets of one limit, one a key. Their number is bounded, and those that are full again are forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use peal_serve::Clock;

use super::Rate;
use crate::limits::RATE_KEYS_SWEEP_INTERVAL;

pub(super) struct Buckets<K: Hash + Eq + Clone> {
    pub(super) limit: &'static str,
    pub(super) rate: Rate,
    limiter: RateLimiter<K, Slots<K>, Uptime, NoOpMiddleware<Duration>>,
    /// Milliseconds of uptime.
    next_sweep: AtomicU64,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(limit: &'static str, rate: Rate, keys_max: usize, clock: Clock) -> Self {
        let quota = Quota::per_second(rate.per_second()).allow_burst(rate.burst());
        let slots = Slots { held: Mutex::new(Held { keys: HashMap::new(), others: None }), keys_max };
        Self { limit, rate, limiter: RateLimiter::new(quota, slots, Uptime(clock)), next_sweep: AtomicU64::new(0) }
    }

    /// Takes a token, or says how long it is until there is one.
    pub(super) fn take(&self, key: &K) -> Result<(), Duration> {
        self.sweep();
        let now = || governor::clock::Clock::now(self.limiter.clock());
        self.limiter.check_key(key).map_err(|until| until.wait_time_from(now()))
    }

    /// Forgets, now and then, the buckets that are full: those of a key that nobody knows are just as full.
    fn sweep(&self) {
        let now = self.limiter.clock().0.uptime();
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let (due, next) = (self.next_sweep.load(Ordering::Relaxed), millis(now + RATE_KEYS_SWEEP_INTERVAL));
        let is_ours = |due| self.next_sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if millis(now) >= due && is_ours(due) {
            self.limiter.retain_recent();
            let keys = u32::try_from(self.limiter.len()).unwrap_or(u32::MAX);
            metrics::gauge!("peal_rate_keys", "limit" => self.limit).set(keys);
        }
    }
}

/// The publisher's clock, as the limiter wants it.
struct Uptime(Clock);

impl governor::clock::Clock for Uptime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.uptime()
    }
}

/// When each bucket will be full again. The crate's own stores have no limit.
struct Slots<K> {
    held: Mutex<Held<K>>,
    keys_max: usize,
}

struct Held<K> {
    keys: HashMap<K, Nanos>,
    /// The one bucket of all for whom there was no room.
    others: Option<Nanos>,
}

impl<K> Slots<K> {
    fn held(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Slots<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut held = self.held();
        let has_room = held.keys.len() < self.keys_max;
        if let Some(full) = held.keys.get_mut(key) {
            let (decided, later) = decide(Some(*full))?;
            *full = later;
            return Ok(decided);
        }
        if has_room {
            let (decided, full) = decide(None)?;
            held.keys.insert(key.clone(), full);
            return Ok(decided);
        }
        let (decided, full) = decide(held.others)?;
        held.others = Some(full);
        Ok(decided)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Slots<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut held = self.held();
        held.keys.retain(|_, full| *full >= drop_below);
        let (keys, capacity) = (held.keys.len(), held.keys.capacity());
        if keys < capacity / 4 {
            held.keys.shrink_to(keys * 2);
        }
    }

    fn len(&self) -> usize {
        self.held().keys.len()
    }

    fn is_empty(&self) -> bool {
        self.held().keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::new(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_keys_are_held_than_may_be_and_full_buckets_are_forgotten() {
        let buckets = Buckets::new("client", rate(1, 2), 100, Clock::system());
        for key in 0..1_000 {
            assert_eq!(buckets.take(&key).is_ok(), key < 100 + 2, "{key}"); // two more from the one that is shared
            assert!(buckets.limiter.len() <= 100);
        }
        assert_eq!(buckets.limiter.len(), 100);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(buckets.take(&5_000), Ok(()));
        assert_eq!(buckets.limiter.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A bucket that is counted the plain way: it holds a number of tokens, and gets some with time.
        #[test]
        fn a_bucket_gives_what_a_plain_one_gives(
            per_second in 1..50_u32, burst in 1..50_u32, waits in prop::collection::vec(0..300_u64, 1..200)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let buckets = Buckets::new("client", rate(per_second, burst), 10, Clock::system());
                let (mut tokens, full) = (f64::from(burst), f64::from(burst));
                for wait in waits {
                    tokio::time::advance(Duration::from_millis(wait)).await;
                    tokens = full.min(tokens + f64::from(per_second) * Duration::from_millis(wait).as_secs_f64());
                    let taken = buckets.take(&1);
                    if (tokens - 1.0).abs() > 1e-3 { // else rounding decides
                        assert_eq!(taken.is_ok(), tokens > 1.0, "{tokens}");
                    }
                    match taken {
                        Ok(()) => tokens -= 1.0,
                        Err(wait) => {
                            let expected = (1.0 - tokens) / f64::from(per_second);
                            assert!((wait.as_secs_f64() - expected).abs() < 1e-3, "{wait:?}, not {expected} s");
                        }
                    }
                }
            });
        }
    }
}
