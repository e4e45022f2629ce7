//! What clients must be told: every record of their user's log, in its order, once behind their cursor; or a gap that says
//! so, where one is allowed; or nothing, where a newer one of its collapse key took its place in the inbox.

use std::collections::BTreeSet;
use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{CloseCode, Cursor, Position, UserId, close::Again};

use super::{Entries, Entry, Evidence, Violation};
use crate::book::{Heard, Socket, What};
use crate::services::Services;

/// One user's log in one generation, and the sockets that were opened in it.
pub(super) struct OwnLog<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) entries: &'a [Entry],
    pub(super) era: usize,
    pub(super) user: UserId,
}

pub(super) fn check(evidence: &Evidence, entries: &Entries, violations: &mut Vec<Violation>) {
    for (number, socket) in evidence.sockets.iter().enumerate() {
        check_ends(number, socket, violations);
        check_frames(number, socket, entries, violations);
    }
    for device in 0..evidence.devices.len() {
        check_repeats(evidence, device, violations);
    }
    let users: BTreeSet<_> = evidence.devices.iter().copied().collect();
    for (era, log) in entries.iter().enumerate() {
        for user in &users {
            let entries = log.get(user).map(Vec::as_slice).unwrap_or_default();
            let own = OwnLog { evidence, entries, era, user: *user };
            own.check_sockets(violations);
            own.check_all_told(violations);
            own.check_gaps(violations);
            own.check_deadlines(violations);
        }
    }
}

fn check_ends(number: usize, socket: &Socket, violations: &mut Vec<Violation>) {
    if let (Some((_, hello)), presented) = (socket.hello, socket.presented)
        && presented.is_some_and(|presented| presented != hello)
    {
        violations.push(Violation::WrongHello { socket: number, presented, hello });
    }
    let closed = socket.closed.as_ref();
    let code = closed.and_then(|closed| closed.code);
    if let (Some(closed), Some(code)) = (closed, code)
        && CloseCode::from_number(code).is_none_or(|code| code.again() == Again::Never)
    {
        violations.push(Violation::Refused { socket: number, code, why: closed.why.clone() });
    }
}

/// Frames stand in order, and each is a record of the log at its place, byte for byte.
fn check_frames(number: usize, socket: &Socket, entries: &Entries, violations: &mut Vec<Violation>) {
    let mut behind: Option<Cursor> = None;
    for Heard { cursor, what, .. } in &socket.heard {
        if let Some(behind) = behind.filter(|behind| cursor <= behind) {
            let repeat = socket.heard.iter().filter(|other| other.cursor == *cursor && other.what == *what).count() > 1;
            if !repeat {
                violations.push(Violation::OutOfOrder { socket: number, cursor: *cursor, behind });
            }
        }
        behind = behind.max(Some(*cursor));
        let What::Notification(text) = what else { continue };
        let log = cursor.generation.get().checked_sub(1).and_then(|era| entries.get(era as usize));
        let known = log.and_then(|log| log.get(&socket.user)).is_some_and(|entries| {
            entries.iter().any(|entry| Position::behind(entry.offset) == cursor.position && entry.text == *text)
        });
        if !known {
            violations.push(Violation::NotOfTheLog { socket: number, cursor: *cursor, text: text.clone() });
        }
    }
}

/// What a device showed it showed once.
fn check_repeats(evidence: &Evidence, device: usize, violations: &mut Vec<Violation>) {
    let mut seen = BTreeSet::new();
    let sockets = evidence.sockets.iter().filter(|socket| socket.device == device);
    for heard in sockets.flat_map(|socket| &socket.heard).filter(|heard| heard.shown) {
        if let What::Notification(text) = &heard.what
            && !seen.insert(crate::device::id(text))
        {
            violations.push(Violation::SeenTwice { device, id: crate::device::id(text).to_owned() });
        }
    }
}

impl OwnLog<'_> {
    pub(super) fn sockets(&self) -> impl Iterator<Item = (usize, &Socket)> {
        self.evidence.sockets.iter().enumerate().filter(|(_, socket)| socket.user == self.user)
    }

    pub(super) fn position(&self, cursor: Cursor) -> Option<Position> {
        (cursor.generation == Services::generation(self.era)).then_some(cursor.position)
    }

    /// Where a frame begins and ends, if it is of this generation; a gap of generations covers the rest of the old one.
    fn range(&self, heard: &Heard) -> Option<(Position, Position)> {
        let to = self.position(heard.cursor);
        match &heard.what {
            What::Notification(_) => {
                let to = to?;
                let entry = self.entries.iter().find(|entry| Position::behind(entry.offset) == to)?;
                Some((Position::at(entry.offset), to))
            }
            What::Gap { from, .. } => match (self.position(*from), to) {
                (Some(from), Some(to)) => Some((from, to)),
                (Some(from), None) => Some((from, Position::at(peal_proto::Offset::new(u64::MAX)))),
                (None, _) => None,
            },
        }
    }

    fn tells(&self, heard: &Heard, entry: &Entry) -> bool {
        self.range(heard).is_some_and(|(from, to)| !from.covers(entry.offset) && to.covers(entry.offset))
    }

    /// From where it was opened to where it came, a socket passed over nothing but what another had settled before.
    fn check_sockets(&self, violations: &mut Vec<Violation>) {
        for (number, socket) in self.sockets() {
            let Some((_, hello)) = socket.hello else { continue };
            let of_this_log = socket.heard.iter().filter_map(|heard| self.position(heard.cursor)).max();
            let begin = self.position(hello);
            // A socket without a cursor begins at the start of the log that it was opened in, which its frames tell.
            let begin =
                if socket.presented.is_none() { of_this_log.and(begin.or(Some(Position::START))) } else { begin };
            let fresh = socket.presented.is_some() && begin.is_none() && of_this_log.is_some();
            let Some(begin) = begin.or(fresh.then_some(Position::START)) else { continue };
            let last = self.era + 1 == self.evidence.logs.len();
            let open = last && socket.closed.is_none();
            let end = of_this_log.unwrap_or(begin);
            for entry in self.entries.iter().filter(|entry| !begin.covers(entry.offset)) {
                let due = open || end.covers(entry.offset);
                let told = socket.heard.iter().any(|heard| self.tells(heard, entry));
                if due && !told && !self.is_needless(entry, number, socket) && !self.is_excused(entry) {
                    violations.push(Violation::Skipped { socket: number, id: entry.id.clone() });
                }
            }
        }
    }

    /// Whether this socket need not be told of it: another device has settled it, or a newer one has taken its place.
    fn is_needless(&self, entry: &Entry, number: usize, socket: &Socket) -> bool {
        let is_settled = |(greeted, _)| self.is_settled(entry, number, greeted);
        self.may_be_replaced(entry) || socket.hello.is_some_and(is_settled)
    }

    /// Whether another device of the user had acknowledged this before: the first ack settles.
    fn is_settled(&self, entry: &Entry, number: usize, greeted: Duration) -> bool {
        let device = self.evidence.sockets[number].device;
        let mut others = self.sockets().filter(|(_, socket)| socket.device != device);
        let covers = |cursor: Cursor| self.position(cursor).is_some_and(|position| position.covers(entry.offset));
        let in_time = |at: Duration| at < greeted || self.evidence.had_twins;
        others.any(|(_, socket)| {
            let presented = in_time(socket.asked) && socket.presented.is_some_and(covers);
            presented || socket.acks.iter().any(|(at, cursor)| in_time(*at) && covers(*cursor))
        })
    }

    /// Every record was shown by a device of its user, or one was told of a gap.
    fn check_all_told(&self, violations: &mut Vec<Violation>) {
        for entry in self.entries {
            let told = self.sockets().flat_map(|(_, socket)| &socket.heard).any(|heard| self.tells(heard, entry));
            let left_behind = self.era + 1 < self.evidence.logs.len() && self.has_new_device();
            if !told && !left_behind && !self.may_be_replaced(entry) && !self.is_excused(entry) {
                violations.push(Violation::Lost { id: entry.id.clone(), offset: entry.offset });
            }
        }
    }

    /// Whether the retention may have taken this, and a wipe the gap.
    fn is_excused(&self, entry: &Entry) -> bool {
        let last = || self.sockets().flat_map(|(_, socket)| &socket.heard).map(|heard| heard.at).max();
        let gone =
            || self.within_quota(entry).is_none() || self.within_ttl(entry, last().unwrap_or_default()).is_none();
        self.evidence.inbox_went_back && gone()
    }

    /// Whether a device of the user had no cursor of this generation: then nobody can know what it missed of it.
    fn has_new_device(&self) -> bool {
        let devices = self.evidence.devices.iter().enumerate().filter(|(_, user)| **user == self.user);
        devices.map(|(device, _)| device).any(|device| {
            let mut own = self.sockets().filter(|(_, socket)| socket.device == device);
            !own.any(|(_, socket)| socket.heard.iter().any(|heard| self.position(heard.cursor).is_some()))
        })
    }

    /// A gap covers something, and only what was lost as its reason says, or what this socket would not have been given anyway.
    fn check_gaps(&self, violations: &mut Vec<Violation>) {
        for (number, socket) in self.sockets() {
            for heard in &socket.heard {
                let What::Gap { reason, .. } = &heard.what else { continue };
                let Some((from, to)) = self.range(heard) else { continue };
                let covered =
                    || self.entries.iter().filter(|entry| !from.covers(entry.offset) && to.covers(entry.offset));
                let is_due = |entry: &&Entry| !self.is_needless(entry, number, socket) && !self.is_excused(entry);
                let kept = || covered().filter(is_due);
                let why = match reason {
                    GapReason::Generation => (self.position(heard.cursor).is_some()).then_some("it is the same log"),
                    _ if covered().next().is_none() => Some("it covers nothing"),
                    GapReason::Quota => kept().find_map(|entry| self.within_quota(entry)),
                    GapReason::Expired => kept().find_map(|entry| self.within_ttl(entry, heard.at)),
                };
                if let Some(why) = why {
                    let (to, reason) = (heard.cursor, *reason);
                    violations.push(Violation::GapNotAllowed { socket: number, to, reason, why });
                }
            }
        }
    }

    pub(super) fn within_quota(&self, entry: &Entry) -> Option<&'static str> {
        let behind = self.entries.iter().filter(|other| other.offset > entry.offset).count();
        let most = self.evidence.retention.notifications_max as usize;
        (behind < most).then_some("its user has not so many notifications behind it")
    }

    pub(super) fn within_ttl(&self, entry: &Entry, at: Duration) -> Option<&'static str> {
        let post = &self.evidence.posts[&entry.event];
        let ttl = post.keep.ttl.map_or(Duration::MAX, Duration::from_secs).min(self.evidence.retention.ttl);
        let age = at.saturating_sub(post.sent) + 2 * self.evidence.skew_max;
        (age < ttl).then_some("it is not so old")
    }

    /// When its own time is over for certain, whatever the clocks say.
    pub(super) fn deadline(&self, entry: &Entry) -> Option<Duration> {
        let post = &self.evidence.posts[&entry.event];
        Some(post.accepted? + Duration::from_secs(post.keep.ttl?) + 2 * self.evidence.skew_max)
    }

    /// Nothing is given to a socket that was opened behind the deadline.
    fn check_deadlines(&self, violations: &mut Vec<Violation>) {
        for entry in self.entries {
            let Some(deadline) = self.deadline(entry) else { continue };
            for (number, socket) in self.sockets().filter(|(_, socket)| socket.asked > deadline) {
                let given = |heard: &&Heard| matches!(heard.what, What::Notification(_)) && self.tells(heard, entry);
                if socket.heard.iter().any(|heard| given(&heard)) {
                    violations.push(Violation::TooLate { socket: number, id: entry.id.clone() });
                }
            }
        }
    }

    /// Whether a newer one of its collapse key may have taken its place: both went to the inbox.
    pub(super) fn may_be_replaced(&self, entry: &Entry) -> bool {
        let is_newer = |other: &&Entry| other.offset > entry.offset && other.collapse == entry.collapse;
        let mut newer = self.entries.iter().filter(is_newer);
        entry.collapse.is_some() && self.went_in(entry) && newer.any(|other| self.went_in(other))
    }

    /// Whether any node ever gave it to an inbox.
    pub(super) fn went_in(&self, entry: &Entry) -> bool {
        self.evidence.parked.contains(&(Services::generation(self.era), self.user, entry.offset))
    }
}
