//! How long what happened is worth telling, as its poster says: whole seconds, as the TTL of RFC 8030 §5.2.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::TTL_SECONDS_MAX;

/// Seconds from the time of an event to that at which its notifications are told nobody any more: 1 to [`TTL_SECONDS_MAX`].
///
/// RFC 8030 has 0 as well, for those who are there at once. Here an event has come through two logs before a socket is looked
/// for, so nobody would be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct TimeToLive(#[schemars(range(min = 1, max = TTL_SECONDS_MAX))] u32);

/// Why a number is no time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{RULE}, not {given}")]
pub struct InvalidTimeToLive {
    given: u64,
}

const RULE: &str = "a ttl is a whole number of seconds from 1 to 604800 (7 days)";

impl TimeToLive {
    /// So many seconds.
    ///
    /// # Errors
    /// For none, and for more than are kept.
    pub fn new(seconds: u64) -> Result<Self, InvalidTimeToLive> {
        let given = InvalidTimeToLive { given: seconds };
        let seconds = u32::try_from(seconds).map_err(|_| given)?;
        if (1..=TTL_SECONDS_MAX).contains(&seconds) { Ok(Self(seconds)) } else { Err(given) }
    }

    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }
}

impl fmt::Display for TimeToLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for TimeToLive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = TimeToLive;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(RULE)
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<TimeToLive, E> {
                TimeToLive::new(seconds).map_err(E::custom)
            }
        }

        deserializer.deserialize_u64(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_at_least_a_second_and_at_most_what_an_inbox_keeps() {
        let read = |text: &str| serde_json::from_str::<TimeToLive>(text).map(TimeToLive::seconds);
        assert_eq!(read("1").unwrap(), 1);
        assert_eq!(read("604800").unwrap(), TTL_SECONDS_MAX);
        assert!(RULE.contains(&TTL_SECONDS_MAX.to_string()));
        for refused in ["0", "604801", "4294967297", "18446744073709551615", "-1", "1.5", "1e3", "\"60\"", "null", "[]"]
        {
            let reason = read(refused).unwrap_err().to_string();
            assert!(reason.contains(RULE), "{refused}: {reason}");
        }
    }
}
