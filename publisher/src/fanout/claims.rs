//! Claims: which copies of which events count, asked in an order that cannot confuse them.
//!
//! An event stands more than once in the log when its poster sent it again. Claims that are under way together may be done in
//! any order, and were a later copy to win, its event would be told behind others that stand between the two. So a further
//! copy is not claimed before the claim of the first is answered; that it is a duplicate is then certain, and is only counted.

use std::collections::HashSet;

use peal_proto::{EventId, Offset};
use peal_store::status::Claim;

use super::agenda::Entry;
use super::work::Work;

/// Entries whose claims are asked for.
pub(super) struct Claims {
    entries: Vec<Entry>,
    /// Where those stand that are claimed now.
    now: Vec<usize>,
    /// Where further copies of the same events stand.
    then: Vec<usize>,
}

impl Claims {
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        let mut ids = HashSet::with_capacity(entries.len());
        let (mut now, mut then) = (Vec::with_capacity(entries.len()), Vec::new());
        for (place, entry) in entries.iter().enumerate() {
            let Some(work) = unclaimed(entry) else { continue };
            let is_first = ids.insert(&work.event.event);
            if is_first { now.push(place) } else { then.push(place) }
        }
        Self { entries, now, then }
    }

    /// The copies to claim next; none if all are.
    pub(super) fn next(&self) -> impl Iterator<Item = (EventId, Offset)> + '_ {
        let works = self.now.iter().filter_map(|place| unclaimed(&self.entries[*place]));
        works.map(|work| (work.id(), work.offset()))
    }

    pub(super) fn is_done(&self) -> bool {
        self.now.is_empty()
    }

    /// Whether the copies count, in the order they were named.
    pub(super) fn handle(&mut self, claims: Vec<Claim>) {
        for (place, claim) in std::mem::take(&mut self.now).into_iter().zip(claims) {
            match claim {
                Claim::Ours => {}
                Claim::Duplicate => self.entries[place] = Entry::Duplicate(self.entries[place].offset()),
            }
        }
        self.now = std::mem::take(&mut self.then);
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

/// The event of an entry that no copy has been claimed for: of one that was begun this is known.
fn unclaimed(entry: &Entry) -> Option<&Work> {
    match entry {
        Entry::Event(work) if work.part.is_none() => Some(work),
        Entry::Event(_) | Entry::Duplicate(_) | Entry::Poison(_) => None,
    }
}
