//! One event on its way to its members: who is still to be told, and how far it is.

use peal_proto::{Event, EventId, Offset, Template, UserId};
use peal_store::status::Status;

use super::checkpoint::{Done, Part};
use super::slice::Slice;
use crate::members::{Call, Roll};
use crate::status;

/// An event whose members are not read yet.
pub(super) struct Work {
    pub(super) event: Event,
    pub(super) offset: Offset,
    /// How far it is, once begun.
    pub(super) part: Option<Part>,
}

impl Work {
    pub(super) fn id(&self) -> EventId {
        self.event.event.clone()
    }

    fn told(&mut self, user: UserId) {
        let published = self.published() + 1;
        self.part = Some(Part { offset: self.offset, last: user, published });
    }

    fn published(&self) -> u64 {
        self.part.map_or(0, |part| part.published)
    }
}

/// An event being told.
pub(super) struct Expansion {
    work: Box<Work>,
    template: Template,
    call: Call,
}

impl Expansion {
    /// Everybody on the roll is told but who was told already, and a joiner who does not want it.
    pub(super) fn of(work: Box<Work>, mut roll: Roll) -> Self {
        if let Some(join) = work.event.join.filter(|join| !join.notify_self) {
            roll.leave_out(join.user);
        }
        if let Some(part) = work.part {
            roll.leave_out_up_to(part.last);
        }
        let template = Template::of(&work.event);
        Self { work, template, call: roll.call() }
    }

    /// Tells members until the slice is full or all are told.
    pub(super) fn fill(&mut self, slice: &mut Slice) {
        while !slice.is_full() {
            let Some(user) = self.call.next() else { return };
            slice.push(user, &self.template);
            self.work.told(user);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.call.left() == 0
    }

    /// For the checkpoint, while it is not done.
    pub(super) fn part(&self) -> Option<Part> {
        self.work.part
    }

    /// For the checkpoint, when it is done.
    pub(super) fn done(&self) -> Done {
        Done { offset: self.work.offset, members: self.work.published() }
    }

    /// What can be said of it once what was told is durable.
    pub(super) fn status(&self) -> Status {
        let (event, published) = (&self.work.event, self.work.published());
        if self.is_done() {
            status::published(event, published)
        } else {
            status::expanding(event, published + self.call.left(), published)
        }
    }
}
