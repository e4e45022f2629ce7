//! The values of everything small: the stamp, commits, claims, counts.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use peal_proto::{Generation, Offset, Partition, Position, Timestamp};

use crate::log::Commit;
use crate::status::Origin;

/// What a log is made with and keeps for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) partitions: u32,
    pub(crate) generation: Generation,
}

impl Stamp {
    pub(crate) fn encode(self) -> Bytes {
        [self.partitions.to_be_bytes(), self.generation.get().to_be_bytes()].concat().into()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, TryGetError> {
        Ok(Self { partitions: bytes.try_get_u32()?, generation: Generation::new(bytes.try_get_u32()?) })
    }
}

pub(crate) fn encode_commit(commit: &Commit) -> Bytes {
    [&commit.position.next().get().to_be_bytes(), commit.metadata.as_bytes()].concat().into()
}

pub(crate) fn decode_commit(mut bytes: &[u8]) -> Result<Commit, TryGetError> {
    let position = Position::at(Offset::new(bytes.try_get_u64()?));
    Ok(Commit { position, metadata: String::from_utf8_lossy(bytes).into_owned() })
}

/// The copy of an event that counts, and how many did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) origin: Origin,
    pub(crate) at: Timestamp,
    pub(crate) duplicates: u64,
}

impl Claimed {
    pub(crate) fn encode(self) -> Bytes {
        let Self { origin: Origin { partition, offset }, at, duplicates } = self;
        let mut out = BytesMut::with_capacity(28);
        out.put_u32(partition.get());
        for number in [offset.get(), at.millis(), duplicates] {
            out.put_u64(number);
        }
        out.freeze()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, TryGetError> {
        let partition = Partition::new(bytes.try_get_u32()?);
        let origin = Origin { partition, offset: Offset::new(bytes.try_get_u64()?) };
        Ok(Self { origin, at: Timestamp::from_millis(bytes.try_get_u64()?), duplicates: bytes.try_get_u64()? })
    }
}

/// A part of an account, and when it last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) at: Timestamp,
    pub(crate) value: Bytes,
}

impl Part {
    pub(crate) fn encode(&self) -> Bytes {
        [&self.at.millis().to_be_bytes(), &self.value[..]].concat().into()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, TryGetError> {
        let at = Timestamp::from_millis(bytes.try_get_u64()?);
        Ok(Self { at, value: Bytes::copy_from_slice(bytes) })
    }
}

pub(crate) fn encode_number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

pub(crate) fn decode_number(mut bytes: &[u8]) -> Result<u64, TryGetError> {
    bytes.try_get_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_a_commit_and_a_claim_are_read_as_they_were_written() {
        let stamp = Stamp { partitions: 120, generation: Generation::new(7) };
        assert_eq!(Stamp::decode(&stamp.encode()), Ok(stamp));
        let commit = Commit { position: Position::at(Offset::new(5)), metadata: "m1,f2".to_owned() };
        assert_eq!(decode_commit(&encode_commit(&commit)), Ok(commit));
        let origin = Origin { partition: Partition::new(1), offset: Offset::new(2) };
        let part = Part { at: Timestamp::from_millis(9), value: "[1]".into() };
        assert_eq!(Part::decode(&part.encode()), Ok(part));
        let claimed = Claimed { origin, at: Timestamp::from_millis(9), duplicates: 3 };
        assert_eq!(Claimed::decode(&claimed.encode()), Ok(claimed));
    }
}
