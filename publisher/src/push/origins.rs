//! Who may be sent to now: the sends that wait, by the origin that they go to.
//!
//! An origin is who answers: the webhook, or a push service. Each has a part of the sends under way at most, and one that failed
//! several times in a row only one until it answers again; so one that hangs holds up what is for it and nothing else. They have
//! turns.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use peal_proto::{Offset, Timestamp};

use crate::limits::{PUSH_FAILURES_MAX, PUSH_SENDS_AN_ORIGIN_MAX, PUSH_SENDS_MAX};

/// A send: the offset of its entry, and which of the entry's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Job {
    pub(super) entry: Offset,
    pub(super) target: usize,
}

/// What an answer says about the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there.
    Well,
    /// It did not answer, or that it can't.
    Unwell,
    /// Nothing was heard of it.
    Unknown,
}

#[derive(Debug, Default)]
struct Origin {
    waiting: BTreeSet<(Timestamp, Job)>,
    under_way: usize,
    /// In a row.
    failures: u32,
}

impl Origin {
    fn has_room(&self) -> bool {
        let most = if self.failures < PUSH_FAILURES_MAX { PUSH_SENDS_AN_ORIGIN_MAX } else { 1 };
        self.under_way < most
    }

    fn first(&self) -> Option<(Timestamp, Job)> {
        self.waiting.first().copied().filter(|_| self.has_room())
    }
}

/// The sends of one partition that wait.
#[derive(Debug, Default)]
pub(super) struct Origins {
    origins: BTreeMap<Arc<str>, Origin>,
    under_way: usize,
    /// Whose turn it was.
    last: Option<Arc<str>>,
}

impl Origins {
    /// A send waits until then.
    pub(super) fn push(&mut self, origin: &Arc<str>, at: Timestamp, job: Job) {
        self.origins.entry(Arc::clone(origin)).or_default().waiting.insert((at, job));
    }

    /// A send is waited for no longer.
    pub(super) fn remove(&mut self, origin: &Arc<str>, at: Timestamp, job: Job) {
        if let Some(waits) = self.origins.get_mut(origin) {
            waits.waiting.remove(&(at, job));
        }
        self.forget(origin);
    }

    /// The next send that may begin; it is under way from now on.
    pub(super) fn start(&mut self, now: Timestamp) -> Option<Job> {
        if self.under_way >= PUSH_SENDS_MAX {
            return None;
        }
        let is_due = |(_, origin): &(&Arc<str>, &mut Origin)| origin.first().is_some_and(|(at, _)| at <= now);
        let behind = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.origins.range_mut::<str, _>((behind, Bound::Unbounded)).find(is_due);
        let name = next.map(|(name, _)| Arc::clone(name));
        let name = name.or_else(|| self.origins.iter_mut().find(is_due).map(|(name, _)| Arc::clone(name)))?;
        let origin = self.origins.get_mut(&name)?;
        let (_, job) = origin.waiting.pop_first()?;
        origin.under_way += 1;
        self.under_way += 1;
        self.last = Some(name);
        Some(job)
    }

    /// A send is no longer under way.
    pub(super) fn end(&mut self, name: &Arc<str>, verdict: Verdict) {
        let Some(origin) = self.origins.get_mut(name) else { return };
        origin.under_way -= 1;
        self.under_way -= 1;
        match verdict {
            Verdict::Well => origin.failures = 0,
            Verdict::Unwell => origin.failures = origin.failures.saturating_add(1),
            Verdict::Unknown => {}
        }
    }

    /// Forgets an origin that nothing is for.
    pub(super) fn forget(&mut self, name: &Arc<str>) {
        if self.origins.get(name).is_some_and(|origin| origin.waiting.is_empty() && origin.under_way == 0) {
            self.origins.remove(name);
        }
    }

    /// When the next send may begin, if no answer comes before.
    pub(super) fn due(&self) -> Option<Timestamp> {
        if self.under_way >= PUSH_SENDS_MAX {
            return None;
        }
        self.origins.values().filter_map(Origin::first).map(|(at, _)| at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn filled(names: &[&str], each: u64) -> Origins {
        let mut origins = Origins::default();
        for (number, name) in (0..).zip(names) {
            for job in 0..each {
                let entry = Offset::new(number * each + job);
                origins.push(&Arc::from(*name), NOW, Job { entry, target: 0 });
            }
        }
        origins
    }

    fn started(origins: &mut Origins) -> Vec<u64> {
        std::iter::from_fn(|| origins.start(NOW)).map(|job| job.entry.get()).collect()
    }

    #[test]
    fn origins_have_turns_and_each_a_part() {
        let mut origins = filled(&["a", "b", "c"], 3);
        assert_eq!(started(&mut origins), [0, 3, 6, 1, 4, 7, 2, 5, 8]);
        let mut one = filled(&["a"], 100);
        assert_eq!(started(&mut one).len(), PUSH_SENDS_AN_ORIGIN_MAX);
        let mut many = filled(&["a", "b", "c", "d"], 100);
        assert_eq!(started(&mut many).len(), PUSH_SENDS_MAX);
        assert_eq!(many.due(), None, "an answer has to come first");
    }

    #[test]
    fn an_origin_that_failed_again_and_again_has_one_send_until_it_answers() {
        let mut origins = filled(&["a"], 100);
        let name = Arc::from("a");
        let under_way = started(&mut origins).len();
        (0..under_way).for_each(|_| origins.end(&name, Verdict::Unwell));
        assert_eq!(started(&mut origins).len(), 1);
        origins.end(&name, Verdict::Unknown);
        assert_eq!(started(&mut origins).len(), 1);
        origins.end(&name, Verdict::Well);
        assert_eq!(started(&mut origins).len(), PUSH_SENDS_AN_ORIGIN_MAX);
    }

    #[test]
    fn nothing_begins_before_its_time() {
        let mut origins = Origins::default();
        let (name, later) = (Arc::from("a"), NOW.after(std::time::Duration::from_secs(1)));
        let job = Job { entry: Offset::new(1), target: 0 };
        origins.push(&name, later, job);
        assert_eq!((origins.start(NOW), origins.due()), (None, Some(later)));
        origins.remove(&name, later, job);
        assert_eq!((origins.start(later), origins.due()), (None, None));
    }
}
