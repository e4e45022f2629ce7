//! A dead letter: a record that can't be processed, kept with the reason so that a person can look and replay it.
//!
//! Owns the JSON in [`Topic::DeadLetters`] and the spelling of a letter's id. All that is known of the record stands in the
//! value: any tool shows it, and it is the same in every log. What headers repeat of it is [`crate::name::letter_header`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::cursor::decimal;
use crate::id::{Offset, Partition};
use crate::limits::{INTEGER_MAX, LETTER_HEADERS_BYTES_MAX, LETTER_REASON_CHARS_MAX, LETTER_VALUE_BYTES_MAX};
use crate::name::Topic;
use crate::time::Timestamp;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Written", try_from = "Written")]
pub struct DeadLetter {
    /// What is wrong with the record, for a person; cut at [`LETTER_REASON_CHARS_MAX`].
    pub reason: String,
    /// Which attempt at the record this was: 1, and one more for each replay before.
    pub attempt: u32,
    /// The topic it stands in.
    pub topic: LetterTopic,
    /// The partition it stands in.
    pub partition: Partition,
    /// Where in that partition.
    pub offset: Offset,
    /// When it was written, if its log says so.
    pub written: Option<Timestamp>,
    /// Its headers, with all that others wrote there; those beyond [`LETTER_HEADERS_BYTES_MAX`] are left out.
    pub headers: Vec<LetterHeader>,
    /// Its key; `None` when that is no number.
    pub key: Option<u64>,
    /// Its value, as it was; cut at [`LETTER_VALUE_BYTES_MAX`], or the letter might be too large for the log itself.
    pub value: Bytes,
    /// How many bytes the value had, when it was cut.
    pub cut_from: Option<u64>,
}

/// A header of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "WrittenHeader", try_from = "WrittenHeader")]
pub struct LetterHeader {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: Bytes,
}

impl LetterHeader {
    /// As many as are kept, from the first on.
    #[must_use]
    pub fn kept(headers: Vec<(Box<str>, Bytes)>) -> Vec<Self> {
        let mut bytes = 0;
        let headers = headers.into_iter().take_while(|(name, value)| {
            bytes += name.len() + value.len();
            bytes <= LETTER_HEADERS_BYTES_MAX
        });
        headers.map(|(name, value)| Self { name, value }).collect()
    }
}

/// A header as it is written, in the way of the value.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LetterHeader")]
struct WrittenHeader {
    name: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

impl From<LetterHeader> for WrittenHeader {
    fn from(LetterHeader { name, value }: LetterHeader) -> Self {
        let (value, value_hex) = text_or_hex(&value);
        Self { name, value, value_hex }
    }
}

impl TryFrom<WrittenHeader> for LetterHeader {
    type Error = InvalidLetter;

    fn try_from(WrittenHeader { name, value, value_hex }: WrittenHeader) -> Result<Self, InvalidLetter> {
        Ok(Self { name, value: bytes_of(value, value_hex)? })
    }
}

/// A letter as it is written: a value that is text as it is, any other in hexadecimal digits.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
struct Written {
    reason: String,
    #[serde(default = "first")]
    attempt: u32,
    topic: String,
    partition: Partition,
    offset: Offset,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<LetterHeader>,
    key: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_from: Option<u64>,
}

/// Of letters that were written when there was no other.
fn first() -> u32 {
    1
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
    /// A letter for the record that stands at `offset` and holds `key` and `value`, at the first attempt and without headers;
    /// `reason` says what is wrong with it.
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
        Self {
            reason: cut(reason),
            attempt: first(),
            topic: topic.into(),
            partition,
            offset,
            written: None,
            headers: Vec::new(),
            key,
            value,
            cut_from,
        }
    }

    /// The JSON object.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // texts and numbers can't fail to be written
    }
}

impl From<DeadLetter> for Written {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { reason, attempt, topic, partition, offset, written, headers, key, value, cut_from } = letter;
        let (topic, (value, value_hex)) = (topic.name().to_owned(), text_or_hex(&value));
        Self { reason, attempt, topic, partition, offset, written, headers, key, value, value_hex, cut_from }
    }
}

impl TryFrom<Written> for DeadLetter {
    type Error = InvalidLetter;

    fn try_from(written: Written) -> Result<Self, InvalidLetter> {
        let Written { reason, attempt, topic, partition, offset, written, headers, key, value, value_hex, cut_from } =
            written;
        let (reason, topic, value) = (cut(reason), LetterTopic::of(&topic), bytes_of(value, value_hex)?);
        Ok(Self { reason, attempt, topic, partition, offset, written, headers, key, value, cut_from })
    }
}

/// Text as it is, and anything else in hexadecimal digits.
fn text_or_hex(value: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(value) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(hex(value))),
    }
}

fn bytes_of(text: Option<String>, digits: Option<String>) -> Result<Bytes, InvalidLetter> {
    match (text, digits) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(digits)) => Ok(unhex(&digits).ok_or(InvalidLetter::Hex)?.into()),
        (Some(_), Some(_)) | (None, None) => Err(InvalidLetter::Value),
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
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for LetterId {
    fn schema_name() -> Cow<'static, str> {
        "LetterId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "<partition>-<offset>: where the letter stands in peal.dead-letters.",
            "type": "string",
            "pattern": "^(0|[1-9][0-9]{0,3})-(0|[1-9][0-9]{0,14})$",
            "examples": ["7-0"],
        })
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
        let json = r#"{"reason":"it is not an event","attempt":1,"topic":"peal.events","partition":3,"offset":5,"key":null,"value":"say \"hi\""}"#;
        assert_eq!(text(br#"say "hi""#), json);
        assert!(text(b"\xff\x00").ends_with(r#","value_hex":"ff00"}"#));
    }

    #[test]
    fn a_letter_is_read_as_it_was_written_whatever_the_record_held() {
        for value in [&b"say \"hi\""[..], b"", b"\xff\x00\x0f\xf0", "\u{0}\u{202e}ä".as_bytes()] {
            let other = LetterTopic::Other("shop.public.memberships".into());
            for topic in Topic::ALL.map(LetterTopic::Log).into_iter().chain([other]) {
                let header = |name: &str| LetterHeader { name: name.into(), value: Bytes::copy_from_slice(value) };
                let (headers, written) = (vec![header("a"), header("")], Some(Timestamp::from_millis(5)));
                let letter = DeadLetter { topic, key: Some(u64::MAX), attempt: 2, written, headers, ..letter(value) };
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
            let large = |bytes: usize| ("name".into(), Bytes::from(vec![0xff; bytes]));
            let headers = LetterHeader::kept(vec![large(4), large(8 * 1024 - 12), large(1), large(0)]);
            assert_eq!(headers.len(), 2, "headers are not bounded");
            let letter = DeadLetter { headers, ..letter };
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
