//! What can be set from outside, and the only place that reads the environment.

use std::ops::Range;

/// How many schedules to run, or which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// These seeds of each family.
    Run {
        /// `None`: as many as the family has by default, from 0.
        seeds: Option<Range<u64>>,
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
        Self::Run { seeds: variable("PEAL_SIMULATION_SEEDS", "a number, or a range as 500..3000", seeds) }
    }
}

/// The first so many, or those of a range, whose end is not among them.
fn seeds(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once("..").unwrap_or(("0", text));
    Some(start.parse().ok()?..end.parse().ok()?)
}

fn number(name: &str) -> Option<u64> {
    variable(name, "a number", |text| text.parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
fn variable<T>(name: &str, what: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(read(&text).unwrap_or_else(|| panic!("{name} is {what}, not {text:?}")))
}
