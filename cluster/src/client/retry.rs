//! Whether, where and when to connect again. A pure machine: it draws no dice and reads no clock.
//!
//! Full jitter: each wait is drawn evenly from zero to a ceiling that doubles, so that a herd does not stay one.

use std::time::Duration;

use peal_proto::CloseCode;
use peal_proto::close::Again;

use super::closed::Closed;
use crate::limits::{BACKOFF_BASE, MOVES_MAX, STEADY, WAIT_MAX};

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Connect there at once.
    At {
        /// The owner's URL.
        url: String,
    },
    /// Locate and connect after a wait.
    After {
        /// How long.
        wait: Duration,
        /// Why the last socket is gone.
        why: String,
    },
    /// Nothing: it would end the same way.
    Never {
        /// Why.
        why: String,
    },
}

/// How often it went wrong of late.
#[derive(Debug)]
pub(super) struct Retry {
    ceiling: Duration,
    cap: Duration,
    moves: u32,
}

impl Retry {
    /// Nothing went wrong yet; no wait of our own is longer than `cap`.
    pub(super) fn new(cap: Duration) -> Self {
        Self { ceiling: BACKOFF_BASE.min(cap), cap, moves: 0 }
    }

    /// A socket ended that was open for so long.
    pub(super) fn stood(&mut self, open: Duration) {
        if open >= STEADY {
            *self = Self::new(self.cap);
        }
    }

    /// What to do after a socket closed, or could not be opened. `draw` is from 0 to below 1.
    pub(super) fn next(&mut self, closed: Closed, draw: f64) -> Next {
        match closed {
            Closed::Final { why } => Next::Never { why },
            Closed::Elsewhere { url, why } => self.moved(url, why, draw),
            Closed::Later { asked, why } => self.after(asked, why, draw),
            Closed::Broken { why } | Closed::Breach { why } => self.after(Duration::ZERO, why, draw),
            Closed::ByNode { code, reason } => self.after_code(code, &reason, draw),
        }
    }

    fn after_code(&mut self, code: u16, reason: &str, draw: f64) -> Next {
        let known = CloseCode::from_number(code);
        let name = known.map_or("closed", CloseCode::name).replace('_', " ");
        let why = if reason.is_empty() { format!("{code} {name}") } else { format!("{code} {name}: {reason}") };
        match known.map_or(Again::Jitter, CloseCode::again) {
            Again::Jitter => self.after(Duration::ZERO, why, draw),
            Again::ReasonUrl => self.moved(reason.to_owned(), why, draw),
            Again::ReasonSeconds => self.after(seconds(reason).unwrap_or_default(), why, draw),
            Again::Never => Next::Never { why },
        }
    }

    /// A reason that is no URL still says "come again".
    fn moved(&mut self, url: String, why: String, draw: f64) -> Next {
        if self.moves >= MOVES_MAX || !url.starts_with("ws://") {
            return self.after(Duration::ZERO, why, draw);
        }
        self.moves += 1;
        Next::At { url }
    }

    /// The wait that was asked for comes first, the jitter on top.
    fn after(&mut self, asked: Duration, why: String, draw: f64) -> Next {
        let wait = asked.min(WAIT_MAX) + self.ceiling.mul_f64(draw);
        self.ceiling = (self.ceiling * 2).min(self.cap);
        self.moves = 0;
        Next::After { wait, why }
    }
}

/// The seconds of a close reason.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BACKOFF_CAP;

    fn closed(code: u16, reason: &str) -> Closed {
        Closed::ByNode { code, reason: reason.to_owned() }
    }

    fn fresh() -> Retry {
        Retry::new(BACKOFF_CAP)
    }

    fn wait(next: Next) -> Duration {
        match next {
            Next::After { wait, .. } => wait,
            Next::At { url } => panic!("at once at {url}"),
            Next::Never { why } => panic!("never: {why}"),
        }
    }

    #[test]
    fn every_close_code_is_honoured_as_the_protocol_says() {
        for code in CloseCode::ALL {
            let next = fresh().next(closed(code.number(), "ws://there:1"), 0.5);
            match code.again() {
                Again::Jitter | Again::ReasonSeconds => assert_eq!(wait(next), BACKOFF_BASE / 2),
                Again::ReasonUrl => assert_eq!(next, Next::At { url: "ws://there:1".to_owned() }),
                Again::Never => assert!(matches!(next, Next::Never { .. }), "{code}"),
            }
        }
        assert_eq!(wait(fresh().next(closed(1006, ""), 0.5)), BACKOFF_BASE / 2);
    }

    #[test]
    fn the_ceiling_doubles_up_to_its_cap_and_starts_again_after_a_steady_socket() {
        let mut retry = fresh();
        let mut waits: Vec<_> = (0..8).map(|_| wait(retry.next(closed(1001, ""), 0.999_999)).as_secs()).collect();
        assert_eq!(waits, [0, 0, 1, 3, 7, 15, 29, 29]);
        retry.stood(STEADY);
        waits = (0..2).map(|_| wait(retry.next(closed(1001, ""), 0.999_999)).as_secs()).collect();
        assert_eq!(waits, [0, 0]);
    }

    #[test]
    fn the_seconds_that_were_asked_for_come_before_the_jitter() {
        assert_eq!(wait(fresh().next(closed(4429, "7"), 0.0)), Duration::from_secs(7));
        assert_eq!(wait(fresh().next(closed(4429, "soon"), 0.0)), Duration::ZERO);
        assert_eq!(wait(fresh().next(closed(4429, "4000000000"), 0.0)), WAIT_MAX);
    }

    #[test]
    fn moves_in_a_circle_end_in_a_wait() {
        let mut retry = fresh();
        for _ in 0..MOVES_MAX {
            assert!(matches!(retry.next(closed(4001, "ws://there:1"), 0.0), Next::At { .. }));
        }
        wait(retry.next(closed(4001, "ws://there:1"), 0.0));
        wait(fresh().next(closed(4001, "somewhere"), 0.0));
    }
}
