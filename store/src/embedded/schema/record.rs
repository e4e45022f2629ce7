//! The value of a record of the log.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use peal_proto::{Offset, Timestamp};

use crate::log::{Headers, NewRecord, Record};

/// A record of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) appended: Timestamp,
    pub(crate) record: Record,
}

const HAS_EXPIRES: u8 = 1;
const HAS_TRACEPARENT: u8 = 2;
const IS_CANARY: u8 = 4;
const HAS_OTHERS: u8 = 8;

impl Stored {
    /// The bytes of a new record, and where in them its value begins.
    pub(crate) fn encode(appended: Timestamp, record: &NewRecord) -> (Bytes, usize) {
        let NewRecord { partition: _, key, headers, value } = record;
        // A trace context is 55 bytes; a longer one than the length can say is not one.
        let traceparent = headers.traceparent.as_ref().filter(|text| text.len() <= usize::from(u16::MAX));
        let others = written(&headers.others);
        let lengths = traceparent.map_or(0, Bytes::len) + others.len() + value.len();
        let mut out = BytesMut::with_capacity(8 + 8 + 1 + 8 + 2 + lengths);
        out.put_u64(appended.millis());
        out.put_u64(*key);
        let flags = [
            (headers.expires.is_some(), HAS_EXPIRES),
            (traceparent.is_some(), HAS_TRACEPARENT),
            (headers.canary, IS_CANARY),
            (!others.is_empty(), HAS_OTHERS),
        ];
        out.put_u8(flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum());
        if let Some(expires) = headers.expires {
            out.put_u64(expires.millis());
        }
        if let Some(text) = traceparent {
            out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
            out.put_slice(text);
        }
        out.put_slice(&others);
        let start = out.len();
        out.put_slice(value);
        (out.freeze(), start)
    }

    pub(crate) fn decode(offset: Offset, mut bytes: Bytes) -> Result<Self, TryGetError> {
        let appended = Timestamp::from_millis(bytes.try_get_u64()?);
        let key = Some(bytes.try_get_u64()?);
        let flags = bytes.try_get_u8()?;
        let mut headers = Headers { canary: flags & IS_CANARY != 0, ..Headers::default() };
        if flags & HAS_EXPIRES != 0 {
            headers.expires = Some(Timestamp::from_millis(bytes.try_get_u64()?));
        }
        if flags & HAS_TRACEPARENT != 0 {
            let length = bytes.try_get_u16()?;
            headers.traceparent = Some(split(&mut bytes, usize::from(length))?);
        }
        if flags & HAS_OTHERS != 0 {
            for _ in 0..bytes.try_get_u16()? {
                let length = bytes.try_get_u16()?;
                let name = split(&mut bytes, usize::from(length))?;
                let length = bytes.try_get_u32()?;
                let value = split(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?;
                headers.others.push((String::from_utf8_lossy(&name).into(), value));
            }
        }
        Ok(Self { appended, record: Record { offset, written: Some(appended), key, headers, value: bytes } })
    }

    /// When a record was appended, without the rest of it.
    pub(crate) fn appended(mut bytes: &[u8]) -> Result<Timestamp, TryGetError> {
        bytes.try_get_u64().map(Timestamp::from_millis)
    }
}

/// Headers of other names: how many, and of each the name and the value with their lengths. Nothing when there are none.
fn written(others: &[(Box<str>, Bytes)]) -> BytesMut {
    let mut out = BytesMut::new();
    let Some(count) = u16::try_from(others.len()).ok().filter(|count| *count > 0) else { return out };
    out.put_u16(count);
    for (name, value) in others {
        let name = &name[..name.floor_char_boundary(usize::from(u16::MAX))];
        out.put_u16(u16::try_from(name.len()).unwrap_or(u16::MAX));
        out.put_slice(name.as_bytes());
        out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        out.put_slice(value);
    }
    out
}

fn split(bytes: &mut Bytes, length: usize) -> Result<Bytes, TryGetError> {
    let available = bytes.len();
    if length > available {
        return Err(TryGetError { requested: length, available });
    }
    Ok(bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use peal_proto::Partition;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let at = Timestamp::from_millis(1_795_341_600_123);
        let full =
            Headers { expires: Some(at), traceparent: Some("00-0af7".into()), canary: true, ..Headers::default() };
        let others = vec![("attempt".into(), "2".into()), ("".into(), Bytes::new())];
        let more = Headers { others, ..full.clone() };
        for headers in [Headers::default(), Headers { expires: None, ..full.clone() }, full, more] {
            let new = NewRecord { partition: Partition::new(3), key: 42, headers, value: "value".into() };
            let (bytes, start) = Stored::encode(at, &new);
            assert_eq!(bytes[start..], new.value);
            let NewRecord { key, headers, value, .. } = new;
            let record = Record { offset: Offset::new(7), written: Some(at), key: Some(key), headers, value };
            assert_eq!(Stored::decode(Offset::new(7), bytes), Ok(Stored { appended: at, record }));
        }
    }

    #[test]
    fn a_record_that_was_cut_is_not_read() {
        let others = vec![("attempt".into(), "2".into())];
        let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c".into());
        let headers = Headers { traceparent, others, ..Headers::default() };
        let new = NewRecord { partition: Partition::new(0), key: 1, headers, value: Bytes::new() };
        let (bytes, start) = Stored::encode(Timestamp::from_millis(0), &new);
        for length in 0..start {
            assert!(Stored::decode(Offset::new(0), bytes.slice(..length)).is_err(), "{length} bytes");
        }
    }
}
