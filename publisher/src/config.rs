//! What can be set about a publisher. Where the values come from is its caller's business.

use crate::fanout::FanoutLimits;
use crate::limits;

/// The settings of one publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Requests between their head and their answer; beyond it they are asked to come back.
    pub inflight_requests_max: usize,
    /// Bytes of events on their way into the log; beyond it they are asked to come back.
    pub inflight_bytes_max: usize,
    /// When a slice of notifications is full.
    pub slice: FanoutLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inflight_requests_max: limits::INFLIGHT_REQUESTS_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            slice: FanoutLimits::default(),
        }
    }
}
