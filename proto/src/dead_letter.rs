//! A dead letter: a record that can't be processed, kept with the reason so that a person can look and replay it.
//!
//! Owns the JSON in [`Topic::DeadLetters`] and the spelling of a letter's id. All that is known of the record stands in the
//! value and nothing in headers: any tool shows it, and it is the same in every log.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use crate::cursor::decimal;
use crate::id::{Offset, Partition};
use crate::limits::{INTEGER_MAX, LETTER_REASON_CHARS_MAX, LETTER_VALUE_BYTES_MAX};
use crate::name::Topic;

/// The topic of a record that became a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterTopic {
    /// One of the log.
    Log(Topic),
    /// Of another program, as that of the changes of a table.
    Other(Box<str>),
}

impl LetterTopic {
    /// The name of the topic.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Log(topic) => topic.name(),
            Self::Other(name) => name,
        }
    }

    fn of(name: &str) -> Self {
        let known = Topic::ALL.into_iter().find(|topic| topic.name() == name);
        known.map_or_else(|| Self::Other(name.into()), Self::Log)
    }
}

impl From<Topic> for LetterTopic {
    fn from(topic: Topic) -> Self {
        Self::Log(topic)
    }
}

impl fmt::Display for LetterTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of a record in [`Topic::DeadLetters`], a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct DeadLetter {
    /// What is wrong with the record, for a person; cut at [`LETTER_REASON_CHARS_MAX`].
    pub reason: String,
    /// The topic it stands in.
    pub topic: LetterTopic,
    /// The partition it stands in.
    pub partition: Partition,
    /// Where in that partition.
    pub offset: Offset,
    /// Its key; `None` when that is no number.
    pub key: Option<u64>,
    /// Its value, as it was; cut at [`LETTER_VALUE_BYTES_MAX`], or the letter might be too large for the log itself.
    pub value: Bytes,
    /// How many bytes the value had, when it was cut.
    pub cut_from: Option<u64>,
}

/// A letter as it is written: a value that is text as it is, any other in hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct Written {
    reason: String,
    topic: String,
    partition: Partition,
    offset: Offset,
    key: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_from: Option<u64>,
}

/// Why a JSON object is not a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLetter {
    /// What the record held is not there, or there twice.
    #[error("it has not one of `value` and `value_hex`")]
    Value,
    /// What the record held can't be read.
    #[error("`value_hex` is not two hexadecimal digits a byte")]
    Hex,
}

impl DeadLetter {
    /// A letter for the record that stands at `offset` and holds `key` and `value`; `reason` says what is wrong with it.
    #[must_use]
    pub fn new(
        reason: String,
        topic: impl Into<LetterTopic>,
        partition: Partition,
        offset: Offset,
        key: Option<u64>,
        value: &[u8],
    ) -> Self {
        let kept = kept(value);
        let cut_from = (kept.len() < value.len()).then_some(value.len() as u64);
        let value = Bytes::copy_from_slice(kept);
        Self { reason: cut(reason), topic: topic.into(), partition, offset, key, value, cut_from }
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // texts and numbers can't fail to be written
    }
}

impl From<DeadLetter> for Written {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { reason, topic, partition, offset, key, value, cut_from } = letter;
        let (value, value_hex) = match std::str::from_utf8(&value) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(hex(&value))),
        };
        Self { reason, topic: topic.name().to_owned(), partition, offset, key, value, value_hex, cut_from }
    }
}

impl TryFrom<Written> for DeadLetter {
    type Error = InvalidLetter;

    fn try_from(written: Written) -> Result<Self, InvalidLetter> {
        let Written { reason, topic, partition, offset, key, value, value_hex, cut_from } = written;
        let value = match (value, value_hex) {
            (Some(text), None) => text.into(),
            (None, Some(digits)) => unhex(&digits).ok_or(InvalidLetter::Hex)?.into(),
            (Some(_), Some(_)) | (None, None) => return Err(InvalidLetter::Value),
        };
        Ok(Self { reason: cut(reason), topic: LetterTopic::of(&topic), partition, offset, key, value, cut_from })
    }
}

/// What is kept of a value; text stays text.
fn kept(value: &[u8]) -> &[u8] {
    match std::str::from_utf8(value) {
        Ok(text) => &value[..text.floor_char_boundary(LETTER_VALUE_BYTES_MAX)],
        Err(_) => &value[..value.len().min(LETTER_VALUE_BYTES_MAX)],
    }
}

fn cut(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(LETTER_REASON_CHARS_MAX) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap_or_default(); // a String takes every write
    }
    text
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// The id of a letter, `<partition>-<offset>`: where it stands in [`Topic::DeadLetters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// The partition.
    pub partition: Partition,
    /// Where in that partition.
    pub offset: Offset,
}

/// Why a text is not the id of a letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of a dead letter is <partition>-<offset>, such as 7-0, as the list gives it; not {given:?}")]
pub struct InvalidLetterId {
    given: String,
}

impl FromStr for LetterId {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        parse(text).ok_or_else(|| InvalidLetterId { given: text.chars().take(40).collect() })
    }
}

fn parse(text: &str) -> Option<LetterId> {
    let (partition, offset) = text.split_once('-')?;
    let partition = u32::try_from(decimal(partition)?).ok()?;
    let offset = decimal(offset).filter(|offset| *offset < INTEGER_MAX)?;
    Some(LetterId { partition: Partition::new(partition), offset: Offset::new(offset) })
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.offset)
    }
}

impl Serialize for LetterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LetterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(value: &[u8]) -> DeadLetter {
        let (partition, offset) = (Partition::new(3), Offset::new(5));
        DeadLetter::new("it is not an event".into(), Topic::Events, partition, offset, None, value)
    }

    fn text(value: &[u8]) -> String {
        String::from_utf8(letter(value).to_json()).unwrap()
    }

    #[test]
    fn a_letter_holds_the_reason_the_origin_and_the_value() {
        let json = r#"{"reason":"it is not an event","topic":"peal.events","partition":3,"offset":5,"key":null,"value":"say \"hi\""}"#;
        assert_eq!(text(br#"say "hi""#), json);
        assert!(text(b"\xff\x00").ends_with(r#","value_hex":"ff00"}"#));
    }

    #[test]
    fn a_letter_is_read_as_it_was_written_whatever_the_record_held() {
        for value in [&b"say \"hi\""[..], b"", b"\xff\x00\x0f\xf0", "\u{0}\u{202e}ä".as_bytes()] {
            let other = LetterTopic::Other("shop.public.memberships".into());
            for topic in Topic::ALL.map(LetterTopic::Log).into_iter().chain([other]) {
                let letter = DeadLetter { topic, key: Some(u64::MAX), ..letter(value) };
                assert_eq!(serde_json::from_slice::<DeadLetter>(&letter.to_json()).unwrap(), letter);
            }
        }
    }

    #[test]
    fn a_letter_of_a_large_record_is_cut_and_fits_into_the_log() {
        const RECORD_BYTES_MAX: usize = 1_000_000; // librdkafka's message.max.bytes
        for value in [vec![0xff; 3_000_000], vec![1; 3_000_000], "ä".repeat(1_500_000).into_bytes()] {
            let reason = "\u{1}".repeat(1_000_000);
            let letter = DeadLetter::new(reason, Topic::Events, Partition::new(3), Offset::new(5), None, &value);
            let json = letter.to_json();
            assert!(json.len() < RECORD_BYTES_MAX, "{} bytes", json.len());
            let read: DeadLetter = serde_json::from_slice(&json).unwrap();
            assert_eq!((read.cut_from, read.value.len()), (Some(3_000_000), LETTER_VALUE_BYTES_MAX));
            assert!(value.starts_with(&read.value));
        }
        let odd = format!("x{}", "ä".repeat(LETTER_VALUE_BYTES_MAX));
        assert!(text(odd.as_bytes()).contains(r#""value":"xää"#), "text is no longer text");
        assert_eq!(letter(&[b'x'; LETTER_VALUE_BYTES_MAX]).cut_from, None);
    }

    #[test]
    fn what_is_no_letter_is_told_apart() {
        let reading = |from: &str, to: &str| {
            let json = text(b"v").replace(from, to);
            serde_json::from_str::<DeadLetter>(&json).unwrap_err().to_string()
        };
        assert!(reading(r#","value":"v""#, "").contains("not one of `value` and `value_hex`"));
        assert!(reading("}", r#","value_hex":"00"}"#).contains("not one of `value` and `value_hex`"));
        for digits in ["f", "fff", "0g", "+1", "ä"] {
            let hex = format!(r#""value_hex":"{digits}""#);
            assert!(reading(r#""value":"v""#, &hex).contains("two hexadecimal digits a byte"), "{digits}");
        }
        assert!(reading(r#""reason":"it is not an event","#, "").contains("missing field `reason`"));
    }

    #[test]
    fn an_id_has_one_spelling() {
        for text in ["0-0", "119-17", "4294967295-9007199254740990"] {
            assert_eq!(text.parse::<LetterId>().unwrap().to_string(), text);
        }
        for text in ["", "7", "7-", "-7", "7-x", "07-1", "7-01", "7-+1", "7-1-1", "7.1", "4294967296-0"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
        }
        assert!("0-9007199254740991".parse::<LetterId>().is_err(), "the position behind it can't be spelled");
    }
}
