//! How busy the parts of a run are: the generator itself, and the processes that `--observe` names.

use std::io;
use std::time::Duration;

use peal_serve::Clock;

use crate::bench::process::Observed;
use crate::config::load::Observe;

/// How this process is called among them.
const GENERATOR: &str = "generator";

/// What is looked at.
pub(super) struct Parts {
    clock: Clock,
    parts: Vec<(String, Observed)>,
}

/// CPU time of each part until now, or within a span.
pub(super) struct Busy {
    at: Duration,
    spent: Vec<(String, Duration)>,
}

impl Parts {
    pub(super) fn new(clock: Clock, observe: &[Observe]) -> Self {
        let own = (GENERATOR.to_owned(), Observed::new(&[std::process::id()]));
        let others = observe.iter().map(|part| (part.name.clone(), Observed::new(&[part.id])));
        Self { clock, parts: std::iter::once(own).chain(others).collect() }
    }

    pub(super) fn busy(&self) -> io::Result<Busy> {
        let spent =
            self.parts.iter().map(|(name, part)| Ok((name.clone(), part.cpu_time().map_err(|e| of(name, &e))?)));
        Ok(Busy { at: self.clock.uptime(), spent: spent.collect::<io::Result<_>>()? })
    }

    /// Resident bytes of each.
    pub(super) fn resident_bytes(&self) -> io::Result<Vec<(String, u64)>> {
        let resident =
            self.parts.iter().map(|(name, part)| Ok((name.clone(), part.resident_bytes().map_err(|e| of(name, &e))?)));
        resident.collect()
    }
}

fn of(part: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{part}: {error}"))
}

impl Busy {
    pub(super) fn since(&self, before: &Self) -> Self {
        let spent = self.spent.iter().zip(&before.spent);
        let spent = spent.map(|((name, now), (_, before))| (name.clone(), now.saturating_sub(*before)));
        Self { at: self.at.saturating_sub(before.at), spent: spent.collect() }
    }

    /// How many cores each took on average, the busiest first.
    pub(super) fn cores(&self) -> Vec<(String, f64)> {
        let span = self.at.as_secs_f64().max(f64::EPSILON);
        let mut cores: Vec<_> =
            self.spent.iter().map(|(name, time)| (name.clone(), time.as_secs_f64() / span)).collect();
        cores.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        cores
    }

    /// CPU time of each.
    pub(super) fn spent(&self) -> &[(String, Duration)] {
        &self.spent
    }
}
