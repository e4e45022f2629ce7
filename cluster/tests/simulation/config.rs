//! What can be set from outside, and the only place that reads the environment.

/// How many schedules to run, or which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// So many seeds of each family.
    Run {
        /// `None`: as many as the family has by default.
        seeds: Option<u64>,
    },
    /// This seed, with a trace.
    Replay(u64),
    /// This seed, again and again with fewer steps, as long as it fails.
    Shorten(u64),
}

impl Task {
    /// As the environment says.
    pub(crate) fn from_environment() -> Self {
        if let Some(seed) = number("PEAL_SIMULATION_SHORTEN") {
            return Self::Shorten(seed);
        }
        if let Some(seed) = number("PEAL_SIMULATION_SEED") {
            return Self::Replay(seed);
        }
        Self::Run { seeds: number("PEAL_SIMULATION_SEEDS") }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
