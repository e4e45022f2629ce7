//! Faults of one kind: how many there were, and the first of them by name.

use std::fmt::Write;

/// Of each kind, so many are named.
const NAMED_MAX: usize = 5;

/// Faults of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    count: u64,
    named: Vec<String>,
}

impl Faults {
    /// One more.
    pub(super) fn found(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(what());
        }
    }

    /// `2 lost: a by 1; b by 2`, unless there are none.
    pub(super) fn sentence(&self, kind: &str) -> Option<String> {
        let mut sentence = format!("{} {kind}: {}", self.count, self.named.join("; "));
        if self.count > self.named.len() as u64 {
            write!(sentence, "; …").unwrap_or_default(); // a String takes every write
        }
        (self.count > 0).then_some(sentence)
    }
}
