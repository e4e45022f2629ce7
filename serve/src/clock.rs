//! The time: the only place that reads clocks.
//!
//! Two of them, for two questions: *what time is it* ([`Clock::now`], the wall clock, which may jump) and *how long has it
//! been* ([`Clock::uptime`], which may not, and which a runtime with paused time or a simulated network drives).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use peal_proto::Timestamp;
use tokio::time::Instant;

/// A handle on the time; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock {
    started: Instant,
    wall: Wall,
}

#[derive(Debug, Clone)]
enum Wall {
    System,
    Simulated { base: Timestamp, skew_millis: Arc<AtomicI64> },
}

impl Clock {
    /// The clock of the system; its wall clock follows the system's when that is set.
    #[must_use]
    pub fn system() -> Self {
        Self { started: instant(), wall: Wall::System }
    }

    /// A wall clock that shows `base` now and goes on with the runtime's time.
    #[must_use]
    pub fn simulated(base: Timestamp) -> Self {
        Self { started: instant(), wall: Wall::Simulated { base, skew_millis: Arc::default() } }
    }

    /// Sets a simulated wall clock, and its clones, this many milliseconds fast (or slow, below 0). The system's clock is
    /// not ours to set.
    pub fn set_skew(&self, millis: i64) {
        match &self.wall {
            Wall::System => {}
            Wall::Simulated { skew_millis, .. } => skew_millis.store(millis, Ordering::Relaxed),
        }
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.wall {
            Wall::System => system_time(),
            Wall::Simulated { base, skew_millis } => {
                let now = base.after(self.uptime());
                let skew = skew_millis.load(Ordering::Relaxed);
                let distance = Duration::from_millis(skew.unsigned_abs());
                if skew < 0 { now.before(distance) } else { now.after(distance) }
            }
        }
    }

    /// How long this clock has run; never goes back.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        instant().saturating_duration_since(self.started)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
fn system_time() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_goes_with_the_time_of_the_runtime() {
        let base = Timestamp::from_millis(1_000_000);
        let clock = Clock::simulated(base);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.uptime(), Duration::from_secs(90));
        assert_eq!(clock.now(), base.after(Duration::from_secs(90)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_skew_moves_the_wall_clock_of_all_clones_and_no_uptime() {
        let clock = Clock::simulated(Timestamp::from_millis(1_000_000));
        let other = clock.clone();
        other.set_skew(-400_000);
        assert_eq!(clock.now(), Timestamp::from_millis(600_000));
        clock.set_skew(5);
        assert_eq!(clock.now(), Timestamp::from_millis(1_000_005));
        assert_eq!(clock.uptime(), Duration::ZERO);
    }

    #[tokio::test]
    async fn the_system_clock_is_in_this_century() {
        assert!(Clock::system().now() > Timestamp::from_millis(1_700_000_000_000));
    }
}
