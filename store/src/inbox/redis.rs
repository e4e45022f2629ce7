//! The inbox in Redis: a stream a user, summaries by user, users by their oldest entry, and the marker.
//!
//! A stream holds entries only, under `<generation>-<offset>`, so that one parked twice is known by its id. It grows at its
//! end alone; an entry that belongs below is put there by taking out what stands above it and adding it again, which is
//! rare and limited by the quota. What was lost is not in the stream but in the user's summary: how far the quota took
//! entries away, and how far their expiry did. So a loss outlives the entries, and costs one field of a hash.
//!
//! Parking is one script: it compares the marker, adds, keeps the quota, takes expired entries away where they are the
//! oldest, and sets the marker, all or nothing. No key has a time to live of its own, as Redis would drop it in silence.
//! All keys of a partition have its hash tag; the scripts build the names of the streams, which are not known in advance.

mod page;

use std::collections::BTreeMap;

use async_trait::async_trait;
use peal_proto::name::{floors_key, marker_key, users_key};
use peal_proto::{Generation, Offset, Partition, Position, Timestamp, UserId};
use redis::Cmd;

use self::page::{Looked, Losses};
use super::{Entry, Inbox, Marker, Page, PageRequest, Parked, Retention};
use crate::StoreError;
use crate::redis::{Connection, Script};

const PARK: &str = concat!(include_str!("redis/user.lua"), include_str!("redis/park.lua"));
const TRIM: &str = concat!(include_str!("redis/user.lua"), include_str!("redis/trim.lua"));

/// The inbox of a Redis.
pub(crate) struct RedisInbox {
    connection: Connection,
    generation: Generation,
    retention: Retention,
    park: Script,
    trim: Script,
}

/// The names of a partition's keys.
struct Keys {
    marker: String,
    users: String,
    floors: String,
    stream_prefix: String,
}

impl Keys {
    fn of(partition: Partition) -> Self {
        Self {
            marker: marker_key(partition),
            users: users_key(partition),
            floors: floors_key(partition),
            stream_prefix: format!("peal:{{p{partition}}}:inbox:"),
        }
    }

    fn stream(&self, user: UserId) -> String {
        format!("{}{user}", self.stream_prefix)
    }
}

impl RedisInbox {
    pub(crate) fn new(connection: Connection, generation: Generation, retention: Retention) -> Self {
        Self { connection, generation, retention, park: Script::new(PARK), trim: Script::new(TRIM) }
    }

    /// A call of a script, with what all of them take first.
    fn script(&self, script: &Script, keys: &Keys) -> Cmd {
        let mut call = script.on(&[&keys.marker, &keys.users, &keys.floors]);
        call.arg(self.generation.get()).arg(&keys.stream_prefix);
        call
    }

    /// Adds entries to a call, sorted by user and offset, each once: what each user has, the users, the entries.
    fn add(&self, call: &mut Cmd, mut entries: Vec<Entry>, now: Timestamp) {
        let until_max = now.after(self.retention.ttl);
        entries.sort_by_key(|entry| (entry.user, entry.offset));
        entries.dedup_by_key(|entry| (entry.user, entry.offset));
        let users: Vec<_> = entries.chunk_by(|a, b| a.user == b.user).collect();
        call.arg(users.len()).arg(users.iter().flat_map(|of_user| head(of_user)).collect::<Vec<u8>>());
        for of_user in &users {
            call.arg(of_user[0].user.get());
        }
        for Entry { user: _, offset, expires, value } in &entries {
            let until = expires.map_or(until_max, |expires| expires.min(until_max));
            call.arg(format!("{}-{offset}", self.generation)).arg(until.millis()).arg(&value[..]);
        }
    }

    /// The marker as stored: that of an older log is none, that of a newer one means that this process is the old one.
    fn marker_of(&self, stored: Option<&str>) -> Result<Option<Marker>, StoreError> {
        let Some(stored) = stored else { return Ok(None) };
        let parts = stored.split_once('.').and_then(|(of, number)| Some((of.parse().ok()?, number.parse().ok()?)));
        let Some((of, number)) = parts else {
            return Err(self.connection.damaged(format!("{stored:?} is not a marker")));
        };
        match Generation::new(of).cmp(&self.generation) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Equal => Ok(Some(Marker::new(number))),
            std::cmp::Ordering::Greater => Err(self.fenced()),
        }
    }

    fn fenced(&self) -> StoreError {
        StoreError::Fenced { writer: format!("the inbox of generation {}", self.generation) }
    }

    fn floor(&self, answer: &str) -> Result<Option<Offset>, StoreError> {
        let number = (!answer.is_empty()).then(|| answer.parse().map(Offset::new));
        number.transpose().map_err(|_| self.connection.damaged(format!("{answer:?} is not a floor")))
    }
}

/// What a user has in a batch, packed: how many entries and bytes, the first and the last offset.
fn head(of_user: &[Entry]) -> [u8; 28] {
    let bytes: usize = of_user.iter().map(|entry| entry.value.len()).sum();
    let last = of_user.len() - 1;
    let mut head = [0; 28];
    head[..4].copy_from_slice(&u32::try_from(of_user.len()).unwrap_or(u32::MAX).to_le_bytes());
    let numbers = [bytes as u64, of_user[0].offset.get(), of_user[last].offset.get()];
    for (place, number) in head[4..].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    head
}

#[async_trait]
impl Inbox for RedisInbox {
    async fn park(
        &self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Parked, StoreError> {
        let mut call = self.script(&self.park, &Keys::of(partition));
        call.arg(expected.map_or_else(String::new, |marker| marker.get().to_string())).arg(next.get());
        call.arg(now.millis()).arg(self.retention.notifications_max).arg(self.retention.bytes_max);
        self.add(&mut call, entries, now);
        let (answer, detail): (String, String) = self.connection.call(&self.park, &call).await?;
        match answer.as_str() {
            "done" => Ok(Parked::Done { marker: next, floor: self.floor(&detail)? }),
            "unexpected" => Ok(Parked::Unexpected { found: detail.parse().ok().map(Marker::new) }),
            _ => Err(self.fenced()),
        }
    }

    async fn pages(
        &self,
        partition: Partition,
        requests: Vec<PageRequest>,
        now: Timestamp,
    ) -> Result<Vec<Page>, StoreError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Keys::of(partition);
        let users: Vec<_> = requests.iter().map(|request| request.user.get()).collect();
        // One transaction: what goes between two looks would be missing without its gap.
        let mut looks = redis::pipe();
        looks.atomic().cmd("GET").arg(&keys.marker).cmd("HMGET").arg(&keys.users).arg(&users);
        for request in &requests {
            looks.add_command(page::look(&keys.stream(request.user), self.generation, request));
        }
        let answers = self.connection.run_all(&looks).await?;
        let looked = Looked::from_answers(answers).map_err(|error| self.connection.damaged(error))?;
        if self.marker_of(looked.marker.as_deref())?.is_none() {
            return Ok(vec![Page { items: Vec::new(), end: true }; requests.len()]);
        }
        let pages = requests.iter().zip(looked.summaries).zip(looked.streams).map(|((request, summary), stream)| {
            let losses = summary.map(|packed| Losses::decode(&packed)).transpose()?.unwrap_or_default();
            page::page(request, losses, stream, now)
        });
        pages.collect::<Result<_, _>>().map_err(|reason: String| self.connection.damaged(reason))
    }

    async fn trim(&self, partition: Partition, trims: Vec<(UserId, Position)>) -> Result<Option<Offset>, StoreError> {
        let mut positions: BTreeMap<UserId, Position> = BTreeMap::new();
        for (user, below) in trims {
            let position = positions.entry(user).or_default();
            *position = below.max(*position);
        }
        let mut call = self.script(&self.trim, &Keys::of(partition));
        for (user, below) in positions {
            call.arg(user.get()).arg(below.next().get());
        }
        let floor: String = self.connection.call(&self.trim, &call).await?;
        self.floor(&floor)
    }

    async fn marker(&self, partition: Partition) -> Result<Option<Marker>, StoreError> {
        let stored: Option<String> = self.connection.run(redis::cmd("GET").arg(marker_key(partition))).await?;
        self.marker_of(stored.as_deref())
    }
}
