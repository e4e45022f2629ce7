//! How well the table is followed, for whoever asks whether the publisher is ready.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peal_proto::Partition;
use schemars::JsonSchema;
use serde::Serialize;

use crate::limits::STALL_TIMEOUT;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "FollowerHealth")]
pub(crate) struct Health {
    topic: String,
    /// How many partitions are this publisher's; unknown until Kafka has said which.
    pub(crate) assigned: Option<usize>,
    /// Records of these that are not applied yet; unknown until it was looked.
    lag: Option<u64>,
    /// It has not got on for longer than [`STALL_TIMEOUT`].
    pub(crate) stalled: bool,
    /// Why it does not get on.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Written by the follower, read by others.
pub(super) struct Pulse {
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    assigned: Option<usize>,
    lag: BTreeMap<Partition, u64>,
    failing: Option<(Duration, String)>,
}

impl Pulse {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), state: Mutex::default() }
    }

    pub(super) fn set_assigned(&self, assigned: Option<usize>) {
        let mut state = self.lock();
        state.assigned = assigned;
        state.lag.clear();
    }

    pub(super) fn set_lag(&self, partition: Partition, lag: u64) {
        let mut state = self.lock();
        state.lag.insert(partition, lag);
        metrics::gauge!("peal_cdc_lag").set(state.lag.values().sum::<u64>() as f64);
    }

    /// It failed, and has not succeeded since `now` or an earlier error.
    pub(super) fn fail(&self, now: Duration, error: String) {
        let mut state = self.lock();
        let since = state.failing.take().map_or(now, |(since, _)| since);
        state.failing = Some((since, error));
    }

    pub(super) fn succeed(&self) {
        self.lock().failing = None;
    }

    pub(super) fn health(&self, now: Duration) -> Health {
        let state = self.lock();
        let stalled = |(since, _): &(Duration, String)| now.saturating_sub(*since) > STALL_TIMEOUT;
        Health {
            topic: self.topic.clone(),
            assigned: state.assigned,
            lag: (state.assigned == Some(state.lag.len())).then(|| state.lag.values().sum()),
            stalled: state.failing.as_ref().is_some_and(stalled),
            error: state.failing.as_ref().map(|(_, error)| error.clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
