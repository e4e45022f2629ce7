//! The partition core: what happens to every record of one partition until it is settled. Pure.
//!
//! A record is *settled* when its user acknowledged it, or when it is durable in its user's inbox. The position committed
//! is the lowest not settled; nothing else ever commits. [`Core::handle`] takes one input and the time, and puts what is to
//! be done into outputs; it does no IO, reads no clock and draws no dice, so the same code runs under the simulator.
//!
//! This file composes the machines beside it: the [`ledger`] of unsettled records, each [`user`] and [`session`], the
//! [`parking`] of records in the inbox, the [`receipts`] of what became of them, who is [`absent`] and may have to be pushed to,
//! the [`commit`], and the heartbeat's [`wheel`]. How records are handed out is in [`deliver`].

mod absent;
mod commit;
mod deliver;
mod event;
mod inbox;
mod ledger;
mod parking;
mod receipts;
mod session;
mod shed;
mod user;
mod wheel;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use peal_proto::{CloseCode, Generation, Position, Settled, Timestamp, UserId};
use peal_store::inbox::Marker;

pub use self::event::{Frame, Input, Output, SessionId, Unavailable};
use crate::limits::Limits;
use crate::shedding::Shed;
use absent::Absent;
use commit::Committer;
use inbox::{Fetching, Trimming};
use ledger::{Held, Ledger, Sequence, Told};
use parking::{Finding, Parking};
use session::{Outbox, Session};
use user::User;
use wheel::Wheel;

/// One partition's records, users and sockets.
#[derive(Debug)]
pub struct Core {
    limits: Limits,
    ledger: Ledger,
    users: HashMap<UserId, User>,
    sessions: HashMap<SessionId, Session>,
    parking: Parking,
    absent: Absent,
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
    /// To be trimmed once it is committed that far.
    trim_later: BTreeMap<UserId, Position>,
    trimming: Option<Trimming>,
    /// The inbox did not answer: nothing is asked of it before then.
    retry_at: Option<Duration>,
    retry_wait: Duration,
    /// How sockets are closed since the partition is given up.
    draining: Option<(CloseCode, String)>,
    shed: Shed,
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
            absent: Absent::new(settled.told.max(settled.position)),
            committer: Committer::new(settled, limits.commit_interval),
            wheel: Wheel::new(limits.heartbeat),
            overdue: Sequence::START,
            lagging: VecDeque::new(),
            to_fetch: VecDeque::new(),
            fetching: None,
            to_trim: BTreeMap::new(),
            trim_later: BTreeMap::new(),
            trimming: None,
            retry_at: None,
            retry_wait: limits.retry_min,
            draining: None,
            shed: Shed::Nothing,
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
            Input::Record { offset, user, event, expires, collapse, value } => {
                let held = Held { user, event, value, expires, collapse, told: Told::Nothing, since: now };
                self.record(offset, held);
            }
            Input::Skipped { offset } => self.ledger.pass(offset),
            Input::Opened { session, user, cursor } => self.opened(session, user, cursor),
            Input::Acked { session, cursor } => self.acked(session, cursor),
            Input::Written { session, bytes } => self.written(session, bytes),
            Input::Closed { session } => self.closed(session),
            Input::Parked(answer) => self.parked(answer),
            Input::Fetched(answer) => self.fetched(answer),
            Input::Trimmed(answer) => self.trimmed(answer),
            Input::Committed(answer) => self.committed(answer),
            Input::Shed(shed) => self.shed(shed),
            Input::Drain(code, reason) => self.drain(code, reason),
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
            let receipts = self.ledger.receipts().start(settled.position);
            let offline = self.absent.start(settled.position);
            self.outbox.put(Output::Commit { settled, receipts, offline });
        }
        self.outbox.drain()
    }

    /// Whether the partition is to be read on; if not, its window is full.
    #[must_use]
    pub fn takes_records(&self) -> bool {
        let room = self.ledger.bytes() < self.window_bytes_max();
        room && self.ledger.len() + self.absent.len() < self.limits.window_records_max && self.draining.is_none()
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
        self.draining.is_some() && settled.position == self.ledger.read() && self.committer.committed() == settled
    }

    /// Unsettled bytes, for the gauge.
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        self.ledger.bytes()
    }

    fn settled(&self) -> Settled {
        let position = self.ledger.settled();
        Settled {
            position,
            marker: self.parking.expected(),
            floor: self.parking.floor(),
            takeover: self.takeover,
            told: self.absent.told().max(position),
        }
    }

    fn committed(&mut self, answer: Result<(), Unavailable>) {
        match answer {
            Ok(()) => {
                let committed = self.committer.done();
                self.ledger.receipts().done();
                self.absent.done();
                self.trim_committed(committed.position);
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
            Err(Unavailable) => {
                self.committer.failed(self.now + self.limits.retry_min);
                self.ledger.receipts().failed();
            }
        }
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

    fn drain(&mut self, code: CloseCode, reason: String) {
        let mut sessions: Vec<_> = self.sessions.keys().copied().collect();
        sessions.sort_unstable();
        for session in sessions {
            self.close(session, code, reason.clone());
        }
        self.draining = Some((code, reason));
        self.committer.hurry(self.now);
    }

    fn close(&mut self, session: SessionId, code: CloseCode, reason: String) {
        self.outbox.put(Output::Close { session, code, reason });
        self.closed(session);
    }
}
