//! A dead letter: a record that can't be processed, kept with the reason so that a person can look and replay it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::id::{Offset, Partition};
use crate::name::Topic;

/// The value of a record in [`Topic::DeadLetters`], a JSON object.
#[derive(Debug, Serialize)]
pub struct DeadLetter<'a> {
    reason: String,
    topic: &'static str,
    partition: Partition,
    offset: Offset,
    key: Option<u64>,
    #[serde(flatten)]
    value: Value<'a>,
}

/// What the record held, as it was.
#[derive(Debug, Serialize)]
enum Value<'a> {
    #[serde(rename = "value")]
    Text(&'a str),
    #[serde(rename = "value_hex")]
    Bytes(String),
}

impl<'a> DeadLetter<'a> {
    /// A letter for the record that stands at `offset` and holds `key` and `value`; `reason` says what is wrong with it.
    #[must_use]
    pub fn new(
        reason: String,
        topic: Topic,
        partition: Partition,
        offset: Offset,
        key: Option<u64>,
        value: &'a [u8],
    ) -> Self {
        let value = std::str::from_utf8(value).map_or_else(|_| Value::Bytes(hex(value)), Value::Text);
        Self { reason, topic: topic.name(), partition, offset, key, value }
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // texts and numbers can't fail to be written
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap_or_default(); // a String takes every write
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(value: &[u8]) -> String {
        let (partition, offset) = (Partition::new(3), Offset::new(5));
        let letter = DeadLetter::new("it is not an event".into(), Topic::Events, partition, offset, None, value);
        String::from_utf8(letter.to_json()).unwrap()
    }

    #[test]
    fn a_letter_holds_the_reason_the_origin_and_the_value() {
        let text = r#"{"reason":"it is not an event","topic":"peal.events","partition":3,"offset":5,"key":null,"value":"say \"hi\""}"#;
        assert_eq!(letter(br#"say "hi""#), text);
        assert!(letter(b"\xff\x00").ends_with(r#","value_hex":"ff00"}"#));
    }
}
