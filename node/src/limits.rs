//! The limits of a node, each with its unit, its default and the reason for it.

use std::time::Duration;

use peal_store::inbox::Retention;

/// What bounds one partition and the sockets of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a notification given to a socket may stay unacknowledged before it is parked. Ours acknowledge within
    /// 250 ms; forty times that is a client that is gone or stuck.
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
    /// Bytes in one batch to the inbox; the record that reaches it is the last. A few hundred of the usual size are a fifth.
    pub park_bytes_max: usize,
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
    /// Handshakes a second, beyond as many at once as may be under way: each costs some 130 µs of processor time, so this is a
    /// quarter of a core.
    pub handshakes_per_second: u32,
    /// Handshakes under way: from the upgrade until the socket is greeted. What they take stands in front of what sockets that
    /// are there are told.
    pub handshakes_max: u32,
    /// Bytes of memory that the process may have, beside which it sheds work; `None` for any number.
    pub memory_max: Option<u64>,
    /// How long a partition may take for one turn of its loop before the node says that it is not ready: a turn takes
    /// milliseconds, and a store that does not answer gives up by itself.
    pub stall_timeout: Duration,
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
            park_bytes_max: 1024 * 1024,
            pages_max: 64,
            page_entries_max: 256,
            page_bytes_max: 64 * 1024,
            sessions_per_user_max: 8,
            inbox_ttl: Retention::default().ttl,
            handshakes_per_second: 2_000,
            handshakes_max: 512,
            memory_max: None,
            stall_timeout: Duration::from_secs(5),
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

/// A partition has at most this part of the handshakes under way: where it is slow to greet, others have room.
pub const HANDSHAKE_SHARES: u32 = 4;

/// No client is asked to come back later than a quarter more than this, however many come: a back-off of a client of its own is
/// as long.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(30);

/// What a node may have of what its control group may have. It sheds by what it sees; what is fetched of its partitions meanwhile, a
/// megabyte each at most, is on top (row `memory_short` of docs/failure.md).
pub(crate) const fn within_cgroup(bytes: u64) -> u64 {
    bytes / 4 * 3
}

/// How often a node with a limit of memory looks how much it has. A look costs some ten microseconds, and a burst brings megabytes
/// in this time.
pub const MEMORY_LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// Bytes in one batch to the inbox of a node that sheds replays: each partition has one on its way, and its store a copy or two.
pub const SHED_PARK_BYTES: usize = 128 * 1024;

/// From this part of its memory on, in percent, a node opens no sockets.
pub const SHED_SOCKETS_PERCENT: u64 = 80;

/// … replays to one user of a partition at a time.
pub const SHED_REPLAYS_PERCENT: u64 = 85;

/// … delivers nothing. What is left is for what is on its way between two looks.
pub const SHED_LIVE_PERCENT: u64 = 90;

/// So much lower each of these ends.
pub const SHED_SLACK_PERCENT: u64 = 5;

/// When a client that was refused a socket for want of memory may try again: memory that was given up is the system's again after
/// some ten seconds.
pub const SHED_RETRY_AFTER: Duration = Duration::from_secs(10);

/// A partition takes a turn at least this often, so that one which takes none is known to stall.
pub const TURN_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is looked whether a partition stalls.
pub const STALL_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How often a node asks the stores what time it is.
pub const CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// So far the node's clock may be from theirs before it is told: deadlines have seconds.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10);

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

/// Sockets that a node relays; each takes two of its open files.
pub const RELAYED_SOCKETS_MAX: usize = 20_000;

/// How long the owner of a relayed socket may take to answer its handshake.
pub const RELAY_OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// When a client whose socket could not be relayed may try again: maps agree within a second, and so long a node takes to start.
pub const RELAY_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Bytes that the kernel takes from an owner ahead of what the client behind the relay takes; by default it takes megabytes.
pub const RELAY_UNREAD_BYTES: u32 = 64 * 1024;

/// Bytes carried at a time from a client, which acknowledges in some 50, and kept for as long as the socket is open.
pub const RELAY_UP_BYTES: usize = 256;

/// Bytes carried at a time to a client: ten frames.
pub const RELAY_DOWN_BYTES: usize = 2_048;
