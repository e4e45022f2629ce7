//! The notifications that are written together, with the events they are the last of.
//!
//! One buffer for all of them: a notification costs two copies and an integer, and each record is a view of the buffer.
//! Large communities fill many slices; many small events share one.

use bytes::Bytes;
use peal_proto::shard::partition_of;
use peal_proto::{Template, Timestamp, UserId};
use peal_store::log::{Headers, NewRecord};
use peal_store::status::Status;

use super::checkpoint::{self, Done};
use crate::config::FanoutLimits;
use crate::limits::SLICE_DONE_BYTES_MAX;

/// A slice in the making.
#[derive(Debug)]
pub(super) struct Slice {
    limits: FanoutLimits,
    bytes: Vec<u8>,
    /// For whom, where in the bytes it ends, and when it is no longer worth delivering.
    ends: Vec<(UserId, usize, Option<Timestamp>)>,
    /// Of members that are no users.
    letters: Vec<NewRecord>,
    letters_bytes: usize,
    done: Vec<(Done, Status)>,
    /// What they take in the checkpoint.
    done_bytes: usize,
}

impl Slice {
    pub(super) fn new(limits: FanoutLimits) -> Self {
        Self {
            limits,
            bytes: Vec::new(),
            ends: Vec::new(),
            letters: Vec::new(),
            letters_bytes: 0,
            done: Vec::new(),
            done_bytes: 0,
        }
    }

    pub(super) fn push(&mut self, user: UserId, template: &Template) {
        template.write(user, &mut self.bytes);
        self.ends.push((user, self.bytes.len(), template.expires()));
    }

    /// The slice is the last of this event, and has its dead letters.
    pub(super) fn finish(&mut self, done: Done, status: Status, letters: Vec<NewRecord>) {
        self.letters_bytes += letters.iter().map(|letter| letter.value.len()).sum::<usize>();
        self.letters.extend(letters);
        let before = self.done.last().map(|(before, _)| before.offset);
        self.done_bytes += checkpoint::bytes_of(before, &done);
        self.done.push((done, status));
    }

    /// Nothing to write and no event done.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.done.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    pub(super) fn is_full(&self) -> bool {
        let Self { limits, bytes, ends, letters, letters_bytes, done, done_bytes } = self;
        ends.len() + letters.len() >= limits.notifications_max
            || bytes.len() + letters_bytes >= limits.bytes_max
            || done.len() >= limits.events_max
            || *done_bytes >= SLICE_DONE_BYTES_MAX
    }

    /// The slice to write, its events done, and what to say of them then. Leaves an empty one, which takes no memory.
    pub(super) fn seal(&mut self, partitions: u32) -> Sealed {
        let Self { bytes, ends, letters, done, .. } = std::mem::replace(self, Self::new(self.limits));
        let bytes = Bytes::from(bytes);
        let mut start = 0;
        let mut records = Vec::with_capacity(ends.len());
        for (user, end, expires) in ends {
            records.push(NewRecord {
                partition: partition_of(user.get(), partitions),
                key: user.get(),
                headers: Headers { expires, ..Headers::default() },
                value: bytes.slice(start..end),
            });
            start = end;
        }
        let (done, statuses) = done.into_iter().unzip();
        Sealed { records, letters, done, statuses }
    }
}

/// A slice as it is written.
#[derive(Default)]
pub(super) struct Sealed {
    pub(super) records: Vec<NewRecord>,
    pub(super) letters: Vec<NewRecord>,
    pub(super) done: Vec<Done>,
    pub(super) statuses: Vec<Status>,
}
