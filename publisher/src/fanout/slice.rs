//! The notifications that are written together, with the events they are the last of.
//!
//! One buffer for all of them: a notification costs two copies and an integer, and each record is a view of the buffer.
//! Large communities fill many slices; many small events share one.

use bytes::Bytes;
use peal_proto::shard::partition_of;
use peal_proto::{Template, UserId};
use peal_store::log::{Headers, NewRecord};
use peal_store::status::Status;

use super::checkpoint::{self, Done};
use crate::limits::{self, SLICE_DONE_BYTES_MAX};

/// When a slice is full, and how many events are under way; each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanoutLimits {
    /// Notifications of a slice.
    pub notifications_max: usize,
    /// Bytes of notifications of a slice; the notification that passes it is the last.
    pub bytes_max: usize,
    /// Events that a slice is the last of.
    pub events_max: usize,
    /// Events of many members that are told in turn, on each partition; at most 4, or the checkpoint would not fit.
    pub large_max: usize,
    /// Events that wait for others of their community while those behind them go ahead; at most 28.
    pub held_max: usize,
}

impl Default for FanoutLimits {
    fn default() -> Self {
        Self {
            notifications_max: limits::SLICE_NOTIFICATIONS_MAX,
            bytes_max: limits::SLICE_BYTES_MAX,
            events_max: limits::SLICE_EVENTS_MAX,
            large_max: limits::LARGE_EVENTS_MAX,
            held_max: limits::HELD_EVENTS_MAX,
        }
    }
}

impl FanoutLimits {
    /// Within what a checkpoint holds.
    pub(super) fn at_least_one(self) -> Self {
        Self {
            notifications_max: self.notifications_max.max(1),
            bytes_max: self.bytes_max.max(1),
            events_max: self.events_max.max(1),
            large_max: self.large_max.clamp(1, limits::LARGE_EVENTS_MAX),
            held_max: self.held_max.clamp(1, limits::HELD_EVENTS_MAX),
        }
    }

    /// Notifications of one event in its turn: so much of a slice is everybody's when all have one.
    pub(super) fn turn(&self) -> usize {
        self.notifications_max.div_ceil(self.large_max + 1)
    }
}

/// A slice in the making.
#[derive(Debug)]
pub(super) struct Slice {
    limits: FanoutLimits,
    bytes: Vec<u8>,
    /// For whom, and where in the bytes it ends.
    ends: Vec<(UserId, usize)>,
    done: Vec<(Done, Status)>,
    /// What they take in the checkpoint.
    done_bytes: usize,
}

impl Slice {
    pub(super) fn new(limits: FanoutLimits) -> Self {
        Self { limits, bytes: Vec::new(), ends: Vec::new(), done: Vec::new(), done_bytes: 0 }
    }

    pub(super) fn push(&mut self, user: UserId, template: &Template) {
        template.write(user, &mut self.bytes);
        self.ends.push((user, self.bytes.len()));
    }

    /// The slice is the last of this event.
    pub(super) fn finish(&mut self, done: Done, status: Status) {
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
        let Self { limits, bytes, ends, done, done_bytes } = self;
        ends.len() >= limits.notifications_max
            || bytes.len() >= limits.bytes_max
            || done.len() >= limits.events_max
            || *done_bytes >= SLICE_DONE_BYTES_MAX
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
