//! The limits of a node, each with its unit, its default and the reason for it.

use std::time::Duration;

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
    /// Records of a partition in memory, the settled behind an unsettled one included: some 100 bytes each.
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
        }
    }
}
