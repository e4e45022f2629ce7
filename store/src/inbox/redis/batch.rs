//! A batch as it is parked: sorted by user and offset, each entry once.

use peal_proto::Timestamp;

use super::super::{Entry, Marker, Retention};

/// Batches from one sweep of what has expired to the next; it is not shown before it is swept either.
const SWEEP_BATCHES: u64 = 16;

/// Entries, and the markers they come with.
pub(super) struct Batch {
    pub(super) expected: Option<Marker>,
    pub(super) next: Marker,
    pub(super) now: Timestamp,
    entries: Vec<Entry>,
}

impl Batch {
    pub(super) fn new(expected: Option<Marker>, next: Marker, mut entries: Vec<Entry>, now: Timestamp) -> Self {
        entries.sort_by_key(|entry| (entry.user, entry.offset));
        entries.dedup_by_key(|entry| (entry.user, entry.offset));
        Self { expected, next, now, entries }
    }

    /// In their order.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries of each user.
    pub(super) fn users(&self) -> impl Iterator<Item = &[Entry]> {
        self.entries.chunk_by(|a, b| a.user == b.user)
    }

    /// Until when an entry is kept.
    pub(super) fn until(&self, entry: &Entry, retention: &Retention) -> Timestamp {
        let until_max = self.now.after(retention.ttl);
        entry.expires.map_or(until_max, |expires| expires.min(until_max))
    }

    /// Whether an entry may take another's place.
    pub(super) fn collapses(&self) -> bool {
        self.entries.iter().any(|entry| entry.collapse.is_some())
    }

    /// The collapse keys as the script takes them: the number of an entry, from 1, and its key, and so on.
    pub(super) fn collapse_keys(&self) -> String {
        let keys = (1..).zip(&self.entries).filter_map(|(number, entry)| {
            let key = entry.collapse.as_ref()?;
            Some(format!("{number} {key}"))
        });
        keys.collect::<Vec<_>>().join(" ")
    }

    /// Whether what has expired is taken away with it.
    pub(super) fn sweeps(&self) -> bool {
        self.next.get().is_multiple_of(SWEEP_BATCHES)
    }
}
