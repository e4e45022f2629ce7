//! What can happen to a partition, and what it wants done: the whole language between the core and its shell.
//!
//! A list of inputs is a fuzz case, the record of a failure and the script that replays it.

use bytes::Bytes;
use peal_proto::frame::GapReason;
use peal_proto::{
    CloseCode, CollapseKey, Cursor, EventId, Offline, Offset, Position, Receipt, Settled, Timestamp, UserId,
};
use peal_store::inbox::{Entry, Marker, Page, PageRequest, Parked};

use crate::shedding::Shed;

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
        /// Whose notification it is, if that of an event.
        event: Option<EventId>,
        /// When it is no longer worth delivering.
        expires: Option<Timestamp>,
        /// What it replaces in the inbox of its user.
        collapse: Option<CollapseKey>,
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
    /// The answer to [`Output::Trim`]: the inbox's marker, read after what was to be dropped.
    Trimmed(Result<Option<Marker>, Unavailable>),
    /// The answer to [`Output::Commit`].
    Committed(Result<(), Unavailable>),
    /// The node has so much or so little memory that this is shed from now on.
    Shed(Shed),
    /// The partition is given up: close the sockets with this code for this reason, park what is left, commit.
    Drain(CloseCode, String),
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
        /// How many older ones it stands for.
        replaced: u32,
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
    /// Write down that these users' entries below the positions are delivered, then drop them; one at a time.
    Trim {
        /// By user.
        trims: Vec<(UserId, Position)>,
    },
    /// Write down who is away, then the receipts, then commit; one at a time.
    Commit {
        /// How far.
        settled: Settled,
        /// What became of the notifications below that, since the last commit.
        receipts: Vec<Receipt>,
        /// Which of them were parked and are to be pushed if nobody acknowledges them.
        offline: Vec<Offline>,
    },
    /// Read the log again from here: what was read from it and not answered is of no use.
    Rewind {
        /// The first position to read.
        to: Position,
    },
}
