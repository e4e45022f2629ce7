//! The world around the core, held as naively as can be: an inbox that is a map, and an account that is a fate a record.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use peal_proto::frame::GapReason;
use peal_proto::{CollapseKey, Fate, Offline, Offset, Position, Receipt, Run, Timestamp, UserId};
use peal_store::inbox::{Entry, Item, Marker, Page, PageRequest};

/// A naive inbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox {
    pub(crate) marker: Option<Marker>,
    pub(crate) entries: BTreeMap<(UserId, Offset), Kept>,
}

#[derive(Debug, Clone)]
pub(crate) struct Kept {
    value: Bytes,
    pub(crate) expires: Option<Timestamp>,
    collapse: Option<CollapseKey>,
    replaced: u32,
}

impl Inbox {
    fn of_key(&self, user: UserId, key: &CollapseKey, wall: Timestamp) -> Option<Offset> {
        let same = |of: &(UserId, Offset), kept: &Kept| {
            of.0 == user && kept.collapse.as_ref() == Some(key) && !is_over(kept.expires, wall)
        };
        self.entries.iter().find(|(of, kept)| same(of, kept)).map(|((_, offset), _)| *offset)
    }

    /// Parks an entry; which offset went because of it, or was needless.
    pub(crate) fn park(&mut self, entry: Entry, wall: Timestamp) -> Option<Offset> {
        let Entry { user, offset, expires, collapse, value } = entry;
        let other = collapse.as_ref().and_then(|key| self.of_key(user, key, wall));
        if other >= Some(offset) {
            return (other > Some(offset)).then_some(offset);
        }
        let before = other.and_then(|other| self.entries.remove(&(user, other)));
        let replaced = before.map_or(0, |before| before.replaced + 1);
        self.entries.entry((user, offset)).or_insert(Kept { value, expires, collapse, replaced });
        other
    }

    pub(crate) fn page(&self, request: &PageRequest, wall: Timestamp) -> Page {
        let mut page = Page { items: Vec::new(), end: true };
        let mut bytes = 0;
        for ((user, offset), Kept { value, expires, replaced, .. }) in
            self.entries.range((request.user, request.from.next())..)
        {
            if *user != request.user {
                break;
            }
            if page.items.len() == request.entries_max || bytes >= request.bytes_max {
                page.end = false;
                break;
            }
            if is_over(*expires, wall) {
                page.items.push(Item::Gap { to: Position::behind(*offset), reason: GapReason::Expired });
                continue;
            }
            bytes += value.len();
            page.items.push(Item::Notification { offset: *offset, replaced: *replaced, value: value.clone() });
        }
        page
    }
}

pub(crate) fn is_over(expires: Option<Timestamp>, wall: Timestamp) -> bool {
    expires.is_some_and(|expires| expires <= wall)
}

/// What the receipts say, held as naively as can be.
#[derive(Debug, Default)]
pub(crate) struct Account {
    settled: Position,
    pub(crate) fates: BTreeMap<Offset, Fate>,
    /// Which of those that are parked are replaced.
    pub(crate) replaced: BTreeSet<Offset>,
    /// What was told as to be pushed, and whose.
    pub(crate) offline: BTreeMap<Offset, UserId>,
}

impl Account {
    pub(crate) fn take(&mut self, receipts: Vec<Receipt>) {
        for receipt in receipts {
            match receipt {
                Receipt::Settled { from, to, runs } => {
                    for (offset, fate) in runs.iter().flat_map(each) {
                        assert!(to.covers(offset) && !from.covers(offset), "{offset} is from {from} to {to}");
                        if self.settled.covers(offset) {
                            self.delivered(offset, fate);
                        } else {
                            let is_parked = matches!(fate, Fate::Parked { .. });
                            assert!(!is_parked || self.offline.contains_key(&offset), "{offset} would never be pushed");
                            let before = self.fates.insert(offset, fate);
                            assert_eq!(before, None, "{offset} is named twice in one receipt");
                        }
                    }
                    self.settled = self.settled.max(to);
                }
                Receipt::Replayed { runs } => {
                    for (offset, fate) in runs.iter().flat_map(each) {
                        match fate {
                            Fate::Delivered => self.delivered(offset, fate),
                            Fate::Replaced => drop(self.replaced.insert(offset)),
                            Fate::Parked { .. } | Fate::Expired => panic!("{offset} is replayed as {fate:?}"),
                        }
                    }
                }
            }
        }
    }

    /// Below `told` everything was written down, and the core was answered so or has read it.
    pub(crate) fn take_offline(&mut self, offline: Vec<Offline>, told: Position) {
        for entry in offline {
            assert!(!told.covers(entry.offset()), "{} is told again", entry.offset());
            self.offline.insert(entry.offset(), entry.user);
        }
    }

    /// Only what is known to be parked can turn out to be delivered.
    fn delivered(&mut self, offset: Offset, fate: Fate) {
        if fate == Fate::Delivered
            && let Some(parked @ Fate::Parked { .. }) = self.fates.get_mut(&offset)
        {
            *parked = fate;
        }
    }
}

fn each(run: &Run) -> impl Iterator<Item = (Offset, Fate)> {
    let fate = run.fate;
    run.offsets().map(move |offset| (offset, fate))
}
