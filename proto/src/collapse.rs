//! The collapse key of a notification: of those with the same key that wait for a user, only the newest is kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::COLLAPSE_CHARS_MAX;

/// A collapse key, as JSON Schemas say it.
const PATTERN: &str = "^[A-Za-z0-9._~-]+$";

/// What a newer notification has in common with the older one that it makes needless, e.g. `joins.7`: 1 to 64 characters of
/// `A-Z a-z 0-9 . _ ~ -`. It is one user's, whatever community it comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub struct CollapseKey(#[schemars(regex(pattern = PATTERN), length(min = 1, max = COLLAPSE_CHARS_MAX))] Arc<str>);

/// Why a text is no collapse key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a collapse key is 1 to {COLLAPSE_CHARS_MAX} characters of A-Z a-z 0-9 . _ ~ -, not {given:?}")]
pub struct InvalidCollapseKey {
    given: String,
}

impl CollapseKey {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CollapseKey {
    type Err = InvalidCollapseKey;

    fn from_str(text: &str) -> Result<Self, InvalidCollapseKey> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-');
        if text.is_empty() || text.len() > COLLAPSE_CHARS_MAX || !text.chars().all(allowed) {
            return Err(InvalidCollapseKey { given: text.chars().take(2 * COLLAPSE_CHARS_MAX).collect() });
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for CollapseKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CollapseKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for CollapseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collapse_key_has_the_characters_of_an_event_id() {
        let longest = "k".repeat(COLLAPSE_CHARS_MAX);
        for taken in ["a", "joins.7", "A-Z_0~9", &longest] {
            assert_eq!(taken.parse::<CollapseKey>().unwrap().as_str(), taken);
        }
        for refused in ["", "a b", "é", "a/b", "a:b", &format!("{longest}k")] {
            let reason = refused.parse::<CollapseKey>().unwrap_err().to_string();
            assert!(reason.starts_with("a collapse key is 1 to 64 characters"), "{refused}: {reason}");
        }
    }
}
