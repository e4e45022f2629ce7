//! What a user has, and has lost: the packed summary in the partition's hash, which the scripts know from `user.lua`.

use super::super::{Entry, Retention};

/// Bytes of a packed summary: one number of 4 bytes and five of 8.
const BYTES: usize = 44;

/// One user's part of a partition. Without entries, `oldest` and `newest` say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) entries: u32,
    bytes: u64,
    pub(super) oldest: u64,
    newest: u64,
    /// Up to where the quota took entries away.
    pub(super) quota: u64,
    /// Up to where entries that had expired went.
    pub(super) expired: u64,
}

impl Summary {
    pub(super) fn decode(packed: &[u8]) -> Result<Self, String> {
        let numbers = packed.split_first_chunk().map(|(entries, rest)| (entries, rest.as_chunks()));
        match numbers {
            Some((entries, ([bytes, oldest, newest, quota, expired], []))) => Ok(Self {
                entries: u32::from_le_bytes(*entries),
                bytes: u64::from_le_bytes(*bytes),
                oldest: u64::from_le_bytes(*oldest),
                newest: u64::from_le_bytes(*newest),
                quota: u64::from_le_bytes(*quota),
                expired: u64::from_le_bytes(*expired),
            }),
            _ => Err(format!("a summary has {} bytes", packed.len())),
        }
    }

    pub(super) fn encode(self) -> [u8; BYTES] {
        let Self { entries, bytes, oldest, newest, quota, expired } = self;
        let mut packed = [0; BYTES];
        packed[..4].copy_from_slice(&entries.to_le_bytes());
        for (place, number) in packed[4..].chunks_exact_mut(8).zip([bytes, oldest, newest, quota, expired]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        packed
    }

    /// With new entries, in the order of their offsets, behind all that is there; `None` when they do not all belong there,
    /// or would have the quota take some away.
    pub(super) fn with(self, new: &[Entry], retention: &Retention) -> Option<Self> {
        let (first, last) = (new.first()?.offset.get(), new.last()?.offset.get());
        let behind = first >= self.quota && (self.entries == 0 || first > self.newest);
        let entries = self.entries.checked_add(u32::try_from(new.len()).ok()?)?;
        let bytes = self.bytes.checked_add(new.iter().map(|entry| entry.value.len() as u64).sum())?;
        let within = entries <= retention.notifications_max && bytes <= retention.bytes_max;
        let oldest = if self.entries == 0 { first } else { self.oldest };
        (behind && within).then_some(Self { entries, bytes, oldest, newest: last, ..self })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peal_proto::{Offset, UserId};

    use super::*;

    const RETENTION: Retention = Retention { notifications_max: 4, bytes_max: 10, ttl: Duration::from_secs(1) };

    /// Two entries of two bytes; something below 5 was lost.
    const BEFORE: Summary = Summary { entries: 2, bytes: 4, oldest: 7, newest: 9, quota: 5, expired: 3 };

    fn with(before: Summary, offsets: &[u64], bytes: usize) -> Option<Summary> {
        let user = UserId::new(1).unwrap();
        let entry = |offset: &u64| Entry {
            user,
            offset: Offset::new(*offset),
            expires: None,
            collapse: None,
            value: vec![0; bytes].into(),
        };
        before.with(&offsets.iter().map(entry).collect::<Vec<_>>(), &RETENTION)
    }

    #[test]
    fn a_summary_is_packed_and_read() {
        assert_eq!(Summary::decode(&BEFORE.encode()), Ok(BEFORE));
        for bytes in [0, 3, 43, 45] {
            assert!(Summary::decode(&[0; 50][..bytes]).is_err(), "{bytes} bytes");
        }
    }

    #[test]
    fn entries_behind_all_that_is_there_are_added_up_to_the_quota() {
        assert_eq!(with(BEFORE, &[10, 12], 3), Some(Summary { entries: 4, bytes: 10, newest: 12, ..BEFORE }));
        assert_eq!(with(BEFORE, &[10, 12], 4), None);
        assert_eq!(with(BEFORE, &[10, 11, 12], 1), None);
        assert_eq!(with(BEFORE, &[9, 10], 1), None);
        assert_eq!(with(BEFORE, &[], 1), None);
    }

    #[test]
    fn the_first_entries_stand_anywhere_but_where_the_quota_took_some_away() {
        let lost = Summary { entries: 0, bytes: 0, ..BEFORE };
        assert_eq!(with(lost, &[5, 6], 1), Some(Summary { entries: 2, bytes: 2, oldest: 5, newest: 6, ..BEFORE }));
        assert_eq!(with(lost, &[4, 6], 1), None);
    }
}
