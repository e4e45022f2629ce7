//! What a run writes down while it goes on: how many posts were answered how, how long that and deliveries took, and why users
//! failed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::silence::Silence;
use crate::bench::histogram;

/// So many reasons of failures are told apart.
const REASONS_MAX: usize = 20;

/// Written by all users at once.
#[derive(Debug)]
pub(super) struct Record(Mutex<Notes>);

/// What is written.
#[derive(Debug)]
pub(super) struct Notes {
    /// Posts answered with success.
    pub(super) accepted: u64,
    /// Posts refused where that is no failure.
    pub(super) refused: u64,
    /// From a post to its answer, in microseconds.
    pub(super) answers: Histogram<u64>,
    /// From a post to a socket.
    pub(super) deliveries: Histogram<u64>,
    /// From connecting to the hello.
    pub(super) opens: Histogram<u64>,
    /// Of partitions, where everybody has a socket from the beginning.
    pub(super) silence: Silence,
    /// When the first was posted, and the last.
    pub(super) posting: Option<(Duration, Duration)>,
    /// Of the plan's own.
    pub(super) figures: BTreeMap<&'static str, Duration>,
    failures: BTreeMap<String, u64>,
}

impl Record {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Notes {
            accepted: 0,
            refused: 0,
            answers: histogram()?,
            deliveries: histogram()?,
            opens: histogram()?,
            silence: Silence::default(),
            posting: None,
            figures: BTreeMap::new(),
            failures: BTreeMap::new(),
        })))
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// A post was answered with success.
    pub(super) fn accepted(&mut self, posted: Duration, answered: Duration) {
        self.accepted += 1;
        self.answers.saturating_record(micros(answered.saturating_sub(posted)));
        let (first, last) = self.posting.unwrap_or((posted, posted));
        self.posting = Some((first.min(posted), last.max(posted)));
    }

    pub(super) fn failed(&mut self, why: String) {
        if self.failures.len() < REASONS_MAX || self.failures.contains_key(&why) {
            *self.failures.entry(why).or_default() += 1;
        } else {
            *self.failures.entry("other reasons".to_owned()).or_default() += 1;
        }
    }

    /// Why users failed, a sentence each.
    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.iter().map(|(why, count)| format!("{count} × {why}")).collect()
    }
}

/// For a histogram, which begins at 1.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1)
}
