//! The inbox in Redis: a stream a user, summaries by user, users by their oldest entry, and the marker.
//!
//! A stream holds entries only, under `<generation>-<offset>`, so that one parked twice is known by its id. It grows at its
//! end alone; an entry that belongs below is put there by taking out what stands above it and adding it again, which is
//! rare and limited by the quota. One that a newer entry of its collapse key replaces is taken out; where the last of each key
//! stands is in a hash beside the stream, which only users have whose entries have keys. What was lost is not in the stream but in the user's summary: how far the quota took
//! entries away, and how far their expiry did. So a loss outlives the entries, and costs one field of a hash.
//!
//! A batch is parked in one step, all or nothing: the marker is compared, entries are added, the quota is kept, and the marker
//! is set. A script does all of that ([`scripted`]), and now and then takes away what has expired where it is the oldest. Most
//! batches need less, and are parked by a transaction, which costs Redis less ([`plain`]); in a Redis Cluster, where that
//! would take connections of its own to each server, the script parks them all. No key has a time to live of its own, as Redis
//! would drop it in silence. All keys of a partition have its hash tag; the scripts build the names of the streams, which are
//! not known in advance.

mod batch;
mod collapse;
mod page;
mod plain;
mod scripted;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::name::{floors_key, marker_key, users_key};
use peal_proto::{CollapseKey, Generation, Offset, Partition, Position, Timestamp, UserId};
use redis::Cmd;

use self::batch::Batch;
use self::page::Looked;
use self::summary::Summary;
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

    /// Where it stands which of the user's entries has a collapse key.
    fn collapse(&self, user: UserId) -> String {
        format!("{}{user}:keys", self.stream_prefix)
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

    /// An entry's in its stream.
    fn id(&self, offset: Offset) -> String {
        format!("{}-{offset}", self.generation)
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

#[async_trait]
impl Inbox for RedisInbox {
    fn ttl(&self) -> Duration {
        self.retention.ttl
    }

    async fn park(
        &self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Parked, StoreError> {
        let (keys, batch) = (Keys::of(partition), Batch::new(expected, next, entries, now));
        if let Some(pool) = self.connection.pool()
            && !batch.sweeps()
            && !batch.collapses()
            && let Some(floor) = self.connection.within(self.park_plain(pool, &keys, &batch)).await?
        {
            return Ok(Parked::Done { marker: next, floor: self.floor(&floor)? });
        }
        self.park_scripted(&keys, &batch).await
    }

    async fn of_keys(
        &self,
        partition: Partition,
        keys: Vec<(UserId, CollapseKey)>,
        now: Timestamp,
    ) -> Result<Vec<Option<(Offset, Bytes)>>, StoreError> {
        self.look_for(&Keys::of(partition), &keys, now).await
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
            let summary = summary.map(|packed| Summary::decode(&packed)).transpose()?.unwrap_or_default();
            page::page(request, summary, stream, now)
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
