//! The ids of everything that has one, each its own type, checked once where it enters.
//!
//! Owns ranges and spellings. Which partition or node an id leads to is the shard map's business ([`crate::shard`]).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{EVENT_ID_CHARS_MAX, INTEGER_MAX};

/// An event id, as JSON Schemas say it.
const EVENT_ID_PATTERN: &str = "^[A-Za-z0-9._~-]+$";

/// Why an id was refused; the message names the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a decimal integer in 0..=2^53-1.
    #[error("{what} must be an integer from 0 to {INTEGER_MAX} (2^53-1), not {given:?}")]
    Integer {
        /// What the integer would have been.
        what: &'static str,
        /// What was given.
        given: String,
    },
    /// Not 1 to 64 of the characters an event id may have.
    #[error("an event id is 1 to {EVENT_ID_CHARS_MAX} characters of A-Z a-z 0-9 . _ ~ -, not {given:?}")]
    Event {
        /// What was given, cut at twice the limit.
        given: String,
    },
}

fn parse_integer(what: &'static str, text: &str) -> Result<u64, InvalidId> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    match text.parse::<u64>() {
        Ok(number) if canonical && number <= INTEGER_MAX => Ok(number),
        Ok(_) | Err(_) => Err(InvalidId::Integer { what, given: text.chars().take(40).collect() }),
    }
}

// Two macros instead of six copies of the same lines: the newtypes differ in name, range and meaning only.
macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        pub struct $name(#[schemars(range(max = INTEGER_MAX))] u64);

        impl $name {
            /// The id of this number.
            ///
            /// # Errors
            /// [`InvalidId::Integer`] beyond 2^53-1.
            pub fn new(number: u64) -> Result<Self, InvalidId> {
                if number > INTEGER_MAX {
                    return Err(InvalidId::Integer { what: $what, given: number.to_string() });
                }
                Ok(Self(number))
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = InvalidId;

            fn try_from(number: u64) -> Result<Self, InvalidId> {
                Self::new(number)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_integer($what, text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_u64(IntegerVisitor { what: $what }).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// Reads an integer id; a wrong type is told in the words of the id, not as "expected u64".
struct IntegerVisitor {
    what: &'static str,
}

impl Visitor<'_> for IntegerVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as an integer from 0 to {INTEGER_MAX} (2^53-1)", self.what)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
        if number > INTEGER_MAX {
            return Err(E::custom(InvalidId::Integer { what: self.what, given: number.to_string() }));
        }
        Ok(number)
    }
}

integer_id!(
    /// A user: an integer from 0 to 2^53-1, exact in every JSON reader.
    UserId,
    "a user"
);
integer_id!(
    /// A community: an integer from 0 to 2^53-1.
    CommunityId,
    "a community"
);

/// An event: 1 to 64 characters of `A-Z a-z 0-9 . _ ~ -` (RFC 3986's unreserved set, so it stands in a URL as it is).
///
/// Given by the poster to make a repeat harmless, or a `UUIDv7` of the publisher's.
// Cheap to clone: it goes with every notification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub struct EventId(#[schemars(regex(pattern = EVENT_ID_PATTERN), length(min = 1, max = EVENT_ID_CHARS_MAX))] Arc<str>);

impl EventId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-');
        if text.is_empty() || text.len() > EVENT_ID_CHARS_MAX || !text.chars().all(unreserved) {
            let given = text.chars().take(2 * EVENT_ID_CHARS_MAX).collect();
            return Err(InvalidId::Event { given });
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! ordinal {
    ($(#[$doc:meta])* $name:ident($number:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name($number);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(number: $number) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ordinal!(
    /// A node's ordinal, 0 to N-1.
    NodeId(u32)
);
ordinal!(
    /// A partition of a topic, 0 to P-1.
    Partition(u32)
);
ordinal!(
    /// Where a record stands in its partition. Offsets only grow, and may have holes (transaction markers).
    Offset(u64)
);
ordinal!(
    /// The incarnation of the log, at least 1; a new log gets another one, so that old cursors are recognised.
    Generation(u32)
);
