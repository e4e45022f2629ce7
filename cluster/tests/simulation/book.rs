//! The book: what was posted and answered, what every socket was told and said, and when. Facts only; whether they are
//! right is the oracle's business.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peal_proto::frame::GapReason;
use peal_proto::{Audience, CommunityId, Cursor, EventId, Generation, Offset, UserId};
use peal_store::status::Account;

/// What becomes of the lines of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// Nothing: the fastest.
    Off,
    /// They are hashed, so that two runs can be compared.
    Hashed,
    /// They are hashed, and printed as they happen.
    Printed,
}

/// A handle on the book.
#[derive(Clone)]
pub(crate) struct Book(Arc<Mutex<Pages>>);

/// The book's pages.
pub(crate) struct Pages {
    trace: Trace,
    digest: DefaultHasher,
    now: Duration,
    pub(crate) posts: BTreeMap<EventId, Post>,
    pub(crate) changes: Vec<Change>,
    pub(crate) sockets: Vec<Socket>,
    /// Which notifications any node ever gave to an inbox.
    pub(crate) parked: BTreeSet<(Generation, UserId, Offset)>,
    /// What was said last of the events whose account was asked for.
    pub(crate) accounts: BTreeMap<EventId, Option<Account>>,
    /// Errands of the community service that are not done.
    pub(crate) errands: usize,
    /// What happened how often: that a run provoked something, and whether all is quiet.
    pub(crate) tally: Tally,
}

/// How often what happened.
pub(crate) type Tally = BTreeMap<&'static str, u64>;

/// An event as its poster knows it.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) audience: Audience,
    pub(crate) join: Option<Join>,
    pub(crate) keep: Keep,
    /// When it was sent first.
    pub(crate) sent: Duration,
    /// When it was answered that it is durable; until then it may be there or not.
    pub(crate) accepted: Option<Duration>,
    /// What stands before it in its batch for the same audience, and is told before it.
    pub(crate) behind: Option<EventId>,
    /// When it was seen to be published, and what was said of it then.
    pub(crate) published: Option<Published>,
}

/// What is kept of an event for those who are away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Seconds for which it is worth telling.
    pub(crate) ttl: Option<u64>,
    /// It replaces older ones of this key.
    pub(crate) collapse: Option<&'static str>,
}

impl Keep {
    pub(crate) fn write(self, body: &mut serde_json::Value) {
        if let Some(ttl) = self.ttl {
            body["ttl"] = ttl.into();
        }
        if let Some(key) = self.collapse {
            body["collapse"] = key.into();
        }
    }
}

/// Who joined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Join {
    pub(crate) user: UserId,
    pub(crate) notify_self: bool,
}

/// The last status of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) at: Duration,
    pub(crate) members: u64,
    pub(crate) published: u64,
}

impl Post {
    /// Whose members are told, unless it is for one user.
    pub(crate) fn community(&self) -> Option<CommunityId> {
        match self.audience {
            Audience::Community(community) => Some(community),
            Audience::User(_) => None,
        }
    }

    /// Who is told, if it is one user.
    pub(crate) fn user(&self) -> Option<UserId> {
        match self.audience {
            Audience::Community(_) => None,
            Audience::User(user) => Some(user),
        }
    }
}

/// An attempt to change who is a member.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) community: CommunityId,
    pub(crate) users: Vec<UserId>,
    pub(crate) adds: bool,
    pub(crate) sent: Duration,
    /// Until then it may happen at any time; `None` for ever.
    pub(crate) answered: Option<Duration>,
}

/// One socket as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    pub(crate) device: usize,
    pub(crate) user: UserId,
    /// When it was asked for, and with which cursor.
    pub(crate) asked: Duration,
    pub(crate) presented: Option<Cursor>,
    pub(crate) hello: Option<(Duration, Cursor)>,
    /// When anything came last, a ping included.
    pub(crate) alive: Duration,
    pub(crate) heard: Vec<Heard>,
    pub(crate) acks: Vec<(Duration, Cursor)>,
    pub(crate) closed: Option<Closed>,
}

/// A frame behind the hello.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) at: Duration,
    /// Where the client is behind it.
    pub(crate) cursor: Cursor,
    /// Whether it was behind the client's own cursor, and so new to it.
    pub(crate) shown: bool,
    pub(crate) what: What,
}

/// What the frame was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// These bytes.
    Notification(String),
    /// What could not be kept.
    Gap { from: Cursor, reason: GapReason },
}

/// How a socket ended for its client.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    /// The node's close code; `None` when the client left, or the connection broke.
    pub(crate) code: Option<u16>,
    pub(crate) why: String,
}

impl Book {
    pub(crate) fn new(trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(Pages {
            trace,
            digest: DefaultHasher::new(),
            now: Duration::ZERO,
            posts: BTreeMap::new(),
            changes: Vec::new(),
            sockets: Vec::new(),
            parked: BTreeSet::new(),
            accounts: BTreeMap::new(),
            errands: 0,
            tally: Tally::new(),
        })))
    }

    /// The pages, to read or write.
    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the trace; not even made when there is none.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let mut pages = self.open();
        if pages.trace == Trace::Off {
            return;
        }
        let now = turmoil::sim_elapsed().unwrap_or(pages.now);
        let line = format!("{:>9.3} {}", now.as_secs_f64(), line());
        line.hash(&mut pages.digest);
        if pages.trace == Trace::Printed {
            eprintln!("{line}");
        }
    }

    /// Counts something that happened.
    pub(crate) fn count(&self, what: &'static str) {
        *self.open().tally.entry(what).or_default() += 1;
    }

    /// The time, for lines that nobody in the cluster writes.
    pub(crate) fn set_now(&self, now: Duration) {
        self.open().now = now;
    }

    /// What the trace was.
    pub(crate) fn digest(&self) -> u64 {
        self.open().digest.finish()
    }
}
