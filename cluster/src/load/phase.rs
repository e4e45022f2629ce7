//! When users arrive: a phase of a plan, and how many of its users are due after a time.

use std::time::Duration;

use serde::Deserialize;

/// A phase of this name is there to find the limit: what is refused in it is counted, and no failure.
const LIMIT: &str = "limit";

/// A phase as Artillery has it: at a rate, from one rate to another, or a number over its duration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct Phase {
    name: Option<String>,
    duration: Option<u32>,
    arrival_rate: Option<u32>,
    ramp_to: Option<u32>,
    arrival_count: Option<u32>,
}

impl Phase {
    /// What another says goes over what this one says.
    pub(super) fn overlay(&mut self, over: Self) {
        let Self { name, duration, arrival_rate, ramp_to, arrival_count } = over;
        self.name = name.or_else(|| self.name.take());
        self.duration = duration.or(self.duration);
        self.arrival_rate = arrival_rate.or(self.arrival_rate);
        self.ramp_to = ramp_to.or(self.ramp_to);
        self.arrival_count = arrival_count.or(self.arrival_count);
    }

    /// Whether it says for how long, and how many.
    pub(super) fn is_whole(&self) -> bool {
        self.duration.is_some_and(|seconds| seconds > 0) && self.arrival_rate.or(self.arrival_count).is_some()
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("a phase")
    }

    pub(super) fn is_limit(&self) -> bool {
        self.name.as_deref() == Some(LIMIT)
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.duration.unwrap_or_default().into())
    }

    /// How many arrive in all.
    pub(super) fn arrivals(&self) -> u64 {
        self.due(self.duration())
    }

    /// How many have arrived by then.
    pub(super) fn due(&self, elapsed: Duration) -> u64 {
        let span = self.duration().as_micros();
        let at = elapsed.as_micros().min(span);
        if let Some(count) = self.arrival_count {
            return whole(u128::from(count) * at, span);
        }
        let from = u128::from(self.arrival_rate.unwrap_or_default());
        let to = self.ramp_to.map_or(from, u128::from);
        // The area under the rate, which goes from one to the other in a straight line.
        let level = whole(from * at, 1_000_000);
        let slope = |rise: u128| whole(rise * at * at, 2_000_000 * span);
        if to >= from { level + slope(to - from) } else { level - slope(from - to) }
    }
}

fn whole(part: u128, of: u128) -> u64 {
    part.checked_div(of).and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(phase: &Phase, seconds: u64) -> u64 {
        phase.due(Duration::from_secs(seconds))
    }

    #[test]
    fn users_arrive_at_a_rate_on_a_ramp_or_by_number() {
        let rate = Phase { duration: Some(5), arrival_rate: Some(1_000), ..Phase::default() };
        assert_eq!([0, 1, 5, 9].map(|at| due(&rate, at)), [0, 1_000, 5_000, 5_000]);
        let up = Phase { ramp_to: Some(3_000), ..rate.clone() };
        assert_eq!([0, 1, 5].map(|at| due(&up, at)), [0, 1_200, 10_000]);
        let down = Phase { ramp_to: Some(0), ..rate };
        assert_eq!([0, 1, 5].map(|at| due(&down, at)), [0, 900, 2_500]);
        let number = Phase { duration: Some(10), arrival_count: Some(30), ..Phase::default() };
        assert_eq!([0, 1, 10].map(|at| due(&number, at)), [0, 3, 30]);
        assert_eq!(Phase::default().arrivals(), 0);
    }
}
