//! One user: which of its records are unsettled, which of those are on their way to the inbox, and how far it has
//! acknowledged.
//!
//! Records are parked from the oldest on, so what is parked always lies before what is not: a replay from the inbox and
//! then the window is in order.

use std::collections::VecDeque;

use peal_proto::{Offset, Position};

use super::SessionId;
use super::ledger::Sequence;

/// A user with a socket or with unsettled records.
#[derive(Debug, Default)]
pub(super) struct User {
    /// Its sockets, the oldest first.
    pub(super) sessions: Vec<SessionId>,
    /// What any of its sockets acknowledged.
    pub(super) acked: Position,
    /// Unsettled records in order; the first `parking` of them are on their way to the inbox, the others are its window.
    unsettled: VecDeque<Sequence>,
    parking: usize,
    window_bytes: usize,
    /// Behind the last record that was sent to the inbox since the partition was taken over.
    parked: Position,
    /// Everything that was sent to the inbox up to here is durable there, or settled without it.
    durable: Position,
    /// Behind the last record known to be, or to have been, in the inbox.
    inbox_end: Position,
    /// Up to here the inbox was trimmed.
    trimmed: Position,
}

impl User {
    /// A record of this user was read.
    pub(super) fn hold(&mut self, sequence: Sequence, bytes: usize) {
        self.unsettled.push_back(sequence);
        self.window_bytes += bytes;
    }

    /// The records that go to its sockets straight from memory.
    pub(super) fn window(&self) -> impl Iterator<Item = Sequence> {
        self.unsettled.range(self.parking..).copied()
    }

    /// Whether this record is in the window, and not on its way to the inbox.
    pub(super) fn has_in_window(&self, sequence: Sequence) -> bool {
        self.unsettled.get(self.parking).is_some_and(|first| *first <= sequence)
    }

    /// Bytes of the window.
    pub(super) fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// The whole window goes to the inbox; `end` is the offset of its last record.
    pub(super) fn park_window(&mut self, end: Offset) -> impl Iterator<Item = Sequence> {
        let from = std::mem::replace(&mut self.parking, self.unsettled.len());
        self.window_bytes = 0;
        self.parked = Position::behind(end);
        self.inbox_end = self.inbox_end.max(self.parked);
        self.unsettled.range(from..).copied()
    }

    /// The last record of the window.
    pub(super) fn window_last(&self) -> Option<Sequence> {
        self.window().last()
    }

    /// The oldest unsettled record.
    pub(super) fn oldest(&self) -> Option<Sequence> {
        self.unsettled.front().copied()
    }

    /// The oldest unsettled record is settled.
    pub(super) fn settle_oldest(&mut self, bytes: usize) {
        self.unsettled.pop_front();
        if self.parking == 0 {
            self.window_bytes -= bytes;
            return;
        }
        self.parking -= 1;
        if self.parking == 0 {
            self.durable = self.parked;
        }
    }

    /// Whether records are on their way to the inbox.
    pub(super) fn is_parking(&self) -> bool {
        self.parking > 0
    }

    /// Behind the last record that was sent to the inbox.
    pub(super) fn parked(&self) -> Position {
        self.parked
    }

    /// A page that is asked for now holds everything that was parked up to here.
    pub(super) fn durable(&self) -> Position {
        self.durable
    }

    /// Entries up to here were found in the inbox.
    pub(super) fn found_in_inbox(&mut self, end: Position) {
        self.inbox_end = self.inbox_end.max(end);
    }

    /// Notes that the inbox is trimmed up to `seen`; whether there may be something to trim.
    pub(super) fn trim(&mut self, seen: Position) -> bool {
        let worthwhile = seen > self.trimmed && self.trimmed < self.inbox_end && !self.is_parking();
        if worthwhile {
            self.trimmed = seen;
        }
        worthwhile
    }

    /// A socket presented this cursor: what lies below it in the inbox, unknown to us, may be trimmed.
    pub(super) fn presented(&mut self, cursor: Position) {
        self.acked = self.acked.max(cursor);
        self.inbox_end = self.inbox_end.max(cursor);
    }

    /// Its records are read again.
    pub(super) fn rewind(&mut self) {
        self.unsettled.clear();
        self.parking = 0;
        self.window_bytes = 0;
        self.parked = Position::START;
        self.durable = Position::START;
        self.trimmed = Position::START;
    }

    /// Whether nothing is known of this user that is worth keeping.
    pub(super) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.unsettled.is_empty()
    }
}
