//! How far a client has seen: `<generation>.<position>`.
//!
//! A position is the offset *behind* the last record seen, as a committed offset is in Kafka: 0 has seen nothing, and the
//! record at offset 1071 moves a client to 1072. Owns the spelling and the order of cursors.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{Generation, Offset};
use crate::limits::INTEGER_MAX;

/// Everything below this offset has been seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Position(#[schemars(range(max = INTEGER_MAX))] u64);

impl Position {
    /// Nothing has been seen.
    pub const START: Self = Self(0);

    /// Everything below `offset` has been seen.
    #[must_use]
    pub const fn at(offset: Offset) -> Self {
        Self(offset.get())
    }

    /// Everything up to and including `offset` has been seen.
    #[must_use]
    pub const fn behind(offset: Offset) -> Self {
        Self(offset.get() + 1)
    }

    /// The lowest offset not seen yet.
    #[must_use]
    pub const fn next(self) -> Offset {
        Offset::new(self.0)
    }

    /// Whether the record at `offset` lies before this position.
    #[must_use]
    pub const fn covers(self, offset: Offset) -> bool {
        offset.get() < self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in one incarnation of the log. Cursors compare by generation first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The incarnation of the log.
    pub generation: Generation,
    /// How far in it.
    pub position: Position,
}

/// Why a text is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is <generation>.<position>, such as 3.1071, as the last frame gave it; not {given:?}")]
pub struct InvalidCursor {
    given: String,
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        parse(text).ok_or_else(|| InvalidCursor { given: text.chars().take(40).collect() })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let (generation, position) = text.split_once('.')?;
    let generation = u32::try_from(decimal(generation)?).ok()?;
    let position = decimal(position)?;
    if generation == 0 || position > INTEGER_MAX {
        return None;
    }
    Some(Cursor { generation: Generation::new(generation), position: Position(position) })
}

/// Digits only, no leading zero: one spelling a number.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if digits && canonical { text.parse().ok() } else { None }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.position)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "<generation>.<position>: the incarnation of the log, and the offset behind the last notification seen.",
            "type": "string",
            "pattern": r"^[1-9][0-9]{0,9}\.(0|[1-9][0-9]{0,15})$",
            "examples": ["3.1071"],
        })
    }
}
