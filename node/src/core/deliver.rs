//! How the core hands records out: to live sockets at once, to others from the inbox and then from the window, and to the
//! inbox when there is no socket, no room or no acknowledgement.

use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{CloseCode, Cursor, Fate, Offline, Offset, Position, UserId};
use peal_store::inbox::{Item, Page};

use super::ledger::{Held, Sequence, Told};
use super::session::Session;
use super::user::User;
use super::{Core, Frame, SessionId};
use crate::shedding::Shed;

impl Core {
    pub(super) fn record(&mut self, offset: Offset, held: Held) {
        let (user_id, bytes) = (held.user, held.value.len());
        let seen = self.users.get(&user_id).map_or(Position::START, |user| seen(user, &self.sessions));
        if seen.covers(offset) {
            self.ledger.pass_delivered(offset, held.event);
            return;
        }
        let Some(sequence) = self.ledger.push(offset, held) else { return };
        let user = self.users.entry(user_id).or_default();
        user.hold(sequence, bytes);
        let is_away = user.sessions.is_empty() || self.shed == Shed::Live;
        if is_away || user.window_bytes() > self.limits.session_bytes_max {
            self.give_live(user_id, sequence);
            self.park_window(user_id);
        } else {
            self.give_live(user_id, sequence);
        }
    }

    /// Gives a new record to those of its user's sockets that are live.
    fn give_live(&mut self, user: UserId, sequence: Sequence) {
        let Self { users, sessions, ledger, outbox, limits, lagging, .. } = self;
        let (Some(user), Some((offset, held))) = (users.get(&user), ledger.get(sequence)) else { return };
        let mut told = Told::Nothing;
        for id in &user.sessions {
            let Some(session) = sessions.get_mut(id).filter(|session| session.live) else { continue };
            if session.takes_more(limits.session_bytes_max) {
                told = told.max(session.give(offset, held, self.wall, outbox));
            } else if session.lag(self.now) {
                lagging.push_back((self.now, *id));
            }
        }
        if told != Told::Nothing {
            ledger.tell(sequence, told);
        }
    }

    /// Sends the user's whole window to its inbox.
    pub(super) fn park_window(&mut self, user_id: UserId) {
        let Self { users, ledger, parking, .. } = self;
        let Some(user) = users.get_mut(&user_id) else { return };
        let last = user.window_last().and_then(|last| ledger.get(last));
        let Some((end, _)) = last else { return };
        for sequence in user.park_window(end) {
            parking.push(sequence);
        }
    }

    pub(super) fn opened(&mut self, id: SessionId, user_id: UserId, cursor: Option<Cursor>) {
        let generation = self.outbox.generation();
        let ours = cursor.filter(|cursor| cursor.generation == generation);
        let position = ours.map_or(Position::START, |cursor| cursor.position);
        self.sessions.insert(id, Session::new(id, user_id, position));
        let user = self.users.entry(user_id).or_default();
        user.sessions.push(id);
        user.presented(position);
        self.wheel.insert(id, self.now);
        let start = cursor.unwrap_or(Cursor { generation, position });
        self.outbox.send(id, Frame::Hello { cursor: start });
        if start.generation != generation {
            let to = Cursor { generation, position };
            self.outbox.send(id, Frame::Gap { from: start, to, reason: GapReason::Generation });
        }
        self.replace_oldest(user_id);
        self.settle_seen(user_id);
        self.pump(id);
        if let Some((code, reason)) = self.draining.clone() {
            self.close(id, code, reason);
        }
    }

    fn replace_oldest(&mut self, user: UserId) {
        let max = self.limits.sessions_per_user_max;
        let Some(user) = self.users.get(&user).filter(|user| user.sessions.len() > max) else { return };
        let reason = format!("a user may have {max} sockets; a newer one took this one's place");
        self.close(user.sessions[0], CloseCode::Replaced, reason);
    }

    pub(super) fn acked(&mut self, id: SessionId, cursor: Cursor) {
        let Some(session) = self.sessions.get(&id) else { return };
        let user_id = session.user;
        let given = self.outbox.cursor(session.position);
        if cursor.generation != given.generation {
            let reason = format!("ack {cursor} is of another generation; the log's is {}", given.generation);
            return self.close(id, CloseCode::ProtocolError, reason);
        }
        if cursor > given {
            let reason = format!("ack {cursor} is ahead of {given}, the last that this socket was given");
            return self.close(id, CloseCode::ProtocolError, reason);
        }
        if let Some(user) = self.users.get_mut(&user_id) {
            user.acked = user.acked.max(cursor.position);
            self.settle_seen(user_id);
        }
    }

    /// Settles what the user has acknowledged and every one of its sockets was given, and trims it from the inbox.
    fn settle_seen(&mut self, user_id: UserId) {
        let Self { users, sessions, ledger, to_trim, trim_later, committer, .. } = self;
        let Some(user) = users.get_mut(&user_id) else { return };
        let seen = seen(user, sessions);
        while let Some(oldest) = user.oldest()
            && let Some((offset, held)) = ledger.get(oldest)
            && seen.covers(offset)
        {
            user.settle_oldest(held.value.len());
            ledger.settle(oldest, Fate::Delivered);
        }
        if user.trim(seen) {
            // Not before it is written down that they were parked: that they are delivered is said of those only.
            let trims = if seen <= committer.committed().position { to_trim } else { trim_later };
            trims.insert(user_id, seen);
        }
        if user.is_idle() {
            users.remove(&user_id);
        }
    }

    pub(super) fn written(&mut self, id: SessionId, bytes: usize) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.written(bytes, self.limits.session_bytes_max) || !session.live {
            self.pump(id);
        }
    }

    pub(super) fn closed(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        let Some(user) = self.users.get_mut(&session.user) else { return };
        user.sessions.retain(|open| *open != id);
        let alone = user.sessions.is_empty();
        self.settle_seen(session.user);
        if alone {
            self.park_window(session.user);
        }
    }

    /// These records are durable in the inbox.
    pub(super) fn settle_parked(&mut self, batch: &[Sequence]) {
        let kept_until = self.wall.after(self.limits.inbox_ttl);
        let mut users: Vec<UserId> = Vec::new();
        for sequence in batch {
            let Some((offset, held)) = self.ledger.get(*sequence) else { continue };
            if let Some(push_after) = self.limits.push_after {
                let cursor = self.outbox.cursor(Position::behind(offset));
                let due = self.wall.after(push_after);
                let Held { user, event, expires, collapse, .. } = held.clone();
                self.absent.push(Offline { user, cursor, event, due, expires, collapse });
            }
            let until = held.expires.map_or(kept_until, |expires| expires.min(kept_until));
            let Some((user_id, bytes)) = self.ledger.settle(*sequence, Fate::Parked { until }) else { continue };
            if let Some(user) = self.users.get_mut(&user_id) {
                user.settle_oldest(bytes);
            }
            if users.last() != Some(&user_id) {
                users.push(user_id);
            }
        }
        for user_id in users {
            let waiting = self.users.get(&user_id).map(|user| user.sessions.clone()).unwrap_or_default();
            for session in waiting {
                self.pump(session);
            }
            self.settle_seen(user_id);
        }
    }

    /// All records are read again, and the inbox is not the one that sockets were replayed from.
    pub(super) fn forget_unsettled(&mut self) {
        self.users.values_mut().for_each(User::rewind);
        self.users.retain(|_, user| !user.is_idle());
        self.sessions.values_mut().for_each(|session| session.replayed = None);
        self.pump_all(); // one may have waited for a record that was on its way to the inbox
    }

    /// Gives a socket a page of its user's inbox; `durable` is up to where it held everything that was parked.
    pub(super) fn replay(&mut self, id: SessionId, page: Page, durable: Position) {
        let Self { users, sessions, outbox, .. } = self;
        let Some(session) = sessions.get_mut(&id) else { return };
        let Some(user) = users.get_mut(&session.user) else { return };
        session.fetching = false;
        let found = !page.items.is_empty();
        for item in page.items {
            match item {
                Item::Notification { offset, replaced, value } => {
                    session.give_notification(offset, replaced, value, outbox);
                }
                Item::Gap { to, reason } => session.give_gap(to, reason, outbox),
            }
        }
        if found {
            user.found_in_inbox(session.position);
        }
        if page.end {
            session.replayed = session.replayed.max(Some(durable));
        }
        self.pump(id);
    }

    /// Brings a socket as far as it can be brought now: asks for the next page of its user's inbox, or gives it the window
    /// and makes it live.
    pub(super) fn pump(&mut self, id: SessionId) {
        if self.shed == Shed::Live {
            return;
        }
        let Self { users, sessions, ledger, outbox, limits, lagging, to_fetch, .. } = self;
        let Some(session) = sessions.get_mut(&id).filter(|session| !session.live && !session.fetching) else { return };
        let Some(user) = users.get(&session.user) else { return };
        let mut has_room = |session: &mut Session| {
            let room = session.takes_more(limits.session_bytes_max);
            if !room && session.lag(self.now) {
                lagging.push_back((self.now, id));
            }
            room
        };
        if !has_room(session) {
            return;
        }
        if session.replayed.is_none_or(|upto| upto < user.parked()) {
            // While records are on their way to the inbox a page would end before them; their answer comes back here.
            if !user.is_parking() {
                session.fetching = true;
                to_fetch.push_back(id);
            }
            return;
        }
        for sequence in user.window() {
            if !has_room(session) {
                return;
            }
            let Some((offset, held)) = ledger.get(sequence) else { continue };
            let told = session.give(offset, held, self.wall, outbox);
            if told != Told::Nothing {
                ledger.tell(sequence, told);
            }
        }
        session.live = true;
        let several = user.sessions.len() > 1;
        let user_id = session.user;
        if several {
            self.settle_seen(user_id);
        }
    }

    /// When the oldest record that no socket acknowledged is overdue; moves the search on to it.
    pub(super) fn next_overdue(&mut self) -> Option<Duration> {
        while let Some(sequence) = self.ledger.unsettled_from(self.overdue) {
            self.overdue = sequence;
            let (_, held) = self.ledger.get(sequence)?;
            if self.users.get(&held.user).is_some_and(|user| user.has_in_window(sequence)) {
                return Some(held.since + self.limits.ack_timeout);
            }
            self.overdue = sequence.next(); // on its way to the inbox
        }
        None
    }

    /// Parks the window of the user whose record is overdue.
    pub(super) fn park_overdue(&mut self) {
        if let Some((_, held)) = self.ledger.get(self.overdue) {
            let user = held.user;
            self.park_window(user);
        }
    }
}

/// Up to where a user has seen everything: acknowledged by one socket, and given to every open one.
fn seen(user: &User, sessions: &std::collections::HashMap<SessionId, Session>) -> Position {
    let given = user.sessions.iter().filter_map(|id| sessions.get(id)).map(|session| session.position).min();
    given.map_or(user.acked, |given| given.min(user.acked))
}
