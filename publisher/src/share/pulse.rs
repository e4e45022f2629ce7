//! What a worker is doing, for whoever asks whether the publisher is ready.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::limits::STALL_TIMEOUT;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// It was not started, or has ended.
    Stopped,
    /// It waits for events.
    Idle,
    /// It has been at one step of a fan-out since then, repeats included.
    Busy { since: Duration },
}

/// Written by the worker, read by others.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<Beat>);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Beat::Stopped))
    }

    pub(crate) fn set(&self, beat: Beat) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = beat;
    }

    fn get(&self) -> Beat {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many workers there are of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "WorkersHealth")]
pub(crate) struct Health {
    /// How many partitions are this publisher's; unknown until the log has said which.
    pub(crate) assigned: Option<usize>,
    /// Waiting for events, or getting on with them.
    pub(crate) running: usize,
    /// At one step for longer than [`STALL_TIMEOUT`].
    pub(crate) stalled: usize,
    /// Not started, or ended.
    pub(crate) stopped: usize,
}

impl Health {
    pub(crate) fn of<'a>(pulses: impl Iterator<Item = &'a Pulse>, now: Duration) -> Self {
        let mut health = Self::default();
        let mut assigned = 0;
        for pulse in pulses {
            assigned += 1;
            match pulse.get() {
                Beat::Stopped => health.stopped += 1,
                Beat::Busy { since } if now.saturating_sub(since) > STALL_TIMEOUT => health.stalled += 1,
                Beat::Idle | Beat::Busy { .. } => health.running += 1,
            }
        }
        health.assigned = Some(assigned);
        health
    }

    /// Puts the numbers into the metrics, for whoever reads them next.
    pub(crate) fn gauge(self, name: &'static str) {
        let states = [("running", self.running), ("stalled", self.stalled), ("stopped", self.stopped)];
        for (state, workers) in states {
            metrics::gauge!(name, "state" => state).set(u32::try_from(workers).unwrap_or(u32::MAX));
        }
    }
}
