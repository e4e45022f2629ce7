//! How far a client has seen, which notifications are repeats, and when the next ack is due. A pure machine.
//!
//! The cluster delivers at least once; what lies at or before the cursor is a repeat. Acks are cumulative and lazy: one an
//! [`ACK_INTERVAL`], the first of them at once, or one for [`ACK_NOTIFICATIONS_MAX`] notifications.

use std::time::Duration;

use peal_proto::Cursor;

use crate::limits::{ACK_INTERVAL, ACK_NOTIFICATIONS_MAX};

/// Where a notification or gap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind everything seen.
    New,
    /// Seen before.
    Repeat,
}

/// One client's progress, over all its sockets.
#[derive(Debug)]
pub(super) struct Progress {
    cursor: Option<Cursor>,
    repeats: u64,
    /// The highest cursor received on this socket: a node refuses an ack of what it never sent there.
    received: Option<Cursor>,
    unacked: u32,
    ack_due: Option<Duration>,
    ack_not_before: Duration,
}

impl Progress {
    pub(super) fn new(cursor: Option<Cursor>) -> Self {
        Self { cursor, repeats: 0, received: None, unacked: 0, ack_due: None, ack_not_before: Duration::ZERO }
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    pub(super) fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Looks at what came; [`Progress::seen`] follows once it was shown, if it is new.
    pub(super) fn place(&mut self, cursor: Cursor) -> Place {
        if self.cursor.is_none_or(|seen| cursor > seen) {
            return Place::New;
        }
        self.repeats += 1;
        Place::Repeat
    }

    /// The cluster has another log than the one this client has seen: what follows is counted from `to`, be it lower.
    pub(super) fn another_log(&mut self, now: Duration, to: Cursor) {
        self.cursor = Some(to);
        self.received = None;
        self.seen(now, to);
    }

    /// Everything up to `cursor` was shown. After a quiet interval the ack is due at once.
    pub(super) fn seen(&mut self, now: Duration, cursor: Cursor) {
        self.cursor = self.cursor.max(Some(cursor));
        self.received = self.received.max(Some(cursor));
        self.unacked += 1;
        let full = self.unacked >= ACK_NOTIFICATIONS_MAX;
        let due = self.ack_due.unwrap_or_else(|| self.ack_not_before.max(now));
        self.ack_due = Some(if full { now } else { due });
    }

    /// When [`Progress::take_ack`] should be called; `None` when there is nothing to acknowledge.
    pub(super) fn ack_due(&self) -> Option<Duration> {
        self.ack_due
    }

    /// The cursor to acknowledge now, if any is owed.
    pub(super) fn take_ack(&mut self, now: Duration) -> Option<Cursor> {
        self.ack_due.take()?;
        self.unacked = 0;
        self.ack_not_before = now + ACK_INTERVAL;
        self.received
    }

    /// What was not acknowledged, the next socket's cursor says.
    pub(super) fn socket_ended(&mut self) {
        self.received = None;
        self.unacked = 0;
        self.ack_due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(position: u64) -> Cursor {
        format!("3.{position}").parse().unwrap()
    }

    fn see(progress: &mut Progress, now: Duration, position: u64) -> Place {
        let place = progress.place(at(position));
        progress.seen(now, at(position));
        place
    }

    #[test]
    fn what_was_seen_is_a_repeat_on_the_next_socket_too() {
        let mut progress = Progress::new(None);
        assert_eq!(see(&mut progress, SECOND, 5), Place::New);
        assert_eq!(see(&mut progress, SECOND, 5), Place::Repeat);
        progress.socket_ended();
        assert_eq!(see(&mut progress, SECOND, 4), Place::Repeat);
        assert_eq!(see(&mut progress, SECOND, 6), Place::New);
        assert_eq!((progress.repeats(), progress.cursor()), (2, Some(at(6))));
    }

    #[test]
    fn in_another_log_nothing_was_seen_yet_even_if_its_generation_is_lower() {
        let mut progress = Progress::new(Some("9.500".parse().unwrap()));
        progress.another_log(SECOND, at(0));
        assert_eq!(progress.cursor(), Some(at(0)));
        assert_eq!(see(&mut progress, SECOND, 1), Place::New);
        assert_eq!(progress.take_ack(SECOND), Some(at(1)));
    }

    #[test]
    fn what_the_handler_did_not_return_from_is_not_seen() {
        let mut progress = Progress::new(Some(at(5)));
        assert_eq!(progress.place(at(6)), Place::New);
        progress.socket_ended();
        assert_eq!(progress.place(at(6)), Place::New);
    }

    #[test]
    fn an_ack_is_due_at_once_after_a_quiet_interval_and_else_at_its_end() {
        let mut progress = Progress::new(None);
        let mut acked = Vec::new();
        for (position, now) in (1..).zip((0..1_000).step_by(20).map(Duration::from_millis)) {
            see(&mut progress, now, position);
            if progress.ack_due() <= Some(now) && progress.take_ack(now).is_some() {
                acked.push(now.as_millis());
            }
        }
        assert_eq!(acked, [0, 260, 520, 780]);
        let quiet = 9 * SECOND;
        see(&mut progress, quiet, 900);
        assert_eq!(progress.take_ack(quiet), Some(at(900)));
        see(&mut progress, quiet, 901);
        assert_eq!(progress.ack_due(), Some(quiet + ACK_INTERVAL));
    }

    #[test]
    fn sixty_four_do_not_wait_for_the_pause_to_end() {
        let mut progress = Progress::new(None);
        see(&mut progress, 5 * SECOND, 1);
        assert_eq!(progress.ack_due(), Some(5 * SECOND));
        assert_eq!(progress.take_ack(5 * SECOND), Some(at(1)));
        assert_eq!(progress.take_ack(5 * SECOND), None);
        for position in 2..=ACK_NOTIFICATIONS_MAX.into() {
            see(&mut progress, 5 * SECOND, position);
        }
        assert_eq!(progress.ack_due(), Some(5 * SECOND + ACK_INTERVAL));
        see(&mut progress, 5 * SECOND, 65);
        assert_eq!(progress.ack_due(), Some(5 * SECOND));
        assert_eq!(progress.take_ack(5 * SECOND), Some(at(65)));
    }

    #[test]
    fn a_repeat_is_acknowledged_as_what_this_socket_gave() {
        let mut progress = Progress::new(Some(at(9)));
        see(&mut progress, SECOND, 7);
        assert_eq!(progress.take_ack(SECOND), Some(at(7)));
        assert_eq!(progress.cursor(), Some(at(9)));
    }
}
