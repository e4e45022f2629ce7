//! The fan-out of one partition of the events log, as a state machine: what to do next, given what has been done.
//!
//! No IO, no clock, no awaits. [`Machine::next`] names one effect, its `handle_` call brings the answer. Asking again before
//! the answer means that it was lost. For all effects but a write that is harmless: they are named again. A write whose
//! answer is lost is a crash that we survived: the machine forgets everything and begins at the commit, which says whether
//! the slice is there. So there is one way to recover, and it is the ordinary way to start.

use std::collections::VecDeque;

use peal_proto::{Audience, CommunityId, EventId, Offset, Partition, Position, UserId};
use peal_store::StoreError;
use peal_store::log::{Commit, NewRecord, Record};
use peal_store::members::{MembersPage, ScanCursor};
use peal_store::status::{Claim, Origin, Status};

use super::checkpoint::Checkpoint;
use super::letter::{self, Letter};
use super::slice::{Sealed, Slice, SliceLimits};
use super::work::{Expansion, Work};
use crate::members::Roll;
use crate::status;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Become the only writer, then read the commit: [`Machine::handle_opened`].
    Open,
    /// Read the events at this position and behind it; waits: [`Machine::handle_records`].
    Read { from: Position },
    /// Claim an event for its copy: [`Machine::handle_claim`].
    Claim { event: EventId, origin: Origin },
    /// Read the next members: [`Machine::handle_page`].
    Scan { community: CommunityId, from: Option<ScanCursor> },
    /// Make a member: [`Machine::handle_joined`].
    Join { community: CommunityId, user: UserId },
    /// Write a slice with its commit: [`Machine::handle_written`].
    Write { records: Vec<NewRecord>, commit: Commit },
    /// Say how far events are, all true by now: [`Machine::handle_reported`].
    Report {
        statuses: Vec<Status>,
        /// Whether it was perhaps said before the start.
        again: bool,
    },
    /// Append a dead letter: [`Machine::handle_buried`].
    Bury(Letter),
}

/// The fan-out of one partition.
pub(crate) struct Machine {
    partition: Partition,
    partitions: u32,
    state: State,
    /// Where this machine began.
    resumed: Checkpoint,
    /// Behind the last event done with.
    position: Position,
    /// The position of the last commit.
    committed: Position,
    /// Behind the last event read.
    read_to: Position,
    /// Read and not looked at.
    unread: VecDeque<Record>,
    slice: Slice,
}

/// What is waited for.
enum State {
    Closed,
    Reading,
    Claiming(Box<Work>),
    Scanning { work: Box<Work>, community: CommunityId, from: Option<ScanCursor>, roll: Roll },
    Joining { work: Box<Work>, community: CommunityId, user: UserId, roll: Roll },
    Sealed { records: Vec<NewRecord>, commit: Commit, after: After },
    Writing(After),
    Reporting(After),
    Burying(Letter),
}

/// What follows a commit: what is said, and the event to go on with.
struct After {
    statuses: Vec<Status>,
    again: bool,
    rest: Option<Box<Expansion>>,
}

impl Machine {
    /// The fan-out of one partition of the events, to the notifications' `partitions`.
    pub(crate) fn new(partition: Partition, partitions: u32, limits: SliceLimits) -> Self {
        Self {
            partition,
            partitions,
            state: State::Closed,
            resumed: Checkpoint::default(),
            position: Position::START,
            committed: Position::START,
            read_to: Position::START,
            unread: VecDeque::new(),
            slice: Slice::new(limits),
        }
    }

    /// What to do next.
    pub(crate) fn next(&mut self) -> Effect {
        match &self.state {
            State::Sealed { .. } | State::Writing(_) => self.hand_out(),
            State::Closed => Effect::Open,
            State::Reading => Effect::Read { from: self.read_to },
            State::Claiming(work) => {
                let origin = Origin { partition: self.partition, offset: work.offset };
                Effect::Claim { event: work.id(), origin }
            }
            State::Scanning { community, from, .. } => Effect::Scan { community: *community, from: *from },
            State::Joining { community, user, .. } => Effect::Join { community: *community, user: *user },
            State::Reporting(After { statuses, again, .. }) => {
                Effect::Report { statuses: statuses.clone(), again: *again }
            }
            State::Burying(letter) => Effect::Bury(letter.clone()),
        }
    }

    /// A slice is handed out once. Asked again, nothing is known but what the commit says.
    fn hand_out(&mut self) -> Effect {
        let State::Sealed { records, commit, after } = self.take() else { return Effect::Open };
        self.state = State::Writing(after);
        Effect::Write { records, commit }
    }

    /// This machine is the only writer, and this is the commit.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the commit is not one of ours.
    pub(crate) fn handle_opened(&mut self, commit: Option<Commit>) -> Result<(), StoreError> {
        self.resumed = Checkpoint::of(commit)?;
        self.position = self.resumed.position;
        self.committed = self.resumed.position;
        self.read_to = self.resumed.read_from();
        self.unread.clear();
        self.slice.clear();
        self.state = State::Reading;
        Ok(())
    }

    /// The next events, in order.
    pub(crate) fn handle_records(&mut self, records: Vec<Record>) {
        let State::Reading = self.take() else { return };
        self.read_to = records.last().map_or(self.read_to, |last| Position::behind(last.offset));
        self.unread.extend(records);
        self.advance();
    }

    /// No event has come for a long time: the commit is written again, so that the log does not forget it.
    pub(crate) fn handle_quiet(&mut self) {
        let State::Reading = self.take() else { return };
        if self.position != self.resumed.position {
            return self.write(None);
        }
        // As it was found: an event may be half told.
        let after = After { statuses: Vec::new(), again: false, rest: None };
        self.state = State::Sealed { records: Vec::new(), commit: self.resumed.commit(), after };
    }

    /// Whether the copy counts.
    pub(crate) fn handle_claim(&mut self, claim: Claim) {
        let State::Claiming(work) = self.take() else { return };
        match claim {
            Claim::Ours => self.begin(work),
            Claim::Duplicate => self.pass(work.offset),
        }
    }

    /// Some of the members.
    pub(crate) fn handle_page(&mut self, page: &MembersPage) {
        let State::Scanning { work, community, from: _, mut roll } = self.take() else { return };
        roll.add(&page.users);
        if page.next.is_some() {
            self.state = State::Scanning { work, community, from: page.next, roll };
            return;
        }
        match work.event.join {
            // Behind the members, because a set that was lost is no more to be seen once somebody is in it again.
            Some(join) => self.state = State::Joining { work, community, user: join.user, roll },
            None => self.expand(Box::new(Expansion::of(work, roll))),
        }
    }

    /// The joiner is a member.
    pub(crate) fn handle_joined(&mut self) {
        let State::Joining { work, community: _, user, mut roll } = self.take() else { return };
        roll.add(&[user]);
        self.expand(Box::new(Expansion::of(work, roll)));
    }

    /// The slice and its commit are durable.
    pub(crate) fn handle_written(&mut self) {
        let State::Writing(after) = self.take() else { return };
        self.committed = self.position;
        if after.statuses.is_empty() { self.advance() } else { self.state = State::Reporting(after) }
    }

    /// The statuses are said.
    pub(crate) fn handle_reported(&mut self) {
        let State::Reporting(after) = self.take() else { return };
        match after.rest {
            Some(expansion) => self.expand(expansion),
            None => self.advance(),
        }
    }

    /// The dead letter is durable.
    pub(crate) fn handle_buried(&mut self) {
        let State::Burying(letter) = self.take() else { return };
        self.pass(letter.offset);
    }

    /// The state, to be replaced. An answer that does not belong to it leaves it closed, to begin at the commit.
    fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }

    /// On to the next event; once there is none at hand, writes what there is before it waits for more.
    fn advance(&mut self) {
        while !self.slice.is_full() {
            let Some(record) = self.unread.pop_front() else { break };
            if self.look_at(&record) {
                return;
            }
        }
        let nothing_to_write = self.slice.is_empty() && self.position == self.committed;
        if nothing_to_write { self.state = State::Reading } else { self.write(None) }
    }

    /// Whether there is something to do about it.
    fn look_at(&mut self, record: &Record) -> bool {
        let offset = record.offset;
        let event = letter::open(record);
        if self.resumed.position.covers(offset) {
            let Some((members, event)) = self.resumed.members_of(offset).zip(event.ok()) else { return false };
            let statuses = vec![status::published(&event, members)];
            self.state = State::Reporting(After { statuses, again: true, rest: None });
            return true;
        }
        match event {
            Ok(event) => {
                let work = Box::new(Work { event, offset, part: self.resumed.part_of(offset) });
                if work.part.is_some() { self.begin(work) } else { self.state = State::Claiming(work) }
            }
            Err(poison) => self.state = State::Burying(Letter::of(record, self.partition, poison)),
        }
        true
    }

    /// Finds out who is told.
    fn begin(&mut self, work: Box<Work>) {
        match work.event.audience {
            Audience::Community(community) => {
                self.state = State::Scanning { work, community, from: None, roll: Roll::default() };
            }
            Audience::User(user) => {
                let mut roll = Roll::default();
                roll.add(&[user]);
                self.expand(Box::new(Expansion::of(work, roll)));
            }
        }
    }

    /// Done with the record at this offset, on to the next.
    fn pass(&mut self, offset: Offset) {
        self.position = Position::behind(offset);
        self.advance();
    }

    /// Tells members; once all are told, on to the next event.
    fn expand(&mut self, mut expansion: Box<Expansion>) {
        expansion.fill(&mut self.slice);
        if !expansion.is_done() {
            return self.write(Some(expansion));
        }
        let done = expansion.done();
        self.slice.finish(done, expansion.status());
        self.pass(done.offset);
    }

    /// Writes the slice; then goes on with the rest of an event.
    fn write(&mut self, rest: Option<Box<Expansion>>) {
        let Sealed { records, done, mut statuses } = self.slice.seal(self.partitions);
        statuses.extend(rest.as_ref().map(|expansion| expansion.status()));
        let part = rest.as_ref().and_then(|expansion| expansion.part());
        let commit = Checkpoint { position: self.position, done, part }.commit();
        self.state = State::Sealed { records, commit, after: After { statuses, again: false, rest } };
    }
}
