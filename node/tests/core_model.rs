//! The partition core against a naive world: a log, an inbox and clients with cursors, under random schedules of reads,
//! sockets, acks, lost answers, crashes and wipes. The oracle: once everything is healed, every client has seen every
//! record of its user exactly once and in order, but for what a newer one of the same collapse key replaced and for what a gap
//! said had expired, everything is settled, and the receipts say of every record what became of it. What a receipt says was
//! parked was told before as to be pushed, once, whatever was wiped since.

#![expect(clippy::unwrap_used, reason = "a world that breaks its own rules fails the test")]

mod naive;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use peal_node::core::{Frame, SessionId, Unavailable};
use peal_node::limits::Limits;
use peal_node::shedding::Shed;
use peal_node::{Core, Input, Output};
use peal_proto::frame::GapReason;
use peal_proto::{
    CloseCode, CollapseKey, Cursor, EventId, Fate, Generation, Offset, Position, Receipt, Run, Settled, Timestamp,
    UserId,
};
use peal_store::inbox::Parked;
use proptest::prelude::*;

use self::naive::{Account, Inbox, is_over};

const USERS: u64 = 4;
const GENERATION: Generation = Generation::new(3);
const WALL: Timestamp = Timestamp::from_millis(1_000_000);

#[derive(Debug, Clone)]
enum Step {
    Append {
        user: u64,
        bytes: usize,
        hole: bool,
        key: Option<u8>,
        ttl_millis: Option<u64>,
    },
    Read,
    Open {
        user: u64,
        keeps_cursor: bool,
    },
    Close {
        pick: usize,
    },
    Deliver {
        pick: usize,
        frames: usize,
    },
    Ack {
        pick: usize,
    },
    Written {
        pick: usize,
    },
    Answer {
        pick: usize,
        outcome: Outcome,
    },
    Pass {
        millis: u64,
    },
    /// The node's clock is this far from the publisher's.
    Skew {
        millis: i64,
    },
    /// The node has more or less memory than before.
    Shed(Shed),
    Crash,
    Wipe,
    Snapshot,
    Restore,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Done,
    Refused,
    /// Done, but the answer was lost.
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let ttl = 1_u64..20_000;
    let outcome = prop_oneof![6 => Just(Outcome::Done), 1 => Just(Outcome::Refused), 1 => Just(Outcome::Lost)];
    prop_oneof![
        6 => (0..USERS, 1_usize..400, any::<bool>(), prop::option::weighted(0.3, 0_u8..2), prop::option::weighted(0.3, ttl))
            .prop_map(|(user, bytes, hole, key, ttl_millis)| Step::Append { user, bytes, hole, key, ttl_millis }),
        8 => Just(Step::Read),
        3 => (0..USERS, prop::bool::weighted(0.8)).prop_map(|(user, keeps_cursor)| Step::Open { user, keeps_cursor }),
        2 => any::<usize>().prop_map(|pick| Step::Close { pick }),
        6 => (any::<usize>(), 0_usize..6).prop_map(|(pick, frames)| Step::Deliver { pick, frames }),
        3 => any::<usize>().prop_map(|pick| Step::Ack { pick }),
        4 => any::<usize>().prop_map(|pick| Step::Written { pick }),
        10 => (any::<usize>(), outcome).prop_map(|(pick, outcome)| Step::Answer { pick, outcome }),
        3 => (1_u64..4_000).prop_map(|millis| Step::Pass { millis }),
        1 => (-9_000_i64..9_000).prop_map(|millis| Step::Skew { millis }),
        2 => prop::sample::select(&Shed::ALL[..]).prop_map(Step::Shed),
        1 => Just(Step::Crash),
        1 => Just(Step::Wipe),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restore),
    ]
}

/// What one client, which outlives its sockets, has seen.
#[derive(Debug, Default)]
struct Client {
    cursor: Option<Cursor>,
    seen: Vec<u64>,
    /// From where to where it was told of gaps.
    gaps: Vec<(Position, Position)>,
}

/// A record as the log has it.
#[derive(Debug, Clone)]
struct Record {
    offset: Offset,
    user: u64,
    expires: Option<Timestamp>,
    collapse: Option<CollapseKey>,
    value: Bytes,
}

/// A socket of a user. Only one at a time belongs to the client that keeps its cursor; the others come without one.
#[derive(Debug)]
struct Socket {
    user: u64,
    keeps_cursor: bool,
    wire: VecDeque<Frame>,
    unwritten: usize,
    last: Option<Cursor>,
}

fn event_of(offset: Offset) -> EventId {
    format!("e{}", offset.get() / 3).parse().unwrap()
}

struct World {
    account: Account,
    now: Duration,
    /// How far the node's clock is ahead, in milliseconds, and the latest that it ever showed.
    skew: i64,
    latest: Timestamp,
    log: Vec<Record>,
    end: u64,
    inbox: Inbox,
    snapshot: Inbox,
    committed: Settled,
    /// How far it was committed, as the core knows.
    known: Position,
    core: Core,
    read_from: Position,
    asked: Vec<Output>,
    sockets: BTreeMap<SessionId, Socket>,
    clients: BTreeMap<u64, Client>,
    sessions: u64,
}

fn limits() -> Limits {
    Limits {
        session_bytes_max: 1_000,
        window_bytes_max: 4_000,
        window_records_max: 40,
        park_batch_max: 3,
        pages_max: 2,
        page_entries_max: 3,
        page_bytes_max: 500,
        push_after: Some(Duration::from_secs(60)),
        sessions_per_user_max: 2,
        ..Limits::default()
    }
}

impl World {
    fn new() -> Self {
        Self {
            account: Account::default(),
            now: Duration::ZERO,
            skew: 0,
            latest: WALL,
            log: Vec::new(),
            end: 0,
            inbox: Inbox::default(),
            snapshot: Inbox::default(),
            committed: Settled::default(),
            known: Position::START,
            core: Core::new(GENERATION, limits(), Settled::default(), None),
            read_from: Position::START,
            asked: Vec::new(),
            sockets: BTreeMap::new(),
            clients: (0..USERS).map(|user| (user, Client::default())).collect(),
            sessions: 0,
        }
    }

    /// What the node's clock shows.
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(WALL.after(self.now).millis().saturating_add_signed(self.skew))
    }

    fn input(&mut self, input: Input) {
        self.latest = self.latest.max(self.wall());
        let is_record = matches!(input, Input::Record { .. });
        self.core.handle(self.now, self.wall(), input);
        let outputs: Vec<_> = self.core.outputs().collect();
        for output in outputs {
            match output {
                Output::Send { session, frame } => {
                    let is_live = is_record && !matches!(frame, Frame::Hello { .. });
                    assert!(!is_live || self.core.is_shed() < Shed::Live, "live delivery was shed");
                    let socket = self.sockets.get_mut(&session).unwrap();
                    if let Frame::Notification { value, .. } = &frame {
                        socket.unwritten += value.len();
                        assert!(socket.unwritten <= 2_200, "a socket was given more than its budget and a page");
                    }
                    socket.wire.push_back(frame);
                }
                Output::Ping { session } => assert!(self.sockets.contains_key(&session)),
                Output::Close { session, code, .. } => {
                    assert_ne!(code, CloseCode::ProtocolError);
                    self.sockets.remove(&session).unwrap(); // with all that is on its wire, the worst case
                }
                Output::Rewind { to } => self.read_from = to,
                Output::Fetch { ref requests } => {
                    let most = [2, 2, 1, 0][self.core.is_shed() as usize];
                    assert!(requests.len() <= most, "replays were shed");
                    self.asked.push(output);
                }
                Output::Park { .. } | Output::Trim { .. } | Output::Commit { .. } => self.asked.push(output),
            }
        }
        assert!(self.core.window_bytes() <= 4_400, "the window outgrew its limit");
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { user, bytes, hole, key, ttl_millis } => {
                self.end += u64::from(hole);
                let collapse = key.map(|key| format!("k{key}").parse().unwrap());
                let expires = ttl_millis.map(|millis| WALL.after(self.now + Duration::from_millis(millis)));
                let (offset, value) = (Offset::new(self.end), Bytes::from(vec![b'x'; bytes]));
                self.log.push(Record { offset, user, expires, collapse, value });
                self.end += 1;
            }
            Step::Read => self.read(),
            Step::Open { user, keeps_cursor } => self.open(user, keeps_cursor),
            Step::Close { pick } => {
                if let Some(session) = self.pick(pick) {
                    self.sockets.remove(&session);
                    self.input(Input::Closed { session });
                }
            }
            Step::Deliver { pick, frames } => self.deliver(pick, frames),
            Step::Ack { pick } => {
                let Some(session) = self.pick(pick) else { return };
                let socket = &self.sockets[&session];
                // The first ack settles: others acknowledge only what the client that is checked has seen as well.
                let most = if socket.keeps_cursor { socket.last } else { self.clients[&socket.user].cursor };
                if let Some(cursor) = socket.last.min(most) {
                    self.input(Input::Acked { session, cursor });
                }
            }
            Step::Written { pick } => {
                if let Some(session) = self.pick(pick) {
                    let bytes = std::mem::take(&mut self.sockets.get_mut(&session).unwrap().unwritten);
                    self.input(Input::Written { session, bytes });
                }
            }
            Step::Answer { pick, outcome } => self.answer(pick, outcome),
            Step::Pass { millis } => {
                self.now += Duration::from_millis(millis);
                self.input(Input::Tick);
            }
            Step::Skew { millis } => self.skew = millis,
            Step::Shed(shed) => self.input(Input::Shed(shed)),
            Step::Crash => self.crash(),
            Step::Wipe => self.inbox = Inbox::default(),
            Step::Snapshot => self.snapshot = self.inbox.clone(),
            Step::Restore => {
                if self.snapshot.marker < self.inbox.marker {
                    self.inbox = self.snapshot.clone(); // back in time, never forward
                }
            }
        }
    }

    fn read(&mut self) {
        let next = self.log.iter().find(|record| !self.read_from.covers(record.offset)).cloned();
        if let Some(Record { offset, user, expires, collapse, value }) = next.filter(|_| self.core.takes_records()) {
            self.read_from = Position::behind(offset);
            let user = UserId::new(user).unwrap();
            let event = Some(event_of(offset));
            self.input(Input::Record { offset, user, event, expires, collapse, value });
        }
    }

    fn open(&mut self, user: u64, keeps_cursor: bool) {
        if keeps_cursor && self.sockets.values().any(|socket| socket.user == user && socket.keeps_cursor) {
            return;
        }
        self.sessions += 1;
        let session = SessionId::new(self.sessions);
        let cursor = if keeps_cursor { self.clients[&user].cursor } else { None };
        let socket = Socket { user, keeps_cursor, wire: VecDeque::new(), unwritten: 0, last: None };
        self.sockets.insert(session, socket);
        let user = UserId::new(user).unwrap();
        self.input(Input::Opened { session, user, cursor });
    }

    fn pick(&self, pick: usize) -> Option<SessionId> {
        self.sockets.keys().nth(pick.checked_rem(self.sockets.len())?).copied()
    }

    /// The client takes this many frames from its wire.
    fn deliver(&mut self, pick: usize, frames: usize) {
        let Some(session) = self.pick(pick) else { return };
        let socket = self.sockets.get_mut(&session).unwrap();
        let client = self.clients.get_mut(&socket.user).unwrap();
        for _ in 0..frames {
            match socket.wire.pop_front() {
                Some(Frame::Hello { cursor }) => {
                    assert!(socket.last.is_none(), "hello comes first");
                    socket.last = Some(cursor);
                }
                Some(Frame::Notification { cursor, .. }) => {
                    assert!(socket.last < Some(cursor), "a socket was given {cursor} after {:?}", socket.last);
                    socket.last = Some(cursor);
                    if socket.keeps_cursor && client.cursor < Some(cursor) {
                        client.cursor = Some(cursor);
                        client.seen.push(cursor.position.next().get() - 1);
                    }
                }
                Some(Frame::Gap { from, to, reason }) => {
                    assert_eq!(reason, GapReason::Expired, "nothing else was lost for good");
                    socket.last = socket.last.max(Some(to));
                    if socket.keeps_cursor && client.cursor < Some(to) {
                        client.gaps.push((from.position, to.position));
                        client.cursor = Some(to);
                    }
                }
                None => return,
            }
        }
    }

    fn answer(&mut self, pick: usize, outcome: Outcome) {
        let Some(index) = pick.checked_rem(self.asked.len()) else { return };
        let asked = self.asked.remove(index);
        let done = !matches!(outcome, Outcome::Refused);
        let answered = matches!(outcome, Outcome::Done);
        let input = match asked {
            Output::Park { expected, marker, entries } => {
                let mut parked = Parked::Unexpected { found: self.inbox.marker };
                // What is replaced is written down before, so that is done whatever becomes of the batch.
                let (mut after, wall) = (self.inbox.clone(), self.wall());
                let gone = entries.into_iter().filter_map(|entry| after.park(entry, wall));
                let runs = gone.map(|offset| Run::of(event_of(offset), offset, Fate::Replaced)).collect();
                self.account.take(vec![Receipt::Replayed { runs }]);
                if self.inbox.marker == expected && done {
                    self.inbox = Inbox { marker: Some(marker), ..after };
                    let floor = self.inbox.entries.keys().map(|(_, offset)| *offset).min();
                    parked = Parked::Done { marker, floor };
                }
                Input::Parked(if answered { Ok(parked) } else { Err(Unavailable) })
            }
            Output::Fetch { requests } => {
                let pages = requests.iter().map(|request| self.inbox.page(request, self.wall())).collect();
                Input::Fetched(if answered { Ok((self.inbox.marker, pages)) } else { Err(Unavailable) })
            }
            Output::Trim { trims } => {
                let seen =
                    |user, offset| trims.iter().any(|(u, upto): &(UserId, Position)| *u == user && upto.covers(offset));
                // What is trimmed is written down before, so that is done whatever becomes of the trim.
                let wall = self.wall();
                let in_time =
                    self.inbox.entries.iter().filter(|(_, kept)| !is_over(kept.expires, wall)).map(|(place, _)| place);
                let trimmed = in_time.filter(|(user, offset)| seen(*user, *offset));
                let runs = trimmed.map(|(_, offset)| Run::of(event_of(*offset), *offset, Fate::Delivered));
                self.account.take(vec![Receipt::Replayed { runs: runs.collect() }]);
                if done {
                    self.inbox.entries.retain(|(user, offset), _| !seen(*user, *offset));
                }
                Input::Trimmed(if answered { Ok(self.inbox.marker) } else { Err(Unavailable) })
            }
            Output::Commit { settled, receipts, offline } => {
                self.account.take_offline(offline, self.known);
                self.account.take(receipts); // before the commit
                if done {
                    self.committed = settled;
                }
                if answered {
                    self.known = self.known.max(settled.position);
                }
                Input::Committed(if answered { Ok(()) } else { Err(Unavailable) })
            }
            Output::Send { .. } | Output::Ping { .. } | Output::Close { .. } | Output::Rewind { .. } => unreachable!(),
        };
        self.input(input);
    }

    /// The process is gone with its sockets and calls; the log, the inbox and the clients' cursors are not.
    fn crash(&mut self) {
        self.asked.clear();
        self.sockets.clear();
        self.known = self.known.max(self.committed.told);
        self.core = Core::new(GENERATION, limits(), self.committed, self.inbox.marker);
        self.read_from = self.core.read_position();
    }

    /// Answers everything, opens a socket of every client, and runs until nothing moves any more.
    fn heal(&mut self) {
        self.input(Input::Shed(Shed::Nothing));
        for round in 0.. {
            assert!(round < 2_000, "no progress: {:?}", self.core);
            for user in 0..USERS {
                self.open(user, true);
            }
            let before = self.progress();
            self.now += Duration::from_secs(1);
            self.input(Input::Tick);
            (0..=self.log.len()).for_each(|_| self.read());
            while !self.asked.is_empty() {
                self.answer(0, Outcome::Done);
            }
            for pick in 0..self.sockets.len() {
                self.deliver(pick, usize::MAX);
                self.step(Step::Written { pick });
                self.step(Step::Ack { pick });
            }
            if round > 40 && before == self.progress() && self.asked.is_empty() {
                return;
            }
        }
    }

    fn progress(&self) -> (usize, Position, Settled) {
        (self.clients.values().map(|client| client.seen.len()).sum(), self.read_from, self.committed)
    }

    fn check(&self) {
        for (user, client) in &self.clients {
            let own = self.log.iter().filter(|record| record.user == *user);
            let due = own.filter(|record| !self.is_missing_rightly(client, record));
            let due: Vec<u64> = due.map(|record| record.offset.get()).collect();
            assert_eq!(client.seen, due, "user {user} must have seen its records once and in order");
        }
        let end = self.log.last().map_or(Position::START, |record| Position::behind(record.offset));
        assert_eq!(self.committed.position, end, "everything is settled in the end");
        for (offset, user) in &self.account.offline {
            let record = self.log.iter().find(|record| record.offset == *offset).map(|record| record.user);
            assert_eq!(record, Some(user.get()), "{offset} is told as another's");
        }
        let Account { fates, .. } = &self.account;
        assert!(fates.keys().eq(self.log.iter().map(|record| &record.offset)), "the receipts name every record");
        self.log.iter().for_each(|record| self.check_fate(record, fates[&record.offset]));
    }

    /// Whether a record was not seen and need not be: its time was over, and a gap said so, or a newer one replaced it.
    fn is_missing_rightly(&self, client: &Client, record: &Record) -> bool {
        let Record { offset, user, expires, collapse, .. } = record;
        let is_told = || client.gaps.iter().any(|(from, to)| !from.covers(*offset) && to.covers(*offset));
        let is_newer = |other: &Record| other.offset > *offset && other.user == *user && other.collapse == *collapse;
        let is_replaced = || collapse.is_some() && self.log.iter().any(is_newer);
        let is_rightly = || is_replaced() || (is_over(*expires, self.latest) && is_told());
        !client.seen.contains(&offset.get()) && is_rightly()
    }

    /// What the receipts say must have been possible.
    fn check_fate(&self, record: &Record, fate: Fate) {
        let offset = record.offset;
        let is_seen = self.clients[&record.user].seen.contains(&offset.get());
        let is_replaced = self.account.replaced.contains(&offset);
        let may_expire = is_over(record.expires, self.latest);
        assert!(is_seen || is_replaced || may_expire, "{offset} was not seen, and nothing is said of why");
        match fate {
            // What was replaced or told of as a gap, and is read again after a crash, counts as seen with what is behind it.
            Fate::Delivered => {}
            // It may have been seen, and a newer one have come before it was acknowledged; or that came too late.
            Fate::Parked { .. } => assert!(is_replaced || may_expire, "{offset} is parked, as the receipts say"),
            Fate::Expired => assert!(may_expire, "{offset} has expired, as the receipts say"),
            Fate::Replaced => panic!("{offset} is settled as replaced"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_seen_twice_or_out_of_order(steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.heal();
        world.check();
    }
}
