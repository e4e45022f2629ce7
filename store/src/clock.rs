//! The wall clock: the only place of this crate that reads it.

use std::time::SystemTime;

use peal_proto::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Now, to measure from.
#[cfg(any(feature = "embedded", feature = "redis"))]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn instant() -> std::time::Instant {
    std::time::Instant::now()
}
