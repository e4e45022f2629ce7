//! Notifications with a deadline, in the core: what sockets are told of them, what receipts say, and what wrong clocks do.

#![expect(clippy::unwrap_used, reason = "a world that breaks its own rules fails the test")]

use std::time::Duration;

use peal_node::core::{Frame, SessionId};
use peal_node::limits::Limits;
use peal_node::{Core, Input, Output};
use peal_proto::frame::GapReason;
use peal_proto::{Cursor, Fate, Generation, Offset, Position, Receipt, Run, Settled, Timestamp, UserId};
use peal_store::inbox::{Entry, Marker, Parked};

const GENERATION: Generation = Generation::new(3);
/// When every notification here is posted, by the publisher's clock.
const POSTED: Timestamp = Timestamp::from_millis(1_795_341_600_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A core with one user, whose stores answer at once.
struct Bench {
    core: Core,
    now: Duration,
    /// The node's clock.
    wall: Timestamp,
    /// What each socket was told: the position behind it, and whether it was a gap.
    told: Vec<(SessionId, u64, bool)>,
    parked: Vec<Entry>,
    runs: Vec<Run>,
}

impl Bench {
    fn new(wall: Timestamp) -> Self {
        let core = Core::new(GENERATION, Limits::default(), Settled::default(), None);
        let mut bench =
            Self { core, now: Duration::ZERO, wall, told: Vec::new(), parked: Vec::new(), runs: Vec::new() };
        bench.pass(Duration::from_secs(1));
        bench
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.core.handle(self.now, self.wall, input);
            let outputs: Vec<_> = self.core.outputs().collect();
            inputs.extend(outputs.into_iter().filter_map(|output| self.answer(output)));
        }
    }

    fn answer(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send { session, frame } => {
                let (cursor, is_gap) = match frame {
                    Frame::Hello { .. } => return None,
                    Frame::Notification { cursor, .. } => (cursor, false),
                    Frame::Gap { to, reason, .. } => {
                        assert_eq!(reason, GapReason::Expired);
                        (to, true)
                    }
                };
                self.told.push((session, cursor.position.next().get(), is_gap));
                None
            }
            Output::Park { marker, entries, .. } => {
                self.parked.extend(entries);
                Some(Input::Parked(Ok(Parked::Done { marker, floor: None })))
            }
            Output::Fetch { requests } => {
                let end = |_| peal_store::inbox::Page { items: Vec::new(), end: true };
                Some(Input::Fetched(Ok((None::<Marker>, requests.into_iter().map(end).collect()))))
            }
            Output::Commit { receipts, .. } => {
                let runs = receipts.into_iter().flat_map(|receipt| match receipt {
                    Receipt::Settled { runs, .. } | Receipt::Replayed { runs } => runs,
                });
                self.runs.extend(runs);
                Some(Input::Committed(Ok(())))
            }
            Output::Trim { .. } => Some(Input::Trimmed(Ok(None))),
            Output::Ping { .. } | Output::Close { .. } | Output::Rewind { .. } => None,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall = self.wall.after(time);
        self.input(Input::Tick);
    }

    /// A notification of an event with this ttl is read.
    fn read(&mut self, offset: u64, ttl: Duration) {
        let (event, expires) = (Some(format!("e{offset}").parse().unwrap()), Some(POSTED.after(ttl)));
        let (offset, value) = (Offset::new(offset), "{}".into());
        self.input(Input::Record { offset, user: user(), event, expires, collapse: None, value });
    }

    fn open(&mut self, number: u64) -> SessionId {
        let session = SessionId::new(number);
        self.input(Input::Opened { session, user: user(), cursor: None });
        session
    }

    fn ack(&mut self, session: SessionId, behind: u64) {
        let cursor = Cursor { generation: GENERATION, position: Position::behind(Offset::new(behind)) };
        self.input(Input::Acked { session, cursor });
    }

    /// What became of each notification, once it is committed.
    fn fates(&mut self) -> Vec<Fate> {
        self.pass(Duration::from_secs(1));
        let each = self.runs.iter().flat_map(|run| run.offsets().map(|_| run.fate));
        each.collect()
    }
}

fn user() -> UserId {
    UserId::new(42).unwrap()
}

#[test]
fn a_socket_is_told_of_a_gap_once_the_deadline_has_passed_and_the_receipt_says_expired() {
    let mut bench = Bench::new(POSTED);
    let session = bench.open(1);
    bench.read(0, MINUTE);
    bench.ack(session, 0);
    bench.pass(2 * MINUTE);
    bench.read(1, MINUTE);
    bench.ack(session, 1);
    assert_eq!(bench.told, [(session, 1, false), (session, 2, true)]);
    assert_eq!(bench.fates(), [Fate::Delivered, Fate::Expired]);
}

#[test]
fn what_is_not_acknowledged_is_parked_until_its_own_deadline_and_no_longer() {
    let mut bench = Bench::new(POSTED);
    bench.read(0, MINUTE);
    let until = POSTED.after(MINUTE);
    assert_eq!(bench.parked[0].expires, Some(until));
    assert_eq!(bench.fates(), [Fate::Parked { until }]);
}

#[test]
fn what_was_in_time_for_one_socket_is_delivered_though_another_was_too_late() {
    let mut bench = Bench::new(POSTED);
    let first = bench.open(1);
    bench.read(0, Duration::from_secs(5));
    bench.pass(Duration::from_secs(6));
    let second = bench.open(2);
    bench.ack(first, 0);
    assert_eq!(bench.told, [(first, 1, false), (second, 1, true)]);
    assert_eq!(bench.fates(), [Fate::Delivered]);
}

#[test]
fn on_a_clock_that_is_ahead_it_ends_earlier_by_as_much_and_never_in_silence() {
    let ahead = Duration::from_secs(40);
    let mut bench = Bench::new(POSTED.after(ahead));
    let session = bench.open(1);
    bench.read(0, MINUTE);
    bench.ack(session, 0);
    bench.pass(MINUTE.saturating_sub(ahead));
    bench.read(1, MINUTE);
    bench.ack(session, 1);
    assert_eq!(bench.told, [(session, 1, false), (session, 2, true)]);
    assert_eq!(bench.fates(), [Fate::Delivered, Fate::Expired]);
}

#[test]
fn on_a_clock_that_is_behind_it_ends_later_by_as_much_and_not_after_the_inbox_does() {
    let week = Limits::default().inbox_ttl;
    let wall = Timestamp::from_millis(1_000_000);
    let mut bench = Bench::new(wall);
    bench.read(0, MINUTE);
    let Fate::Parked { until } = bench.fates()[0] else { panic!("it is parked") };
    assert!(until < wall.after(week + MINUTE), "{until}");
    let session = bench.open(1);
    bench.read(1, MINUTE);
    assert_eq!(bench.told, [(session, 2, false)]);
}

#[test]
fn what_was_told_as_a_gap_is_not_given_once_the_clock_jumps_back() {
    let mut bench = Bench::new(POSTED.after(2 * MINUTE));
    let session = bench.open(1);
    bench.read(0, MINUTE);
    bench.wall = POSTED;
    bench.read(1, MINUTE);
    bench.ack(session, 1);
    assert_eq!(bench.told, [(session, 1, true), (session, 2, false)]);
    assert_eq!(bench.fates(), [Fate::Expired, Fate::Delivered]);
}
