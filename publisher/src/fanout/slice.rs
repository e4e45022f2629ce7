//! The notifications that are written together, with the events they are the last of.
//!
//! One buffer for all of them: a notification costs two copies and an integer, and each record is a view of the buffer.
//! Large communities fill many slices; many small events share one.

use bytes::Bytes;
use peal_proto::shard::partition_of;
use peal_proto::{Template, UserId};
use peal_store::log::{Headers, NewRecord};
use peal_store::status::Status;

use super::checkpoint::Done;
use crate::limits;

/// When a slice is full; each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceLimits {
    /// Notifications.
    pub notifications_max: usize,
    /// Bytes of notifications; the notification that passes it is the last.
    pub bytes_max: usize,
    /// Events done with; at most 100, or the checkpoint would not fit.
    pub events_max: usize,
}

impl Default for SliceLimits {
    fn default() -> Self {
        Self {
            notifications_max: limits::SLICE_NOTIFICATIONS_MAX,
            bytes_max: limits::SLICE_BYTES_MAX,
            events_max: limits::SLICE_EVENTS_MAX,
        }
    }
}

/// A slice in the making.
#[derive(Debug)]
pub(super) struct Slice {
    limits: SliceLimits,
    bytes: Vec<u8>,
    /// For whom, and where in the bytes it ends.
    ends: Vec<(UserId, usize)>,
    done: Vec<(Done, Status)>,
}

impl Slice {
    pub(super) fn new(given: SliceLimits) -> Self {
        let limits = SliceLimits {
            notifications_max: given.notifications_max.max(1),
            bytes_max: given.bytes_max.max(1),
            events_max: given.events_max.clamp(1, limits::SLICE_EVENTS_MAX),
        };
        Self { limits, bytes: Vec::new(), ends: Vec::new(), done: Vec::new() }
    }

    pub(super) fn push(&mut self, user: UserId, template: &Template) {
        template.write(user, &mut self.bytes);
        self.ends.push((user, self.bytes.len()));
    }

    /// The slice is the last of this event.
    pub(super) fn finish(&mut self, done: Done, status: Status) {
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
        let Self { limits, bytes, ends, done } = self;
        ends.len() >= limits.notifications_max || bytes.len() >= limits.bytes_max || done.len() >= limits.events_max
    }

    /// The slice to write, its events done, and what to say of them then. Leaves an empty one, which takes no memory.
    pub(super) fn seal(&mut self, partitions: u32) -> Sealed {
        let Self { bytes, ends, done, .. } = std::mem::replace(self, Self::new(self.limits));
        let bytes = Bytes::from(bytes);
        let mut start = 0;
        let mut records = Vec::with_capacity(ends.len());
        for (user, end) in ends {
            records.push(NewRecord {
                partition: partition_of(user.get(), partitions),
                key: user.get(),
                headers: Headers::default(),
                value: bytes.slice(start..end),
            });
            start = end;
        }
        let (done, statuses) = done.into_iter().unzip();
        Sealed { records, done, statuses }
    }
}

/// A slice as it is written.
pub(super) struct Sealed {
    pub(super) records: Vec<NewRecord>,
    pub(super) done: Vec<Done>,
    pub(super) statuses: Vec<Status>,
}
