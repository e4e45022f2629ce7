//! How a record lies in Kafka: the key as decimal digits, so that every tool shows it, and the headers as text.

use bytes::{Bytes, BytesMut};
use peal_proto::{Offset, Timestamp};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use super::limits::VALUES_BYTES;
use crate::log::{Headers, NewRecord, Record};

/// A record on its way to Kafka; the key has been written out before, as it is borrowed.
pub(super) fn encode<'a, O: IntoOpaque>(
    topic: &'a str,
    key: &'a str,
    record: &'a NewRecord,
    opaque: O,
) -> BaseRecord<'a, str, [u8], O> {
    let base = BaseRecord::with_opaque_to(topic, opaque)
        .partition(i32::try_from(record.partition.get()).unwrap_or(i32::MAX)) // was checked against P before
        .key(key)
        .payload(&record.value[..]);
    match headers(&record.headers) {
        Some(headers) => base.headers(headers),
        None => base,
    }
}

fn headers(given: &Headers) -> Option<OwnedHeaders> {
    let fields = given.fields();
    let add = |headers: OwnedHeaders, (key, value): &(Box<str>, Bytes)| {
        headers.insert(Header { key, value: Some(&value[..]) })
    };
    (!fields.is_empty()).then(|| fields.iter().fold(OwnedHeaders::new(), add))
}

/// Copies values, several small ones into one allocation: it is cheap to make, and to let go of on another thread.
#[derive(Default)]
pub(super) struct Values {
    room: BytesMut,
}

impl Values {
    fn copy(&mut self, value: &[u8]) -> Bytes {
        if value.len() > VALUES_BYTES / 4 {
            return Bytes::copy_from_slice(value);
        }
        if self.room.capacity() < value.len() {
            self.room = BytesMut::with_capacity(VALUES_BYTES);
        }
        self.room.extend_from_slice(value);
        self.room.split().freeze()
    }
}

/// A record as Kafka gave it. What a foreign producer wrote in another way is left out, and its value is kept.
pub(super) fn decode(message: &BorrowedMessage<'_>, values: &mut Values) -> Record {
    let offset = Offset::new(u64::try_from(message.offset()).unwrap_or_default()); // never negative
    let value = message.payload().map(|value| values.copy(value)).unwrap_or_default();
    let written = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
    let written = written.map(Timestamp::from_millis);
    Record { offset, written, key: message.key().and_then(parse_key), headers: decode_headers(message), value }
}

fn parse_key(key: &[u8]) -> Option<u64> {
    let digits = key.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(key).ok().filter(|_| digits)?.parse().ok()
}

fn decode_headers(message: &BorrowedMessage<'_>) -> Headers {
    let mut headers = Headers::default();
    let Some(given) = message.headers() else { return headers };
    for header in given.iter() {
        headers.add(header.key, header.value.unwrap_or_default());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_share_an_allocation_stay_as_they_were_given() {
        let mut values = Values::default();
        let given: Vec<Vec<u8>> =
            (0..300_usize).map(|n| vec![u8::try_from(n % 251).unwrap(); n * 13 % 2_000]).collect();
        let copied: Vec<_> = given.iter().map(|value| values.copy(value)).collect();
        assert_eq!(copied, given);
    }

    #[test]
    fn a_key_is_decimal_digits_and_nothing_else() {
        assert_eq!(parse_key(b"9007199254740991"), Some((1 << 53) - 1));
        assert_eq!(parse_key(b"0"), Some(0));
        for foreign in [&b""[..], b"+1", b"-1", b"user-1", b"\xff", b"99999999999999999999"] {
            assert_eq!(parse_key(foreign), None);
        }
    }
}
