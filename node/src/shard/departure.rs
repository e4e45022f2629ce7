//! What is left of a partition that was given up: its sockets, which are told where to go.
//!
//! They are told user after user, spread over a time, as each of them opens a connection elsewhere. Until then they hear
//! nothing; what they say is of no use to anybody any more, as the cursors they bring along say it too. All sockets of a user are
//! told at once: what the first of them acknowledges elsewhere is settled, whether the others have come or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peal_proto::{CloseCode, UserId};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::limits::DEPARTURE_TIMEOUT;
use crate::session::{Mailbox, Report};

/// How the sockets of a partition are closed.
#[derive(Debug, Clone)]
pub(crate) struct Farewell {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
    /// How long it may take to park and commit what is unsettled. What is not by then is read again by whoever comes next.
    pub(crate) within: Duration,
    /// From the first socket that is closed to the last.
    pub(crate) spread: Duration,
}

/// Sockets that are to be closed, and how, by user.
pub(super) type Departing = BTreeMap<UserId, Vec<(Arc<Mailbox>, CloseCode, String)>>;

/// Sockets without a partition.
pub(crate) struct Departure {
    reports: mpsc::Receiver<Report>,
    waiting: Departing,
    farewell: Farewell,
}

impl Departure {
    pub(super) fn new(reports: mpsc::Receiver<Report>, waiting: Departing, farewell: Farewell) -> Self {
        Self { reports, waiting, farewell }
    }

    /// Closes the sockets. Ends when all are closed: a socket holds a sender of reports as long as it is open.
    pub(crate) async fn run(self) {
        let Self { mut reports, waiting, farewell } = self;
        let begun = now();
        let pause = farewell.spread / u32::try_from(waiting.len()).unwrap_or(u32::MAX).max(1);
        let mut waiting = waiting.into_values().zip(0..);
        let mut next = waiting.next();
        loop {
            let due = next
                .as_ref()
                .map_or(begun + farewell.spread + DEPARTURE_TIMEOUT, |(_, number)| begun + pause * *number);
            match timeout_at(due, reports.recv()).await {
                // It was on its way here when the partition was given up.
                Ok(Some(Report::Opened { mailbox, .. })) => mailbox.close(farewell.code, farewell.reason.clone()),
                Ok(Some(Report::Input(_))) => {}
                Ok(None) => return,
                Err(_) => match next.take() {
                    Some((sockets, _)) => {
                        sockets.into_iter().for_each(|(mailbox, code, reason)| mailbox.close(code, reason));
                        next = waiting.next();
                    }
                    None => return,
                },
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it only paces, and decides nothing about notifications")]
fn now() -> Instant {
    Instant::now()
}
