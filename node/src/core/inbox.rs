//! The core's dealings with the inbox: one batch to park, one request for pages and one trim at a time, what their answers
//! mean, and what to do when the inbox lost something.

use peal_proto::{Offset, Position, UserId};
use peal_store::inbox::{Entry, Marker, Page, PageRequest, Parked};

use super::ledger::Held;
use super::parking::Finding;
use super::user::User;
use super::{Core, Output, SessionId, Unavailable};

/// A request for pages on its way.
#[derive(Debug)]
pub(super) struct Fetching {
    /// Whose, and up to where everything parked was durable when it was asked for.
    sessions: Vec<(SessionId, Position)>,
    /// The marker then.
    expected: Option<Marker>,
    /// The partition was rewound since.
    stale: bool,
}

/// A trim on its way.
#[derive(Debug)]
pub(super) struct Trimming {
    trims: Vec<(UserId, Position)>,
    /// The marker when it was asked for.
    expected: Option<Marker>,
    /// The partition was rewound since.
    stale: bool,
}

impl Core {
    pub(super) fn start_park(&mut self) {
        let bytes_max = self.park_bytes_max();
        let Self { ledger, parking, limits, .. } = self;
        let expected = parking.expected();
        let bytes_of = |sequence| ledger.get(sequence).map(|(_, held)| held.value.len());
        let Some(batch) = parking.start(limits.park_batch_max, bytes_max, bytes_of) else {
            return;
        };
        let entry = |(offset, held): (Offset, &Held)| {
            let Held { user, value, expires, collapse, .. } = held.clone();
            Entry { user, offset, expires, collapse, value }
        };
        let entries = batch.iter().filter_map(|sequence| ledger.get(*sequence).map(entry)).collect();
        let marker = parking.last();
        self.outbox.put(Output::Park { expected, marker, entries });
    }

    pub(super) fn parked(&mut self, answer: Result<Parked, Unavailable>) {
        if !self.parking.answered() {
            return;
        }
        match answer {
            Ok(Parked::Done { floor, .. }) => {
                self.inbox_answered();
                let batch = self.parking.done(floor);
                self.settle_parked(&batch);
            }
            Ok(Parked::Unexpected { found }) => {
                self.inbox_answered();
                self.parking.again();
                self.marker_found(found, self.parking.expected());
            }
            Err(Unavailable) => {
                self.parking.again();
                self.inbox_failed();
            }
        }
    }

    pub(super) fn start_fetch(&mut self) {
        if self.fetching.is_some() {
            return;
        }
        let mut sessions = Vec::new();
        let mut requests = Vec::new();
        while requests.len() < self.pages_max()
            && let Some(id) = self.to_fetch.pop_front()
        {
            let Some(session) = self.sessions.get(&id) else { continue };
            let durable = self.users.get(&session.user).map(User::durable).unwrap_or_default();
            sessions.push((id, durable));
            requests.push(PageRequest {
                user: session.user,
                from: session.position,
                entries_max: self.limits.page_entries_max,
                bytes_max: self.limits.page_bytes_max,
            });
        }
        if !requests.is_empty() {
            self.fetching = Some(Fetching { sessions, expected: self.parking.expected(), stale: false });
            self.outbox.put(Output::Fetch { requests });
        }
    }

    pub(super) fn fetched(&mut self, answer: Result<(Option<Marker>, Vec<Page>), Unavailable>) {
        let Some(Fetching { sessions, expected, stale }) = self.fetching.take() else { return };
        let pages = match answer {
            Ok((found, pages)) => {
                self.inbox_answered();
                if !stale && self.marker_found(found, expected) == Finding::Whole { pages } else { Vec::new() }
            }
            Err(Unavailable) => {
                self.inbox_failed();
                Vec::new()
            }
        };
        let mut pages = pages.into_iter();
        for (id, durable) in sessions {
            match pages.next() {
                Some(page) => self.replay(id, page, durable),
                None => self.to_fetch.push_back(id),
            }
        }
    }

    /// So far it is written down what became of the records: what waited for that may be trimmed.
    pub(super) fn trim_committed(&mut self, committed: Position) {
        let Self { to_trim, trim_later, .. } = self;
        trim_later.retain(|user, upto| {
            let trim = to_trim.entry(*user).or_default();
            *trim = committed.min(*upto).max(*trim);
            committed < *upto
        });
    }

    pub(super) fn start_trim(&mut self) {
        if self.trimming.is_none() && !self.to_trim.is_empty() {
            let trims: Vec<_> = std::mem::take(&mut self.to_trim).into_iter().collect();
            self.trimming = Some(Trimming { trims: trims.clone(), expected: self.parking.expected(), stale: false });
            self.outbox.put(Output::Trim { trims });
        }
    }

    /// An inbox that lost something could not say what it was trimmed of: what is read again says it.
    pub(super) fn trimmed(&mut self, answer: Result<Option<Marker>, Unavailable>) {
        let Some(Trimming { trims, expected, stale }) = self.trimming.take() else { return };
        match answer {
            Ok(found) => {
                self.inbox_answered();
                if !stale {
                    self.marker_found(found, expected);
                }
            }
            Err(Unavailable) => {
                for (user, upto) in trims {
                    let waiting = self.to_trim.entry(user).or_insert(upto);
                    *waiting = upto.max(*waiting);
                }
                self.inbox_failed();
            }
        }
    }

    fn inbox_answered(&mut self) {
        self.retry_wait = self.limits.retry_min;
    }

    fn inbox_failed(&mut self) {
        self.retry_at = Some(self.now + self.retry_wait);
        self.retry_wait = (self.retry_wait * 2).min(self.limits.retry_max);
    }

    fn marker_found(&mut self, found: Option<Marker>, expected: Option<Marker>) -> Finding {
        let finding = self.parking.found(found, expected, self.ledger.settled());
        if let Finding::Lost(from) = finding {
            self.rewind(from);
        }
        finding
    }

    /// The inbox lost something: everything from here on is read again. Cursors hide what comes twice.
    pub(super) fn rewind(&mut self, to: Position) {
        self.parking.rewind();
        if let Some(fetching) = &mut self.fetching {
            fetching.stale = true;
        }
        if let Some(trimming) = &mut self.trimming {
            trimming.stale = true;
        }
        self.committer.hurry(self.now);
        self.outbox.put(Output::Rewind { to });
        self.ledger.rewind(to);
        self.absent.rewind(to);
        self.forget_unsettled();
    }
}
