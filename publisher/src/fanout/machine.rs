//! The fan-out of one partition of the events log, as a state machine: what to do next, given what has been done.
//!
//! No IO, no clock, no awaits. [`Machine::next`] is told the time and names one effect, its `handle_` call brings the answer.
//! Asking again before the answer means that it was lost. For all effects but a write that is harmless: they are named again. A
//! write whose answer is lost is a crash that we survived: the machine forgets everything and begins at the commit, which
//! says whether the slice is there. So there is one way to recover, and it is the ordinary way to start.
//!
//! Events take turns. An event that is not told after a page of members and a part of a slice is one of a few that are under
//! way, and each of them has a turn in every round, as the new ones together have; so what few members a small event has
//! are told in the next slice, however many are being told of a large one.

use std::collections::VecDeque;
use std::time::Duration;

use peal_proto::{Audience, CommunityId, EventId, Partition, Position, UserId};
use peal_store::StoreError;
use peal_store::log::{Commit, NewRecord, Record};
use peal_store::members::{MembersPage, ScanCursor};
use peal_store::status::{Claim, Origin, Status};

use super::agenda::{Agenda, Busy, Entry, Why};
use super::checkpoint::{Checkpoint, Done, Open};
use super::claims::Claims;
use super::letter::{self, Letter};
use super::slice::{Sealed, Slice};
use super::work::{Active, Expansion, Reading, Work};
use crate::config::FanoutLimits;
use crate::limits::MISSING_RETRY;
use crate::status;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Become the only writer, then read the commit: [`Machine::handle_opened`].
    Open,
    /// Read the events at this position and behind it: [`Machine::handle_records`].
    Read { from: Position, wait: Wait },
    /// Do nothing until then.
    Rest { until: Duration },
    /// Claim events, each for its copy: [`Machine::handle_claims`].
    Claim { events: Vec<(EventId, Origin)> },
    /// Read the next members: [`Machine::handle_page`], or [`Machine::handle_missing`] where they were lost.
    Scan { community: CommunityId, from: Option<ScanCursor> },
    /// Make a member: [`Machine::handle_joined`].
    Join { community: CommunityId, user: UserId },
    /// Write a slice of notifications and dead letters with its commit: [`Machine::handle_written`].
    Write { records: Vec<NewRecord>, letters: Vec<NewRecord>, commit: Commit },
    /// Say how far events are, all true by now: [`Machine::handle_reported`].
    Report {
        statuses: Vec<Status>,
        /// Whether it was perhaps said before the start.
        again: bool,
    },
    /// Append a dead letter: [`Machine::handle_buried`].
    Bury(Letter),
}

/// How long to wait for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Only what is at hand is wanted.
    Not,
    /// Until there are some, but no longer.
    Until(Duration),
    /// Until there are some.
    Long,
}

/// The fan-out of one partition.
pub(crate) struct Machine {
    partition: Partition,
    partitions: u32,
    limits: FanoutLimits,
    /// What time it was last.
    now: Duration,
    state: State,
    /// Where this machine began.
    resumed: Checkpoint,
    /// How far the last commit is.
    committed: (Position, Vec<Open>),
    /// Behind the last event read.
    read_to: Position,
    /// To be said once more, as they were perhaps not said before the start.
    again: Vec<Status>,
    agenda: Agenda,
    /// When it was last looked, nothing more was at hand.
    is_at_end: bool,
    /// Events under way, whose turn is next first.
    active: VecDeque<Active>,
    round: Round,
    slice: Slice,
}

/// What is left of a round of turns.
#[derive(Default)]
struct Round {
    /// How many may still be told of new events.
    of_new: usize,
    /// How many of the events under way have not had their turn.
    turns: usize,
    /// Nothing new can begin.
    is_read: bool,
}

/// What is waited for.
enum State {
    Closed,
    Reading { wait: Wait },
    Resting { until: Duration },
    Claiming(Claims),
    Scanning(Reading),
    Joining { reading: Reading, user: UserId },
    Sealed { slice: Sealed, commit: Commit },
    Writing { statuses: Vec<Status> },
    Reporting { statuses: Vec<Status>, again: bool },
    Burying(Letter),
}

impl Machine {
    /// The fan-out of one partition of the events, to the notifications' `partitions`.
    pub(crate) fn new(partition: Partition, partitions: u32, limits: FanoutLimits) -> Self {
        let limits = limits.within_a_checkpoint();
        Self {
            partition,
            partitions,
            limits,
            now: Duration::ZERO,
            state: State::Closed,
            resumed: Checkpoint::default(),
            committed: (Position::START, Vec::new()),
            read_to: Position::START,
            again: Vec::new(),
            agenda: Agenda::default(),
            is_at_end: false,
            active: VecDeque::new(),
            round: Round::default(),
            slice: Slice::new(limits),
        }
    }

    /// What to do next. `now` is a time that does not jump.
    pub(crate) fn next(&mut self, now: Duration) -> Effect {
        self.now = now;
        if self.is_woken() {
            self.advance();
        }
        match &self.state {
            State::Sealed { .. } | State::Writing { .. } => self.hand_out(),
            State::Closed => Effect::Open,
            State::Reading { wait } => Effect::Read { from: self.read_to, wait: *wait },
            State::Resting { until } => Effect::Rest { until: *until },
            State::Claiming(claims) => {
                let origin = |offset| Origin { partition: self.partition, offset };
                Effect::Claim { events: claims.next().map(|(event, offset)| (event, origin(offset))).collect() }
            }
            State::Scanning(reading) => Effect::Scan { community: reading.community, from: reading.from },
            State::Joining { reading, user } => Effect::Join { community: reading.community, user: *user },
            State::Reporting { statuses, again } => Effect::Report { statuses: statuses.clone(), again: *again },
            State::Burying(letter) => Effect::Bury(letter.clone()),
        }
    }

    /// What it waited for has come: the time.
    fn is_woken(&self) -> bool {
        matches!(self.state, State::Reading { wait: Wait::Until(until) } | State::Resting { until } if until <= self.now)
    }

    /// A slice is handed out once. Asked again, nothing is known but what the commit says.
    fn hand_out(&mut self) -> Effect {
        let State::Sealed { slice: Sealed { records, letters, statuses, .. }, commit } = self.take() else {
            return Effect::Open;
        };
        self.state = State::Writing { statuses };
        Effect::Write { records, letters, commit }
    }

    /// This machine is the only writer, and this is the commit.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the commit is not one of ours.
    pub(crate) fn handle_opened(&mut self, commit: Option<Commit>) -> Result<(), StoreError> {
        self.resumed = Checkpoint::of(commit)?;
        self.committed = (self.resumed.reach, self.resumed.open.clone());
        self.read_to = self.resumed.read_from();
        self.agenda = Agenda::of(&self.resumed, self.limits.held_max);
        self.is_at_end = false;
        self.again.clear();
        self.active.clear();
        self.round = Round::default();
        self.slice.clear();
        self.state = State::Reading { wait: Wait::Long };
        Ok(())
    }

    /// The next events, in order; none if none are at hand.
    pub(crate) fn handle_records(&mut self, records: &[Record]) {
        let State::Reading { .. } = self.take() else { return };
        self.is_at_end = records.is_empty();
        if let Some(last) = records.last() {
            self.read_to = Position::behind(last.offset);
            self.agenda.lose_before(records, self.read_to);
        }
        let entries = records.iter().filter_map(|record| self.look_at(record)).collect();
        self.claim(Claims::of(entries));
    }

    /// No event has come for a long time: the commit is written again, so that the log does not forget it.
    pub(crate) fn handle_quiet(&mut self) {
        let State::Reading { .. } = self.take() else { return };
        self.state = if self.is_resuming() || self.read_to == self.resumed.read_from() {
            // As it was found: what it names was not looked at.
            State::Sealed { slice: Sealed::default(), commit: self.resumed.commit() }
        } else {
            self.seal()
        };
    }

    /// Whether the copies count, in the order they were named.
    pub(crate) fn handle_claims(&mut self, claims: Vec<Claim>) {
        let State::Claiming(mut asked) = self.take() else { return };
        asked.handle(claims);
        self.claim(asked);
    }

    /// Some of the members.
    pub(crate) fn handle_page(&mut self, page: &MembersPage) {
        let State::Scanning(mut reading) = self.take() else { return };
        if reading.is_too_late(page) {
            let community = reading.community;
            self.state = State::Burying(Letter::missing(&reading.put_back(), community, self.partition));
            return;
        }
        let is_new = reading.from.is_none();
        if reading.add(page) {
            if is_new && self.is_large_full() {
                self.agenda.hold(reading.put_back(), Why::Large);
            } else {
                self.active.push_back(Active::Reading(reading));
            }
            return self.advance();
        }
        match reading.joiner() {
            // Behind the members, because a set that was lost is no more to be seen once somebody is in it again.
            Some(user) => self.state = State::Joining { reading, user },
            None => self.tell(reading.expand()),
        }
    }

    /// The members were lost, and may be put back. Events of other communities go ahead meanwhile.
    pub(crate) fn handle_missing(&mut self) {
        let State::Scanning(reading) = self.take() else { return };
        self.agenda.hold(reading.put_back(), Why::Missing { again_at: self.now + MISSING_RETRY });
        self.advance();
    }

    /// The joiner is a member.
    pub(crate) fn handle_joined(&mut self) {
        let State::Joining { reading, user } = self.take() else { return };
        self.tell(reading.with(user));
    }

    /// The slice and its commit are durable.
    pub(crate) fn handle_written(&mut self) {
        let State::Writing { statuses } = self.take() else { return };
        if statuses.is_empty() {
            return self.go_on();
        }
        self.state = State::Reporting { statuses, again: false };
    }

    /// The statuses are said.
    pub(crate) fn handle_reported(&mut self) {
        let State::Reporting { .. } = self.take() else { return };
        self.advance();
    }

    /// The dead letter is durable.
    pub(crate) fn handle_buried(&mut self) {
        let State::Burying(letter) = self.take() else { return };
        if letter.is_lost() {
            // Before anybody joins its community: read once more, it would be told to him.
            self.state = self.seal();
        } else {
            self.advance();
        }
    }

    /// The state, to be replaced. An answer that does not belong to it leaves it closed, to begin at the commit.
    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }

    /// What is to be done about a record, if anything is.
    fn look_at(&mut self, record: &Record) -> Option<Entry> {
        let offset = record.offset;
        let found = self.agenda.found(offset);
        if self.resumed.reach.covers(offset) && found.is_none() {
            let Done { members, failed, .. } = self.resumed.done_at(offset)?;
            self.again.push(status::published(&letter::open(record).ok()?, members, failed));
            return None;
        }
        Some(match letter::open(record) {
            Ok(event) => Entry::Event(Box::new(Work { event, record: record.clone(), part: found.flatten() })),
            Err(poison) => Entry::Poison(Letter::of(record, self.partition, poison)),
        })
    }

    fn claim(&mut self, claims: Claims) {
        if claims.is_done() {
            self.take_in(claims.into_entries());
        } else {
            self.state = State::Claiming(claims);
        }
    }

    fn take_in(&mut self, entries: Vec<Entry>) {
        self.round.is_read &= entries.is_empty();
        for entry in entries {
            self.agenda.push(entry);
        }
        self.go_on();
    }

    /// Nothing is told before what was told before the start is said.
    fn go_on(&mut self) {
        if self.is_resuming() {
            self.state = State::Reading { wait: Wait::Long };
        } else if self.again.is_empty() {
            self.advance();
        } else {
            self.state = State::Reporting { statuses: std::mem::take(&mut self.again), again: true };
        }
    }

    /// Some of the events whose statuses are to be said once more were not read yet; the next commit no longer names them.
    fn is_resuming(&self) -> bool {
        self.resumed.done.iter().any(|done| !self.read_to.covers(done.offset))
    }

    /// Goes on with turns until there is something to be done.
    fn advance(&mut self) {
        loop {
            let step = if self.slice.is_full() {
                Some(self.seal())
            } else if self.round.of_new > 0 && self.active.len() <= self.limits.large_max {
                self.turn_of_new()
            } else if self.round.turns > 0 {
                self.round.turns -= 1;
                self.turn()
            } else {
                self.new_round()
            };
            if let Some(state) = step {
                self.state = state;
                return;
            }
        }
    }

    /// Begins the next event, if one can.
    fn turn_of_new(&mut self) -> Option<State> {
        let communities: Vec<_> = self.active.iter().filter_map(Active::community).collect();
        let busy = Busy { communities: &communities, is_large_full: self.is_large_full(), now: self.now };
        let Some(entry) = self.agenda.next(&busy) else {
            (self.round.of_new, self.round.is_read) = (0, true);
            return None;
        };
        match entry {
            Entry::Event(work) => match work.event.audience {
                Audience::Community(community) => Some(State::Scanning(Reading::new(work, community))),
                Audience::User(user) => {
                    self.fill(Expansion::to(work, user));
                    None
                }
            },
            Entry::Duplicate(_) => None,
            Entry::Poison(letter) => Some(State::Burying(letter)),
        }
    }

    /// The turn of the event that waits the longest.
    fn turn(&mut self) -> Option<State> {
        match self.active.pop_front()? {
            Active::Reading(reading) => Some(State::Scanning(reading)),
            Active::Telling(expansion) => {
                self.fill(*expansion);
                None
            }
        }
    }

    /// Everybody has had a turn. Writes what there is before it waits for more.
    fn new_round(&mut self) -> Option<State> {
        let (active, agenda) = (&self.active, &self.agenda);
        let is_idle = active.is_empty() && agenda.is_empty();
        let waits_for_members = self.round.is_read && !active.is_empty() && !active.iter().any(Active::is_telling);
        if agenda.is_read() && !self.is_at_end {
            return Some(State::Reading { wait: Wait::Not });
        }
        let again_at = self.again_at();
        let rests = is_idle || again_at.is_some();
        let is_ahead = !self.slice.is_empty() || (rests && self.progress() != self.committed);
        if is_ahead && (rests || waits_for_members) {
            return Some(self.seal());
        }
        let is_read = agenda.is_read();
        self.round = Round { of_new: self.limits.turn(), turns: active.len(), is_read };
        match again_at {
            Some(until) if is_read => Some(State::Reading { wait: Wait::Until(until) }),
            Some(until) => Some(State::Resting { until }),
            None => is_read.then_some(State::Reading { wait: if is_idle { Wait::Long } else { Wait::Not } }),
        }
    }

    /// When there is something to be told, if all that is left waits for members that were lost.
    fn again_at(&self) -> Option<Duration> {
        let waits = self.active.is_empty() && self.round.is_read;
        self.agenda.again_at().filter(|again_at| waits && *again_at > self.now)
    }

    fn is_large_full(&self) -> bool {
        self.active.len() >= self.limits.large_max
    }

    /// Its members are read.
    fn tell(&mut self, expansion: Expansion) {
        self.fill(expansion);
        self.advance();
    }

    /// Tells members for one turn; what is left is told in turn with others.
    fn fill(&mut self, mut expansion: Expansion) {
        let told = expansion.fill(&mut self.slice, self.limits.turn());
        self.round.of_new = self.round.of_new.saturating_sub(told.max(1));
        if expansion.is_done() {
            self.slice.finish(expansion.done(), expansion.status(), expansion.letters(self.partition));
        } else {
            self.active.push_back(Active::Telling(Box::new(expansion)));
        }
    }

    /// What a commit says of how far it is.
    fn progress(&self) -> (Position, Vec<Open>) {
        let mut open: Vec<_> = self.active.iter().map(Active::open).chain(self.agenda.open()).collect();
        open.sort_unstable_by_key(|open| open.offset);
        (self.agenda.reach(), open)
    }

    /// Takes the slice, to be written.
    fn seal(&mut self) -> State {
        let mut slice = self.slice.seal(self.partitions);
        slice.statuses.extend(self.active.iter().filter_map(Active::status));
        let (reach, open) = self.progress();
        self.committed = (reach, open.clone());
        let commit = Checkpoint { reach, open, done: std::mem::take(&mut slice.done) }.commit();
        State::Sealed { slice, commit }
    }
}
