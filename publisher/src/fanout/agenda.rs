//! What was read and is not begun: which event is next, and which are open.
//!
//! Events of one community are told one after the other. So an event whose community is being told is held back, and those
//! behind it go ahead; as they do of one whose members were lost, until they are put back. No IO; how an event is told is the [machine's](super::machine) business.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use peal_proto::{CommunityId, Offset, Position};
use peal_store::log::Record;

use super::checkpoint::{Checkpoint, Open, Part};
use super::letter::Letter;
use super::work::Work;

/// A record that was read.
pub(super) enum Entry {
    /// To be told.
    Event(Box<Work>),
    /// Another copy of an event.
    Duplicate(Offset),
    /// No event.
    Poison(Letter),
}

impl Entry {
    pub(super) fn offset(&self) -> Offset {
        match self {
            Self::Event(work) => work.offset(),
            Self::Duplicate(offset) => *offset,
            Self::Poison(letter) => letter.offset,
        }
    }

    fn community(&self) -> Option<CommunityId> {
        match self {
            Self::Event(work) => work.community(),
            Self::Duplicate(_) | Self::Poison(_) => None,
        }
    }
}

/// An event that waits, at least for those before it of its community.
struct Held {
    work: Box<Work>,
    why: Why,
}

/// What an event waits for beside others of its community.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nothing.
    Turn,
    /// It has many members: until fewer such events are being told.
    Large,
    /// Its members were lost: until then, when it is looked whether they were put back.
    Missing { again_at: Duration },
}

/// What is to be told, in the order of the log as far as that matters.
#[derive(Default)]
pub(super) struct Agenda {
    entries: VecDeque<Entry>,
    held: VecDeque<Held>,
    held_max: usize,
    /// Behind everything that was begun or held back.
    reach: Position,
    /// Open at the start, and not come to since.
    found: BTreeMap<Offset, Option<Part>>,
}

/// What is being told.
pub(super) struct Busy<'a> {
    pub(super) communities: &'a [CommunityId],
    /// No more events with many members.
    pub(super) is_large_full: bool,
    /// What time it is.
    pub(super) now: Duration,
}

impl Busy<'_> {
    fn lets(&self, why: Why) -> bool {
        match why {
            Why::Turn => true,
            Why::Large => !self.is_large_full,
            Why::Missing { again_at } => again_at <= self.now,
        }
    }
}

impl Agenda {
    pub(super) fn of(checkpoint: &Checkpoint, held_max: usize) -> Self {
        let found = checkpoint.open.iter().map(|open| (open.offset, open.part)).collect();
        Self { held_max, reach: checkpoint.reach, found, ..Self::default() }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// Forgets what was open at the start and should be among these records, which are read up to here: it was held for
    /// longer than the log keeps records.
    pub(super) fn lose_before(&mut self, records: &[Record], read_to: Position) {
        self.found.retain(|offset, _| {
            let is_there = |entry: &Entry| entry.offset() == *offset;
            let is_read = records.binary_search_by_key(offset, |record| record.offset).is_ok();
            let is_lost = read_to.covers(*offset) && !is_read && !self.entries.iter().any(is_there);
            if is_lost {
                tracing::error!(%offset, "an event was not told to everybody before the log's retention took it");
            }
            !is_lost
        });
    }

    /// Nothing is left but what is held back.
    pub(super) fn is_read(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.held.is_empty()
    }

    pub(super) fn reach(&self) -> Position {
        self.reach
    }

    /// Whether the event at this offset was open at the start, and how far it is.
    pub(super) fn found(&self, offset: Offset) -> Option<Option<Part>> {
        self.found.get(&offset).copied()
    }

    /// Holds back an event that could not be told when its turn had come.
    pub(super) fn hold(&mut self, work: Box<Work>, why: Why) {
        let place = self.held.partition_point(|held| held.work.offset() < work.offset());
        self.held.insert(place, Held { work, why });
    }

    /// When it is looked again whether lost members were put back.
    pub(super) fn again_at(&self) -> Option<Duration> {
        let again_at = |held: &Held| match held.why {
            Why::Turn | Why::Large => None,
            Why::Missing { again_at } => Some(again_at),
        };
        self.held.iter().filter_map(again_at).min()
    }

    /// The next that can begin.
    pub(super) fn next(&mut self, busy: &Busy<'_>) -> Option<Entry> {
        let mut waiting = busy.communities.to_vec();
        for place in 0..self.held.len() {
            let held = &self.held[place];
            let community = held.work.community();
            let waits = community.is_some_and(|community| waiting.contains(&community));
            if !waits && busy.lets(held.why) {
                return self.held.remove(place).map(|held| Entry::Event(held.work));
            }
            waiting.extend(community);
        }
        while let Some(entry) = self.entries.front() {
            let waits = entry.community().is_some_and(|community| waiting.contains(&community));
            // One that can begin may have to be held back all the same: there is room for it beyond the others.
            let held_max = if waits { self.held_max } else { self.held_max + 1 };
            if entry.community().is_some() && self.held.len() >= held_max {
                return None;
            }
            let entry = self.entries.pop_front()?;
            self.reach = self.reach.max(Position::behind(entry.offset()));
            self.found.remove(&entry.offset());
            match entry {
                Entry::Event(work) if waits => self.held.push_back(Held { work, why: Why::Turn }),
                entry @ (Entry::Event(_) | Entry::Duplicate(_) | Entry::Poison(_)) => return Some(entry),
            }
        }
        None
    }

    /// What is open of this.
    pub(super) fn open(&self) -> impl Iterator<Item = Open> + '_ {
        let held = self.held.iter().map(|held| held.work.open());
        held.chain(self.found.iter().map(|(offset, part)| Open { offset: *offset, part: *part }))
    }
}
