//! What an operator may set of how a node defends itself.

use std::num::NonZeroU32;

use peal_serve::process::{MemoryMax, cgroup_max};

use crate::limits::{Limits, within_cgroup};

/// How a node defends itself against more than it can do.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "Defence"))]
pub struct DefenceSettings {
    /// Handshakes of sockets that a node takes a second; beyond it 503 with Retry-After [default: 2000]
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_HANDSHAKE_RATE", value_name = "N"))]
    pub handshake_rate: Option<NonZeroU32>,
    /// Handshakes under way at a time [default: 512]
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_HANDSHAKES_MAX", value_name = "N"))]
    pub handshakes_max: Option<NonZeroU32>,
    /// Memory of the process, as in 512MiB, or none; close to it new sockets are shed, then replays, then live delivery, and
    /// nothing is lost [default: three quarters of the limit of the control group]
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_MEMORY_MAX", value_name = "SIZE"))]
    pub memory_max: Option<MemoryMax>,
}

impl DefenceSettings {
    /// The limits with what was set.
    #[must_use]
    pub fn applied_to(&self, limits: Limits) -> Limits {
        Limits {
            handshakes_per_second: self.handshake_rate.map_or(limits.handshakes_per_second, NonZeroU32::get),
            handshakes_max: self.handshakes_max.map_or(limits.handshakes_max, NonZeroU32::get),
            memory_max: self.memory_max.map_or_else(|| cgroup_max().map(within_cgroup), |max| max.0),
            ..limits
        }
    }
}
