//! One socket as the partition sees it: how far it was given the user's records, and how much of that it has written.
//!
//! A session catches up, first from the inbox and then from the user's window, and is live once nothing is left; one that
//! does not write falls back to catching up. Its bytes are bounded; nobody waits for it.

use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{Cursor, Generation, Offset, Position, Timestamp, UserId};

use super::ledger::{Held, Told};
use super::{Frame, Output, SessionId};

/// A socket of a user.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) user: UserId,
    /// Everything below was given to the socket.
    pub(super) position: Position,
    /// Everything that was parked up to here was given to it; `None` until the inbox was read once to its end.
    pub(super) replayed: Option<Position>,
    /// A page was asked for.
    pub(super) fetching: bool,
    /// New records go to the socket at once.
    pub(super) live: bool,
    /// Bytes given to the socket and not reported as written.
    queued: usize,
    /// Since when it has been over its budget.
    lagging: Option<Duration>,
}

impl Session {
    pub(super) fn new(id: SessionId, user: UserId, position: Position) -> Self {
        Self { id, user, position, replayed: None, fetching: false, live: false, queued: 0, lagging: None }
    }

    /// Whether the socket takes more: less than its budget is queued, or half of it once it was over.
    pub(super) fn takes_more(&self, bytes_max: usize) -> bool {
        if self.lagging.is_some() { self.queued <= bytes_max / 2 } else { self.queued <= bytes_max }
    }

    /// New records go to the inbox, and from there to the socket.
    pub(super) fn fall_back(&mut self) {
        self.live = false;
    }

    /// The socket is over its budget: it catches up later. Whether it was not before.
    pub(super) fn lag(&mut self, now: Duration) -> bool {
        self.live = false;
        let fresh = self.lagging.is_none();
        self.lagging.get_or_insert(now);
        fresh
    }

    /// Since when it has been over its budget.
    pub(super) fn lagging(&self) -> Option<Duration> {
        self.lagging
    }

    /// The socket has written this many bytes; whether that ended a lag.
    pub(super) fn written(&mut self, bytes: usize, bytes_max: usize) -> bool {
        self.queued = self.queued.saturating_sub(bytes);
        let caught_up = self.lagging.is_some() && self.queued <= bytes_max / 2;
        if caught_up {
            self.lagging = None;
        }
        caught_up
    }

    /// Gives a record to the socket unless it had it, an expired one as a gap. What that tells of one that may expire.
    pub(super) fn give(&mut self, offset: Offset, held: &Held, wall: Timestamp, to: &mut Outbox) -> Told {
        let told = match held.expires {
            _ if self.position.covers(offset) => return Told::Nothing,
            Some(expires) if expires <= wall => Told::Gap,
            Some(_) => Told::Notification,
            None => Told::Nothing,
        };
        if told == Told::Gap {
            self.give_gap(Position::behind(offset), GapReason::Expired, to);
        } else {
            self.give_notification(offset, 0, held.value.clone(), to);
        }
        told
    }

    /// Gives a notification, which stands for so many others, to the socket unless it had it.
    pub(super) fn give_notification(&mut self, offset: Offset, replaced: u32, value: bytes::Bytes, to: &mut Outbox) {
        if self.position.covers(offset) {
            return;
        }
        self.position = Position::behind(offset);
        self.queued += value.len();
        to.send(self.id, Frame::Notification { cursor: to.cursor(self.position), replaced, value });
    }

    /// Tells the socket that what lies between its position and `end` could not be kept.
    pub(super) fn give_gap(&mut self, end: Position, reason: GapReason, to: &mut Outbox) {
        if end <= self.position {
            return;
        }
        let from = to.cursor(std::mem::replace(&mut self.position, end));
        to.send(self.id, Frame::Gap { from, to: to.cursor(end), reason });
    }
}

/// Where outputs are put, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    generation: Generation,
    outputs: Vec<Output>,
}

impl Outbox {
    pub(super) fn new(generation: Generation) -> Self {
        Self { generation, outputs: Vec::new() }
    }

    pub(super) fn put(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(super) fn send(&mut self, session: SessionId, frame: Frame) {
        self.put(Output::Send { session, frame });
    }

    pub(super) fn cursor(&self, position: Position) -> Cursor {
        Cursor { generation: self.generation, position }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) fn drain(&mut self) -> std::vec::Drain<'_, Output> {
        self.outputs.drain(..)
    }
}
