//! The limits of a node, each with its unit, its default and the reason for it.

use std::time::Duration;

use peal_store::inbox::Retention;

/// What bounds one partition and the sockets of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a notification given to a socket may stay unacknowledged before it is parked. Clients acknowledge at least
    /// once a second; ten times that is a client that is gone or stuck.
    pub ack_timeout: Duration,
    /// How long a socket may be over its byte budget before it is closed with 4002. What it missed is in the inbox.
    pub slow_timeout: Duration,
    /// How often a socket is pinged. Proxies commonly cut connections idle for 30 s or 60 s.
    pub heartbeat: Duration,
    /// How often the position of a partition is committed while it moves. A crash reads this much again.
    pub commit_interval: Duration,
    /// How long to wait after a store did not answer; doubled at each further failure, up to `retry_max`.
    pub retry_min: Duration,
    /// The longest wait after a store did not answer.
    pub retry_max: Duration,
    /// Bytes given to a socket and not written, and bytes of a user's unsettled records: beyond either, the user's records
    /// go through its inbox.
    pub session_bytes_max: usize,
    /// Bytes of unsettled records of a partition: beyond it the partition is not read on.
    pub window_bytes_max: usize,
    /// Records of a partition in memory, with the settled behind an unsettled one and what no receipt says yet: some 150 bytes
    /// each.
    pub window_records_max: usize,
    /// Records in one batch to the inbox: a few hundred share an fsync or a round trip.
    pub park_batch_max: usize,
    /// Users in one request for pages.
    pub pages_max: usize,
    /// Entries in one page.
    pub page_entries_max: usize,
    /// Bytes in one page: a socket is asked to take one only while half its budget is free.
    pub page_bytes_max: usize,
    /// Sockets of one user; one more closes the oldest with 4003.
    pub sessions_per_user_max: usize,
    /// How long the inbox keeps an entry; the accounts of events say that it is parked no longer.
    pub inbox_ttl: Duration,
    /// How long a parked notification may wait for its user before it is pushed; `None` where nothing is pushed, and nothing
    /// written down.
    pub push_after: Option<Duration>,
    /// How long the lease on a partition lasts without being renewed. A partition whose node died stands still so long.
    pub lease_term: Duration,
    /// Over how long a node that is asked to stop gives its partitions to the others, a few at a time; `None` where there will be
    /// no others, and its sockets are told to come back.
    pub drain_spread: Option<Duration>,
    /// How long a partition may be quiet before a canary is sent through it; `None` where the log is in the same process and
    /// can't be deaf. Each costs a record of some 80 bytes in the log.
    pub canary_interval: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(10),
            slow_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(25),
            commit_interval: Duration::from_millis(250),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
            session_bytes_max: 256 * 1024,
            window_bytes_max: 32 * 1024 * 1024,
            window_records_max: 256 * 1024,
            park_batch_max: 512,
            pages_max: 64,
            page_entries_max: 256,
            page_bytes_max: 64 * 1024,
            sessions_per_user_max: 8,
            inbox_ttl: Retention::default().ttl,
            push_after: None,
            lease_term: Duration::from_secs(5),
            drain_spread: None,
            canary_interval: None,
        }
    }
}

/// Runs of notifications in one receipt: with ids of 64 characters some 150 bytes each, and Kafka takes a megabyte.
pub const RECEIPT_RUNS_MAX: usize = 4_000;

/// Users whose inboxes are looked at together before they are trimmed.
pub const REPLAYED_PAGES_MAX: usize = 16;

/// Entries of a user looked at together before they are trimmed.
pub const REPLAYED_PAGE_ENTRIES_MAX: usize = 256;

/// Bytes of a user's entries looked at together before they are trimmed: 4 MiB with those of the others.
pub const REPLAYED_PAGE_BYTES_MAX: usize = 256 * 1024;

/// How often a lease is claimed in its term: two claims may fail before it runs out.
pub const LEASE_CLAIMS_PER_TERM: u32 = 4;

/// How often a lease is asked for that another holds: a partition that moves is silent for so long after it was given up.
pub const LEASE_WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// How long a partition that moves may take to park and commit what is unsettled. What is left is read again by its new owner; all
/// that time its users hear nothing, which is to be less than two seconds.
pub const HANDOVER_TIMEOUT: Duration = Duration::from_secs(1);

/// From the first socket of a partition that has moved that is told so to the last. Until then they hear nothing; and all of them
/// at once would be a herd at the new owner.
pub const MOVE_SPREAD: Duration = Duration::from_millis(800);

/// How long sockets of a partition that was given up may take to close once they are told to.
pub const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a node that starts waits for the log's first answer before it says that it is there.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a socket may wait for its partition where the map names it sooner than it is started.
pub const STARTED_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the last partitions of a leaving node may take, beyond the time over which its leave is spread.
pub const DRAIN_LATE_MAX: Duration = Duration::from_secs(5);

/// How often it is looked which partitions were quiet.
pub const CANARY_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a canary may take into the log before another is sent.
pub const CANARY_APPEND_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a canary may take through the log before its partition counts as deaf.
pub const CANARY_HEARD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a canary may be in the log before its partition is read through another consumer: librdkafka may miss that a
/// partition has a leader again. Twice the time after which the node says that it is deaf.
pub const DEAF_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a socket may wait for its hello: its partition may be starting, or its store be away.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to answer a close before the connection is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a leaving node tries to park and commit what is unsettled. What is left is read again by whoever comes next.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Reports of sockets that wait for one partition; a socket beyond it waits, its partition never does.
pub const REPORTS_MAX: usize = 1_024;

/// Reports taken at a time, so that reading and reports take turns.
pub const REPORTS_PER_TURN: usize = 256;

/// A socket reports what it wrote each time this part of its budget went out.
pub const WRITTEN_REPORTS_PER_BUDGET: usize = 4;

/// Bytes a socket reads at a time: a client sends acks of some 50 bytes, and the buffer is there for idle sockets as well.
pub const SOCKET_READ_BYTES: usize = 512;

/// Bytes that a socket gathers before it writes, unless it has nothing more to send: ten frames in one write cost an
/// eighth of ten writes.
pub const SOCKET_WRITE_BYTES: usize = 2_048;
