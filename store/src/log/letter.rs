//! How a record becomes a dead letter: the one place where it is made.
//!
//! The letter says everything in its value ([`peal_proto::dead_letter`]). Its headers say where it is from in the words of Kafka
//! Connect's dead letters, which tools know, and how often it was tried.

use bytes::Bytes;
use peal_proto::dead_letter::{LetterHeader, LetterTopic};
use peal_proto::name::{ATTEMPT_HEADER, letter_header};
use peal_proto::{DeadLetter, Partition};

use super::{Headers, NewRecord, Record};

/// The dead letter of a record that stands in a partition of a topic: `kind` is what is wrong with it in a word, `reason` for a person.
/// It goes to the partition of the same number.
#[must_use]
pub fn dead_letter(
    topic: impl Into<LetterTopic>,
    partition: Partition,
    record: &Record,
    kind: &'static str,
    reason: String,
) -> NewRecord {
    let &Record { offset, written, key, ref headers, ref value } = record;
    let attempt = headers.other(ATTEMPT_HEADER).and_then(|attempt| attempt.parse().ok()).unwrap_or(1);
    let kept = LetterHeader::kept(headers.fields());
    let letter = DeadLetter::new(reason, topic, partition, offset, key, value);
    let letter = DeadLetter { attempt, written, headers: kept, ..letter };
    let others = [
        (letter_header::TOPIC, letter.topic.to_string()),
        (letter_header::PARTITION, partition.to_string()),
        (letter_header::OFFSET, offset.to_string()),
        (letter_header::KIND, kind.to_owned()),
        (letter_header::REASON, letter.reason.clone()),
        (ATTEMPT_HEADER, attempt.to_string()),
    ];
    let others = others.map(|(name, text)| (name.into(), Bytes::from(text))).into();
    let headers = Headers { others, ..Headers::default() };
    NewRecord { partition, key: key.unwrap_or_default(), headers, value: letter.to_json().into() }
}
