//! The oracle: holds what happened against the contract. It knows the contract, the log and what clients saw, and nothing
//! of how publisher and nodes work.
//!
//! In the order of the data: every accepted event stands in the log once for each member ([`log`]), every record of the log
//! reaches its user in order, once, or is told of as a gap
//! ([`delivery`]), and the account of its event says what became of it ([`accounts`]).

mod accounts;
mod delivery;
mod log;
mod membership;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{CommunityId, Cursor, EventId, Generation, Offset, UserId};
use peal_store::inbox::Retention;
use peal_store::status::Account;

use crate::book::{Change, Post, Socket};
use crate::services::Records;

/// All that is known of a run.
pub(crate) struct Evidence {
    pub(crate) partitions: u32,
    pub(crate) retention: Retention,
    /// Whether the inbox was wiped or went back in time. Gaps that were not told yet go with it, so what the retention took
    /// may then be missing without a word: the one silence that the design has.
    pub(crate) inbox_went_back: bool,
    /// Whether two nodes served the same users: neither knows the other's sockets, so an ack at one settles for those too
    /// that are open at the other.
    pub(crate) had_twins: bool,
    /// How far wall clocks differ from the time.
    pub(crate) skew_max: Duration,
    /// Whose each device is.
    pub(crate) devices: Vec<UserId>,
    pub(crate) posts: BTreeMap<EventId, Post>,
    pub(crate) changes: Vec<Change>,
    pub(crate) sockets: Vec<Socket>,
    /// Which notifications went to an inbox; the others can't be parked.
    pub(crate) parked: BTreeSet<(Generation, UserId, Offset)>,
    /// What was said of the events of the last log at the end, when all was quiet.
    pub(crate) accounts: BTreeMap<EventId, Option<Account>>,
    /// When that was.
    pub(crate) ended: Duration,
    /// The notification log of each generation, from the first.
    pub(crate) logs: Vec<Records>,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Everything is healed, and something is still not done.
    NotQuiet { after: Duration, missing: String },
    /// The simulation itself ended with an error.
    Broke { why: String },
    /// Tasks panicked.
    Panicked { times: usize },
    /// An accepted event has no record for somebody who was a member.
    NotInLog { event: EventId, user: UserId },
    /// The log holds a notification twice.
    TwiceInLog { id: String },
    /// A record for somebody who was not a member.
    Uninvited { event: EventId, user: UserId },
    /// A record of an event that nobody posted, or that is not what a record is.
    NotARecord { value: String, why: &'static str },
    /// In the log of a user an event stands before another that was accepted before it was posted, or stands before it in its
    /// batch.
    LogOutOfOrder { user: UserId, first: EventId, then: EventId },
    /// Two users have two events of a community in different orders.
    OrdersDiffer { community: CommunityId, user: UserId, first: EventId, then: EventId },
    /// The status of a published event says other numbers than the log.
    WrongStatus { event: EventId, members: u64, published: u64, recorded: u64 },
    /// The account of an event is not of what became of its records.
    WrongAccount { event: EventId, why: String, account: Option<Box<Account>> },
    /// A notification was given to a socket that was opened when its time was over.
    TooLate { socket: usize, id: String },
    /// A record that no device of its user ever showed, and no gap told of, and no newer one replaced.
    Lost { id: String, offset: Offset },
    /// A socket passed over a record without a word.
    Skipped { socket: usize, id: String },
    /// A device showed a notification twice.
    SeenTwice { device: usize, id: String },
    /// A frame came behind one that stands behind it in the log.
    OutOfOrder { socket: usize, cursor: Cursor, behind: Cursor },
    /// A frame that is not a record of the log at its place.
    NotOfTheLog { socket: usize, cursor: Cursor, text: String },
    /// A gap where there may be none.
    GapNotAllowed { socket: usize, to: Cursor, reason: GapReason, why: &'static str },
    /// A hello that begins elsewhere than where the client is.
    WrongHello { socket: usize, presented: Option<Cursor>, hello: Cursor },
    /// A client that did nothing wrong was told never to come again.
    Refused { socket: usize, code: u16, why: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Everything that is wrong.
pub(crate) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let entries = log::read(evidence, &mut violations);
    log::check(evidence, &entries, &mut violations);
    delivery::check(evidence, &entries, &mut violations);
    accounts::check(evidence, &entries, &mut violations);
    violations
}

/// Whether the accounts that were asked for say what became of their events.
pub(crate) fn accounts_are_right(evidence: &Evidence) -> bool {
    let mut violations = Vec::new();
    let entries = log::read(evidence, &mut violations);
    violations.clear(); // of the log's own
    accounts::check(evidence, &entries, &mut violations);
    violations.is_empty()
}

/// A notification as the log has it.
#[derive(Debug, Clone)]
struct Entry {
    offset: Offset,
    event: EventId,
    /// `<event>:<user>`.
    id: String,
    collapse: Option<&'static str>,
    text: String,
}

/// The log of each generation, by user.
type Entries = Vec<BTreeMap<UserId, Vec<Entry>>>;
