//! The limits of a server's front door, each with its unit and the reason for its size.

use std::time::Duration;

/// Connections of one server, those upgraded to sockets included; a process may have about 65,000 open files by default.
pub const CONNECTIONS_MAX: usize = 50_000;

/// How long a request head may take, and how long a connection may idle between two requests.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a request head, and of what is buffered of a body. A token of 4 KiB fits twice.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long requests under way may take once the server stops.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections beyond the limit that are told so at the same time; beyond these the listen queue of the kernel waits.
pub const REFUSALS_MAX: usize = 64;

/// How long telling one of them may take.
pub const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The refused are asked to come back after 1 to this many seconds, in turn, so that they do not come back as one.
pub const REFUSAL_SPREAD_SECS: u64 = 8;

/// How long a body may take to arrive. 64 KiB over the slowest mobile link takes a few seconds.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes that are read and thrown away behind a body's limit, so that most clients get to read why: a socket closed with
/// unread bytes is reset, and the answer is lost with it.
pub const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// When a store is not available: seconds until asking again is worth it.
pub const STORE_RETRY_AFTER: Duration = Duration::from_secs(2);

/// How often histograms are folded; without it the exporter keeps every sample.
pub const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How often a process looks whether the shard map has changed, beside being told so. While an owner of a partition knows that it
/// moved, and the other does not yet, its users hear nothing.
pub const MAP_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a process that starts waits for Kafka and Redis before it gives up: they may be starting too.
pub const SERVICES_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often it tries.
pub const SERVICES_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes the kernel takes of a connection ahead of what it can send; by default it takes megabytes. Several frames of the
/// largest size, and a quarter of what a node keeps for a slow socket.
pub const UNSENT_BYTES: u32 = 64 * 1024;
