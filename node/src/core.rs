//! The partition core: what happens to every record of one partition until it is settled. Pure.
//!
//! A record is *settled* when its user acknowledged it, or when it is durable in its user's inbox. The position committed
//! is the lowest not settled; nothing else ever commits. [`Core::handle`] takes one input and the time, and puts what is to
//! be done into outputs; it does no IO, reads no clock and draws no dice, so the same code runs under the simulator.
//!
//! This file composes the machines beside it: the [`ledger`] of unsettled records, each [`user`] and [`session`], the
//! [`parking`] of records in the inbox, the [`commit`], and the heartbeat's [`wheel`]. How records are handed out is in
//! [`deliver`].

pub mod commit;
mod deliver;
mod ledger;
mod parking;
mod session;
mod user;
mod wheel;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use peal_proto::frame::GapReason;
use peal_proto::{CloseCode, Cursor, Generation, Offset, Position, Timestamp, UserId};
use peal_store::inbox::{Entry, Marker, Page, PageRequest, Parked};

use crate::limits::Limits;
use commit::{Committer, Settled};
use ledger::{Ledger, Sequence};
use parking::{Finding, Parking};
use session::{Outbox, Session};
use user::User;
use wheel::Wheel;

/// A socket, by a number that is never given twice by one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// The session of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A store did not answer, or answered that it can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Everything that can happen to a partition. A list of these replays a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A record was read.
    Record {
        /// Where it stands.
        offset: Offset,
        /// For whom.
        user: UserId,
        /// When it is no longer worth delivering.
        expires: Option<Timestamp>,
        /// The notification.
        value: Bytes,
    },
    /// A record was read that needs no delivery.
    Skipped {
        /// Where it stands.
        offset: Offset,
    },
    /// A socket was opened.
    Opened {
        /// Which.
        session: SessionId,
        /// Whose.
        user: UserId,
        /// Up to where its client has seen everything.
        cursor: Option<Cursor>,
    },
    /// A client acknowledged.
    Acked {
        /// At which socket.
        session: SessionId,
        /// Everything up to here.
        cursor: Cursor,
    },
    /// A socket wrote some of what it was given.
    Written {
        /// Which.
        session: SessionId,
        /// Bytes of notifications.
        bytes: usize,
    },
    /// A socket is gone.
    Closed {
        /// Which.
        session: SessionId,
    },
    /// The answer to [`Output::Park`].
    Parked(Result<Parked, Unavailable>),
    /// The answer to [`Output::Fetch`]: the inbox's marker, read after the pages, and the pages.
    Fetched(Result<(Option<Marker>, Vec<Page>), Unavailable>),
    /// The answer to [`Output::Trim`].
    Trimmed(Result<(), Unavailable>),
    /// The answer to [`Output::Commit`].
    Committed(Result<(), Unavailable>),
    /// The node is leaving: close the sockets, park what is left, commit.
    Drain,
    /// Time has passed.
    Tick,
}

/// What a socket is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first frame.
    Hello {
        /// Where the socket starts.
        cursor: Cursor,
    },
    /// A notification.
    Notification {
        /// Where the client is behind it.
        cursor: Cursor,
        /// The record's value.
        value: Bytes,
    },
    /// What could not be kept.
    Gap {
        /// Where the client was.
        from: Cursor,
        /// Where it is behind the gap.
        to: Cursor,
        /// Why.
        reason: GapReason,
    },
}

/// What a partition wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Give this to the socket.
    Send {
        /// Which.
        session: SessionId,
        /// What.
        frame: Frame,
    },
    /// Ping the socket, and close it if it has been silent since the last ping.
    Ping {
        /// Which.
        session: SessionId,
    },
    /// Close the socket; the core has forgotten it.
    Close {
        /// Which.
        session: SessionId,
        /// With which code.
        code: CloseCode,
        /// In words for a person.
        reason: String,
    },
    /// Park these; one at a time.
    Park {
        /// The marker that the inbox must have.
        expected: Option<Marker>,
        /// The marker that it has afterwards.
        marker: Marker,
        /// In order of offsets for each user.
        entries: Vec<Entry>,
    },
    /// Read these pages, then the marker; one at a time.
    Fetch {
        /// Answered in this order.
        requests: Vec<PageRequest>,
    },
    /// Drop these users' entries below the positions; one at a time.
    Trim {
        /// By user.
        trims: Vec<(UserId, Position)>,
    },
    /// Commit this; one at a time.
    Commit {
        /// How far.
        settled: Settled,
    },
    /// Read the log again from here: what was read from it and not answered is of no use.
    Rewind {
        /// The first position to read.
        to: Position,
    },
}

/// A request for pages on its way.
#[derive(Debug)]
struct Fetching {
    /// Whose, and up to where everything parked was durable when it was asked for.
    sessions: Vec<(SessionId, Position)>,
    /// The marker then.
    expected: Option<Marker>,
    /// The partition was rewound since.
    stale: bool,
}

/// One partition's records, users and sockets.
#[derive(Debug)]
pub struct Core {
    limits: Limits,
    ledger: Ledger,
    users: HashMap<UserId, User>,
    sessions: HashMap<SessionId, Session>,
    parking: Parking,
    committer: Committer,
    wheel: Wheel,
    /// Where the search for overdue records goes on.
    overdue: Sequence,
    /// Sockets in the order in which they went over their budget.
    lagging: VecDeque<(Duration, SessionId)>,
    /// Sockets that wait for a page.
    to_fetch: VecDeque<SessionId>,
    fetching: Option<Fetching>,
    to_trim: BTreeMap<UserId, Position>,
    trimming: Option<Vec<(UserId, Position)>>,
    /// The inbox did not answer: nothing is asked of it before then.
    retry_at: Option<Duration>,
    retry_wait: Duration,
    draining: bool,
    takeover: u32,
    outbox: Outbox,
    now: Duration,
    wall: Timestamp,
}

impl Core {
    /// Takes a partition over: `settled` is what was committed, `found` the marker that the inbox has now. The partition is
    /// to be read from [`Core::read_position`] on.
    #[must_use]
    pub fn new(generation: Generation, limits: Limits, settled: Settled, found: Option<Marker>) -> Self {
        let takeover = settled.takeover + 1;
        let mut parking = Parking::new(takeover, settled.marker, settled.floor);
        let finding = parking.found(found, settled.marker, settled.position);
        let mut core = Self {
            ledger: Ledger::new(settled.position),
            users: HashMap::new(),
            sessions: HashMap::new(),
            parking,
            committer: Committer::new(settled, limits.commit_interval),
            wheel: Wheel::new(limits.heartbeat),
            overdue: Sequence::START,
            lagging: VecDeque::new(),
            to_fetch: VecDeque::new(),
            fetching: None,
            to_trim: BTreeMap::new(),
            trimming: None,
            retry_at: None,
            retry_wait: limits.retry_min,
            draining: false,
            takeover,
            outbox: Outbox::new(generation),
            now: Duration::ZERO,
            wall: Timestamp::from_millis(0),
            limits,
        };
        if let Finding::Lost(from) = finding {
            core.rewind(from);
            core.outbox.drain(); // nothing reads yet; the caller starts at `read_position`
        }
        core.committer.hurry(core.now);
        core
    }

    /// Takes one input; `now` is the node's monotonic clock, `wall` the time of day, by which notifications expire.
    pub fn handle(&mut self, now: Duration, wall: Timestamp, input: Input) {
        self.now = now;
        self.wall = wall;
        match input {
            Input::Record { offset, user, expires, value } => self.record(offset, user, expires, value),
            Input::Skipped { offset } => self.ledger.pass(offset),
            Input::Opened { session, user, cursor } => self.opened(session, user, cursor),
            Input::Acked { session, cursor } => self.acked(session, cursor),
            Input::Written { session, bytes } => self.written(session, bytes),
            Input::Closed { session } => self.closed(session),
            Input::Parked(answer) => self.parked(answer),
            Input::Fetched(answer) => self.fetched(answer),
            Input::Trimmed(answer) => self.trimmed(answer),
            Input::Committed(answer) => self.committed(answer),
            Input::Drain => self.drain(),
            Input::Tick => self.tick(),
        }
        self.committer.note(self.settled(), now);
    }

    /// What is to be done now, in order. Starts whatever waited for one of its kind to be answered.
    pub fn outputs(&mut self) -> std::vec::Drain<'_, Output> {
        if self.retry_at.is_none_or(|at| at <= self.now) {
            self.retry_at = None;
            self.start_park();
            self.start_fetch();
            self.start_trim();
        }
        if let Some(settled) = self.committer.start(self.settled(), self.now) {
            self.outbox.put(Output::Commit { settled });
        }
        self.outbox.drain()
    }

    /// Whether the partition is to be read on; if not, its window is full.
    #[must_use]
    pub fn takes_records(&self) -> bool {
        let room = self.ledger.bytes() < self.limits.window_bytes_max;
        room && self.ledger.len() < self.limits.window_records_max && !self.draining
    }

    /// Behind the last record that was read.
    #[must_use]
    pub fn read_position(&self) -> Position {
        self.ledger.read()
    }

    /// When a [`Input::Tick`] is due at the latest; `None` when nothing waits for time to pass.
    pub fn due(&mut self) -> Option<Duration> {
        let overdue = self.next_overdue();
        let lagging = self.lagging.front().map(|(since, _)| *since + self.limits.slow_timeout);
        [overdue, lagging, self.wheel.due(), self.committer.due(), self.retry_at].into_iter().flatten().min()
    }

    /// After [`Input::Drain`]: whether every socket is closed, every record settled and all of it committed.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let settled = self.settled();
        self.draining && settled.position == self.ledger.read() && self.committer.committed() == settled
    }

    /// Unsettled bytes, for the gauge.
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        self.ledger.bytes()
    }

    fn settled(&self) -> Settled {
        Settled {
            position: self.ledger.settled(),
            marker: self.parking.expected(),
            floor: self.parking.floor(),
            takeover: self.takeover,
        }
    }

    fn start_park(&mut self) {
        let Self { ledger, parking, limits, .. } = self;
        let expected = parking.expected();
        let Some(batch) = parking.start(limits.park_batch_max, |sequence| ledger.get(sequence).is_some()) else {
            return;
        };
        let entry = |(offset, held): (Offset, &ledger::Held)| {
            let ledger::Held { user, value, expires, .. } = held.clone();
            Entry { user, offset, expires, value }
        };
        let entries = batch.iter().filter_map(|sequence| ledger.get(*sequence).map(entry)).collect();
        let marker = parking.last();
        self.outbox.put(Output::Park { expected, marker, entries });
    }

    fn parked(&mut self, answer: Result<Parked, Unavailable>) {
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

    fn start_fetch(&mut self) {
        if self.fetching.is_some() {
            return;
        }
        let mut sessions = Vec::new();
        let mut requests = Vec::new();
        while requests.len() < self.limits.pages_max
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

    fn fetched(&mut self, answer: Result<(Option<Marker>, Vec<Page>), Unavailable>) {
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

    fn start_trim(&mut self) {
        if self.trimming.is_none() && !self.to_trim.is_empty() {
            let trims: Vec<_> = std::mem::take(&mut self.to_trim).into_iter().collect();
            self.trimming = Some(trims.clone());
            self.outbox.put(Output::Trim { trims });
        }
    }

    fn trimmed(&mut self, answer: Result<(), Unavailable>) {
        let trims = self.trimming.take().unwrap_or_default();
        match answer {
            Ok(()) => self.inbox_answered(),
            Err(Unavailable) => {
                for (user, upto) in trims {
                    let waiting = self.to_trim.entry(user).or_insert(upto);
                    *waiting = upto.max(*waiting);
                }
                self.inbox_failed();
            }
        }
    }

    fn committed(&mut self, answer: Result<(), Unavailable>) {
        match answer {
            Ok(()) => {
                let committed = self.committer.done();
                let rewound =
                    committed.marker == self.parking.expected() && committed.position <= self.ledger.settled();
                if !self.parking.suspended() {
                    return;
                }
                if rewound {
                    self.parking.resume();
                } else {
                    self.committer.hurry(self.now); // that one was on its way when the loss was found
                }
            }
            Err(Unavailable) => self.committer.failed(self.now + self.limits.retry_min),
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
    fn rewind(&mut self, to: Position) {
        self.parking.rewind();
        if let Some(fetching) = &mut self.fetching {
            fetching.stale = true;
        }
        self.committer.hurry(self.now);
        self.outbox.put(Output::Rewind { to });
        self.ledger.rewind(to);
        self.forget_unsettled();
    }

    fn tick(&mut self) {
        while let Some(due) = self.next_overdue()
            && due <= self.now
        {
            self.park_overdue();
        }
        let Self { wheel, sessions, outbox, .. } = self;
        wheel.turn(self.now, |session| {
            let open = sessions.contains_key(&session);
            if open {
                outbox.put(Output::Ping { session });
            }
            open
        });
        while let Some((since, session)) = self.lagging.front().copied()
            && since + self.limits.slow_timeout <= self.now
        {
            self.lagging.pop_front();
            if self.sessions.get(&session).is_some_and(|session| session.lagging() == Some(since)) {
                let limit = self.limits.slow_timeout.as_secs();
                let reason = format!("nothing was read for {limit} s; what was missed is replayed on reconnect");
                self.close(session, CloseCode::TooSlow, reason);
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        let mut sessions: Vec<_> = self.sessions.keys().copied().collect();
        sessions.sort_unstable();
        for session in sessions {
            self.close(session, CloseCode::GoingAway, "the node is leaving; reconnect".into());
        }
        self.committer.hurry(self.now);
    }

    fn close(&mut self, session: SessionId, code: CloseCode, reason: String) {
        self.outbox.put(Output::Close { session, code, reason });
        self.closed(session);
    }
}
