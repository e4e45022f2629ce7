//! One event on its way to its members: who is still to be told, and how far it is.

use peal_proto::{CommunityId, Event, EventId, Offset, Partition, Template, UserId};
use peal_store::log::{NewRecord, Record};
use peal_store::members::{MembersPage, ScanCursor};
use peal_store::status::Status;

use super::checkpoint::{Done, Open, Part};
use super::invalid::Invalid;
use super::slice::Slice;
use crate::members::{Call, Roll};
use crate::status;

/// An event whose members are not read yet.
pub(super) struct Work {
    pub(super) event: Event,
    /// As it stands in the log.
    pub(super) record: Record,
    /// How far it is, once begun.
    pub(super) part: Option<Part>,
}

impl Work {
    pub(super) fn id(&self) -> EventId {
        self.event.event.clone()
    }

    pub(super) fn offset(&self) -> Offset {
        self.record.offset
    }

    /// Whose events are told one after the other; an event for one user is told at once.
    pub(super) fn community(&self) -> Option<CommunityId> {
        self.event.audience.community()
    }

    pub(super) fn open(&self) -> Open {
        Open { offset: self.offset(), part: self.part }
    }

    fn told(&mut self, user: UserId) {
        let published = self.published() + 1;
        self.part = Some(Part { last: user, published });
    }

    pub(super) fn published(&self) -> u64 {
        self.part.map_or(0, |part| part.published)
    }
}

/// An event whose members are being read.
pub(super) struct Reading {
    work: Box<Work>,
    pub(super) community: CommunityId,
    pub(super) from: Option<ScanCursor>,
    roll: Roll,
    invalid: Invalid,
}

impl Reading {
    pub(super) fn new(work: Box<Work>, community: CommunityId) -> Self {
        Self { work, community, from: None, roll: Roll::default(), invalid: Invalid::default() }
    }

    /// Whether nobody is left whom it can be told to, of those who were members when it happened.
    pub(super) fn is_too_late(&self, page: &MembersPage) -> bool {
        page.none_since.is_some_and(|since| self.work.event.at < since)
    }

    /// Whether there are more pages.
    pub(super) fn add(&mut self, page: &MembersPage) -> bool {
        self.roll.add(&page.users);
        self.invalid.add(&page.invalid);
        self.from = page.next;
        page.next.is_some()
    }

    /// Who becomes a member by it.
    pub(super) fn joiner(&self) -> Option<UserId> {
        self.work.event.join.map(|join| join.user)
    }

    pub(super) fn with(mut self, joiner: UserId) -> Expansion {
        self.roll.add(&[joiner]);
        self.expand()
    }

    pub(super) fn expand(self) -> Expansion {
        Expansion::of(self.work, self.roll, self.invalid)
    }

    /// Forgets the members, to read them again later.
    pub(super) fn put_back(self) -> Box<Work> {
        self.work
    }
}

/// An event being told.
pub(super) struct Expansion {
    work: Box<Work>,
    template: Template,
    call: Call,
    invalid: Invalid,
    /// How many of those there are.
    failed: u64,
}

impl Expansion {
    /// One user is told.
    pub(super) fn to(work: Box<Work>, user: UserId) -> Self {
        let mut roll = Roll::default();
        roll.add(&[user]);
        Self::of(work, roll, Invalid::default())
    }

    /// Everybody on the roll is told but who was told already, and a joiner who does not want it.
    fn of(work: Box<Work>, mut roll: Roll, mut invalid: Invalid) -> Self {
        if let Some(join) = work.event.join.filter(|join| !join.notify_self) {
            roll.leave_out(join.user);
        }
        if let Some(part) = work.part {
            roll.leave_out_up_to(part.last);
        }
        let (template, failed) = (Template::of(&work.event), invalid.count());
        Self { work, template, call: roll.call(), invalid, failed }
    }

    /// Tells so many members, or until the slice is full or all are told; how many it were.
    pub(super) fn fill(&mut self, slice: &mut Slice, at_most: usize) -> usize {
        for told in 0..at_most {
            if slice.is_full() {
                return told;
            }
            let Some(user) = self.call.next() else { return told };
            slice.push(user, &self.template);
            self.work.told(user);
        }
        at_most
    }

    pub(super) fn is_done(&self) -> bool {
        self.call.left() == 0
    }

    pub(super) fn done(&self) -> Done {
        Done { offset: self.work.offset(), members: self.work.published() + self.failed, failed: self.failed }
    }

    /// The dead letters of members that are no users.
    pub(super) fn letters(&self, partition: Partition) -> Vec<NewRecord> {
        self.invalid.letters(&self.work, self.failed, partition)
    }

    /// What can be said of it once what was told is durable.
    pub(super) fn status(&self) -> Status {
        let (event, published, failed) = (&self.work.event, self.work.published(), self.failed);
        if self.is_done() {
            status::published(event, published + failed, failed)
        } else {
            status::expanding(event, published + self.call.left() + failed, published)
        }
    }
}

/// An event that is told in turn with others.
pub(super) enum Active {
    Reading(Reading),
    Telling(Box<Expansion>),
}

impl Active {
    fn work(&self) -> &Work {
        match self {
            Self::Reading(reading) => &reading.work,
            Self::Telling(expansion) => &expansion.work,
        }
    }

    pub(super) fn community(&self) -> Option<CommunityId> {
        self.work().community()
    }

    pub(super) fn open(&self) -> Open {
        self.work().open()
    }

    /// What can be said of it, if some of it is told.
    pub(super) fn status(&self) -> Option<Status> {
        match self {
            Self::Reading(_) => None,
            Self::Telling(expansion) => Some(expansion.status()),
        }
    }

    pub(super) fn is_telling(&self) -> bool {
        matches!(self, Self::Telling(_))
    }
}
