//! The values of the inbox: an entry, or the loss of some, and the summary of a user.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use peal_proto::frame::GapReason;
use peal_proto::{CollapseKey, Timestamp};

/// An entry of the inbox, or what is left of some that were lost: a loss stands at the highest offset of those it is of,
/// and reaches down to the entry before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    Entry { until: Timestamp, collapsed: Option<Collapsed>, value: Bytes },
    Lost(GapReason),
}

/// The collapse key of an entry, and how many older ones it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collapsed {
    pub(crate) key: CollapseKey,
    pub(crate) replaced: u32,
}

impl Kept {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Entry { until, collapsed, value } => {
                let key = collapsed.as_ref().map(|collapsed| collapsed.key.as_str());
                out.reserve(1 + 8 + key.map_or(0, |key| 4 + 1 + key.len()) + value.len());
                out.put_u8(1 + u8::from(key.is_some()));
                out.put_u64(until.millis());
                if let Some(Collapsed { key, replaced }) = collapsed {
                    out.put_u32(*replaced);
                    out.put_u8(u8::try_from(key.as_str().len()).unwrap_or_default()); // at most 64
                    out.put_slice(key.as_str().as_bytes());
                }
                out.put_slice(value);
            }
            Self::Lost(reason) => {
                out.put_u8(0);
                out.put_u8(match reason {
                    GapReason::Expired => 0,
                    GapReason::Quota => 1,
                    GapReason::Generation => 2,
                });
            }
        }
        out.freeze()
    }

    /// Bytes of the value.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Entry { value, .. } => value.len() as u64,
            Self::Lost(_) => 0,
        }
    }

    /// The collapse key of an entry that has one.
    pub(crate) fn collapse(&self) -> Option<&CollapseKey> {
        match self {
            Self::Entry { collapsed, .. } => collapsed.as_ref().map(|collapsed| &collapsed.key),
            Self::Lost(_) => None,
        }
    }

    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, TryGetError> {
        let kind = bytes.try_get_u8()?;
        if kind != 0 {
            let until = Timestamp::from_millis(bytes.try_get_u64()?);
            let collapsed = if kind == 2 { Some(collapsed(&mut bytes)?) } else { None };
            return Ok(Self::Entry { until, collapsed, value: bytes });
        }
        Ok(Self::Lost(match bytes.try_get_u8()? {
            0 => GapReason::Expired,
            1 => GapReason::Quota,
            _ => GapReason::Generation,
        }))
    }
}

fn collapsed(bytes: &mut Bytes) -> Result<Collapsed, TryGetError> {
    let (replaced, length) = (bytes.try_get_u32()?, usize::from(bytes.try_get_u8()?));
    let damaged = TryGetError { requested: length, available: bytes.remaining() };
    let key = bytes.get(..length).and_then(|key| std::str::from_utf8(key).ok()?.parse().ok()).ok_or(damaged)?;
    bytes.advance(length);
    Ok(Collapsed { key, replaced })
}

/// What one user has in the inbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Entries, without the lost.
    pub(crate) entries: u32,
    /// Bytes of their values.
    pub(crate) bytes: u64,
    /// The oldest entry, if there is one.
    pub(crate) oldest: u64,
    /// Nothing is stored below, neither entry nor loss.
    pub(crate) first: u64,
    /// Nothing is stored above.
    pub(crate) newest: u64,
}

impl Summary {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(36);
        out.put_u32(self.entries);
        for number in [self.bytes, self.oldest, self.first, self.newest] {
            out.put_u64(number);
        }
        out.freeze()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, TryGetError> {
        Ok(Self {
            entries: bytes.try_get_u32()?,
            bytes: bytes.try_get_u64()?,
            oldest: bytes.try_get_u64()?,
            first: bytes.try_get_u64()?,
            newest: bytes.try_get_u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_a_loss_and_a_summary_are_read_as_they_were_written() {
        let until = Timestamp::from_millis(9);
        let entry = |collapsed| Kept::Entry { until, collapsed, value: "v".into() };
        let collapsed = Collapsed { key: "joins.7".parse().unwrap(), replaced: 16 };
        for kept in [entry(None), entry(Some(collapsed)), Kept::Lost(GapReason::Quota)] {
            assert_eq!(Kept::decode(kept.encode()), Ok(kept));
        }
        let summary = Summary { entries: 1, bytes: 2, oldest: 3, first: 4, newest: 5 };
        assert_eq!(Summary::decode(&summary.encode()), Ok(summary));
    }
}
