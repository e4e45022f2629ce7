//! What is stored on disk: every kind of record, its key and its value. Numbers are big-endian, so keys sort as they count.
//!
//! | table | key | value |
//! |---|---|---|
//! | log | topic 1 · partition 4 · offset 8 | [`Stored`]: appended at 8 · key 8 · flags 1 · expires 8? · traceparent 2+n? · value |
//! | inbox | `e` · partition 4 · user 8 · offset 8 | [`Kept`]: `1` · until 8 · value, or `2` · until 8 · replaced 4 · collapse key 1+n · value, or `0` · reason 1 when it was lost |
//! | inbox | `k` · partition 4 · user 8 · collapse key | the offset 8 of the last entry of that key; it may be gone |
//! | inbox | `u` · partition 4 · user 8 | [`Summary`] of a user: entries 4 · bytes 8 · oldest 8 · first 8 · newest 8 |
//! | inbox | `f` · partition 4 · oldest 8 · user 8 | nothing: users by their oldest entry, for the floor |
//! | inbox | `m` · partition 4 | the marker 8 |
//! | state | `S` | [`Stamp`]: partitions 4 · generation 4 |
//! | state | `C` · topic 1 · partition 4 · group | `Commit`: position 8 · metadata |
//! | state | `M` · community 8 · user 8 | nothing: a member |
//! | state | `N` · community 8 | how many members 8 |
//! | state | `E` · event | [`Status`](crate::status::Status) as JSON |
//! | state | `K` · event | [`Claimed`]: partition 4 · offset 8 · at 8 · duplicates 8 |
//! | state | `P` · event · `/` · partition 4 · number 8 | [`Part`] of an account: changed at 8 · value |
//! | state | `U` · user 8 · id | [`Subscription`](peal_proto::Subscription) as JSON |
//! | state | `H` | the shard map as JSON |
//!
//! Owns the bytes: the keys here, the values by kind beside. Who writes them when stands with each store.

mod entry;
mod record;
mod state;

use std::ops::Range;

use bytes::{Buf, TryGetError};
use peal_proto::{CollapseKey, CommunityId, EventId, Offset, Partition, Position, SubscriptionId, Topic, UserId};

pub(crate) use entry::{Collapsed, Kept, Summary};
pub(crate) use record::Stored;
pub(crate) use state::{Claimed, Part, Stamp, decode_commit, decode_number, encode_commit, encode_number};

use crate::log::Source;
use crate::status::PartKey;

/// A table of the database; each has its own memory and its own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Records of all topics.
    Log,
    /// Parked entries.
    Inbox,
    /// Everything small.
    State,
}

pub(crate) type Key = Vec<u8>;

fn key(parts: &[&[u8]]) -> Key {
    parts.concat()
}

/// All keys with this prefix.
pub(crate) fn within(prefix: Key) -> Range<Key> {
    let mut end = prefix.clone();
    while end.pop_if(|last| *last == u8::MAX).is_some() {}
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    prefix..end
}

pub(crate) const fn topic_number(topic: Topic) -> u8 {
    match topic {
        Topic::Events => 0,
        Topic::Notifications => 1,
        Topic::Receipts => 2,
        Topic::DeadLetters => 3,
        Topic::Offline => 4,
    }
}

pub(crate) fn record_key(topic: Topic, partition: Partition, at: Position) -> Key {
    key(&[&[topic_number(topic)], &partition.get().to_be_bytes(), &at.next().get().to_be_bytes()])
}

/// The keys of a partition's records from one position to another.
pub(crate) fn records(topic: Topic, partition: Partition, positions: Range<Position>) -> Range<Key> {
    record_key(topic, partition, positions.start)..record_key(topic, partition, positions.end)
}

/// The offset at the end of a record's or entry's key.
pub(crate) fn offset_of(key: &[u8]) -> Result<Offset, TryGetError> {
    let mut tail = &key[key.len().saturating_sub(8)..];
    tail.try_get_u64().map(Offset::new)
}

pub(crate) fn entry_key(partition: Partition, user: UserId, offset: Offset) -> Key {
    key(&[b"e", &partition.get().to_be_bytes(), &user.get().to_be_bytes(), &offset.get().to_be_bytes()])
}

/// The keys of a user's entries from a position on.
pub(crate) fn entries(partition: Partition, user: UserId, from: Position) -> Range<Key> {
    entry_key(partition, user, from.next())..entry_key(partition, user, Offset::new(u64::MAX))
}

/// Where it stands which entry of a user has a collapse key.
pub(crate) fn collapse_key(partition: Partition, user: UserId, collapse: &CollapseKey) -> Key {
    key(&[b"k", &partition.get().to_be_bytes(), &user.get().to_be_bytes(), collapse.as_str().as_bytes()])
}

/// Whose entry a key is of.
pub(crate) fn owner_of(key: &[u8]) -> Result<(Partition, u64), TryGetError> {
    let mut rest = key.get(1..).unwrap_or_default();
    Ok((Partition::new(rest.try_get_u32()?), rest.try_get_u64()?))
}

pub(crate) fn summary_key(partition: Partition, user: UserId) -> Key {
    key(&[b"u", &partition.get().to_be_bytes(), &user.get().to_be_bytes()])
}

pub(crate) fn floor_key(partition: Partition, oldest: Offset, user: UserId) -> Key {
    key(&[b"f", &partition.get().to_be_bytes(), &oldest.get().to_be_bytes(), &user.get().to_be_bytes()])
}

/// The keys of a partition's users by their oldest entry, from a position on.
pub(crate) fn floors(partition: Partition, from: Position) -> Range<Key> {
    let start = key(&[b"f", &partition.get().to_be_bytes(), &from.next().get().to_be_bytes()]);
    start..within(key(&[b"f", &partition.get().to_be_bytes()])).end
}

/// The oldest offset in a floor's key.
pub(crate) fn floor_of(key: &[u8]) -> Result<Offset, TryGetError> {
    let mut rest = key.get(5..).unwrap_or_default();
    rest.try_get_u64().map(Offset::new)
}

pub(crate) fn marker_key(partition: Partition) -> Key {
    key(&[b"m", &partition.get().to_be_bytes()])
}

pub(crate) fn stamp_key() -> Key {
    key(&[b"S"])
}

pub(crate) fn commit_key(source: Source) -> Key {
    let Source { group, topic, partition } = source;
    key(&[b"C", &[topic_number(topic)], &partition.get().to_be_bytes(), group.as_bytes()])
}

pub(crate) fn member_key(community: CommunityId, user: u64) -> Key {
    key(&[b"M", &community.get().to_be_bytes(), &user.to_be_bytes()])
}

/// The keys of a community's members from a user on.
pub(crate) fn members(community: CommunityId, from: u64) -> Range<Key> {
    member_key(community, from)..member_key(community, u64::MAX)
}

/// The user in a member's key.
pub(crate) fn member_of(key: &[u8]) -> Result<u64, TryGetError> {
    offset_of(key).map(Offset::get)
}

pub(crate) fn member_count_key(community: CommunityId) -> Key {
    key(&[b"N", &community.get().to_be_bytes()])
}

pub(crate) fn status_key(event: &EventId) -> Key {
    key(&[b"E", event.as_str().as_bytes()])
}

pub(crate) fn claim_key(event: &EventId) -> Key {
    key(&[b"K", event.as_str().as_bytes()])
}

/// No event has the `/` in its id.
pub(crate) fn part_key(part: &PartKey) -> Key {
    let PartKey { event, partition, number } = part;
    key(&[b"P", event.as_str().as_bytes(), b"/", &partition.get().to_be_bytes(), &number.to_be_bytes()])
}

/// The keys of an account's parts.
pub(crate) fn parts(event: &EventId) -> Range<Key> {
    within(key(&[b"P", event.as_str().as_bytes(), b"/"]))
}

pub(crate) fn subscription_key(user: UserId, id: &SubscriptionId) -> Key {
    key(&[b"U", &user.get().to_be_bytes(), id.as_str().as_bytes()])
}

/// The keys of a user's subscriptions.
pub(crate) fn subscriptions(user: UserId) -> Range<Key> {
    within(key(&[b"U", &user.get().to_be_bytes()]))
}

/// Which subscription a key is of.
pub(crate) fn subscription_of(key: &[u8]) -> Option<SubscriptionId> {
    std::str::from_utf8(key.get(9..)?).ok()?.parse().ok()
}

pub(crate) fn shard_map_key() -> Key {
    key(&[b"H"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_they_count_and_tell_what_is_in_them() {
        let position = |offset| Position::at(Offset::new(offset));
        let key = |partition, offset| record_key(Topic::Events, Partition::new(partition), position(offset));
        assert!(key(1, 255) < key(1, 256) && key(1, u64::MAX) < key(2, 0));
        assert_eq!(offset_of(&key(1, 300)), Ok(Offset::new(300)));
        let (partition, user) = (Partition::new(9), UserId::new(77).unwrap());
        let entry = entry_key(partition, user, Offset::new(5));
        assert_eq!((offset_of(&entry), owner_of(&entry)), (Ok(Offset::new(5)), Ok((partition, 77))));
        assert_eq!(floor_of(&floor_key(partition, Offset::new(5), user)), Ok(Offset::new(5)));
        assert!(floors(partition, position(5)).contains(&floor_key(partition, Offset::new(5), user)));
        assert!(!floors(partition, position(6)).contains(&floor_key(partition, Offset::new(5), user)));
        assert_eq!(within(vec![1, 255]), vec![1, 255]..vec![2]);
    }
}
