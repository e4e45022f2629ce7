//! Event statuses in Redis: a hash an event with its status (`s`, as JSON), the copy that claimed it (`o`), how many others were
//! met (`d`), the parts of its account (`<partition>.<number>`) and which channels are told of its next change (`w`), gone some
//! time after the last write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use peal_proto::name::event_key;
use peal_proto::{EventId, Timestamp};

use super::{Change, Changes, Claim, Origin, PartKey, Status, Statuses};
use crate::StoreError;
use crate::redis::push::Push;
use crate::redis::{Connection, Script};

const ACCEPT: &str = "
if redis.call('HSETNX', KEYS[1], 's', ARGV[1]) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1";

const CLAIM: &str = "
local origin = redis.call('HGET', KEYS[1], 'o')
if origin == ARGV[1] then return 1 end
if origin then redis.call('HINCRBY', KEYS[1], 'd', 1) return 0 end
redis.call('HSET', KEYS[1], 'o', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1";

// Tells those who watch, once.
const TELL: &str = "
local function tell()
  local watchers = redis.call('HGET', KEYS[1], 'w')
  if watchers then
    redis.call('HDEL', KEYS[1], 'w')
    for channel in string.gmatch(watchers, '%S+') do redis.call('PUBLISH', channel, KEYS[1]) end
  end
end
";

const UPDATE: &str = "
redis.call('HSET', KEYS[1], 's', ARGV[1])
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
tell()
return 1";

const WATCH: &str = "
local watchers = redis.call('HGET', KEYS[1], 'w') or ''
if not string.find(watchers, ARGV[1], 1, true) then
  redis.call('HSET', KEYS[1], 'w', watchers .. ARGV[1] .. ' ')
  if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
end
return 1";

// For each part its field, what it was or '', and what it is to be.
const CHANGE: &str = "
local all = 1
for i = 2, #ARGV, 3 do
  local now = redis.call('HGET', KEYS[1], ARGV[i]) or ''
  if now == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  elseif now ~= ARGV[i + 2] then
    all = 0
  end
end
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
tell()
return all";

const RELEASE: &str = "
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then redis.call('HDEL', KEYS[1], 'o') end
return 1";

/// The statuses in a Redis.
pub(crate) struct RedisStatuses {
    connection: Connection,
    age_max: Duration,
    /// What is parked may be delivered for so long.
    account_age_max: Duration,
    accept: Script,
    claim: Script,
    update: Script,
    change: Script,
    watch: Script,
    release: Script,
    push: Arc<Push>,
}

impl RedisStatuses {
    pub(crate) fn new(connection: Connection, push: Arc<Push>, age_max: Duration, inbox_ttl: Duration) -> Self {
        Self {
            connection,
            age_max,
            account_age_max: age_max.max(inbox_ttl),
            accept: Script::new(ACCEPT),
            claim: Script::new(CLAIM),
            update: Script::new(&[TELL, UPDATE].concat()),
            change: Script::new(&[TELL, CHANGE].concat()),
            watch: Script::new(WATCH),
            release: Script::new(RELEASE),
            push,
        }
    }

    /// Changes the parts of one account.
    async fn change_account(&self, event: &EventId, changes: &[Change]) -> Result<bool, StoreError> {
        let mut call = self.change.on(&[&event_key(event)]);
        call.arg(self.account_age_max.as_secs());
        for Change { key, before, after } in changes {
            call.arg(field(key)).arg(before.as_deref().unwrap_or_default()).arg(&after[..]);
        }
        self.connection.call(&self.change, &call).await
    }

    async fn parts_of(&self, event: &EventId, keys: &[PartKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut get = redis::cmd("HMGET");
        get.arg(event_key(event)).arg(keys.iter().map(field).collect::<Vec<_>>());
        self.connection.run(&get).await
    }

    fn encode(&self, status: &Status) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(status).map_err(|error| self.connection.damaged(error))
    }
}

/// The field of a part. No other field has a dot.
fn field(key: &PartKey) -> String {
    format!("{}.{}", key.partition, key.number)
}

/// A copy, as its claim is kept.
fn word(origin: Origin) -> String {
    format!("{}:{}", origin.partition, origin.offset)
}

#[async_trait]
impl Statuses for RedisStatuses {
    async fn accept(&self, status: Status) -> Result<(), StoreError> {
        let mut call = self.accept.on(&[&event_key(&status.event)]);
        call.arg(self.encode(&status)?).arg(self.age_max.as_secs());
        self.connection.call(&self.accept, &call).await
    }

    async fn claim(&self, event: &EventId, origin: Origin, _: Timestamp) -> Result<Claim, StoreError> {
        let mut call = self.claim.on(&[&event_key(event)]);
        call.arg(word(origin)).arg(self.age_max.as_secs());
        let ours: bool = self.connection.call(&self.claim, &call).await?;
        Ok(if ours { Claim::Ours } else { Claim::Duplicate })
    }

    async fn release(&self, event: &EventId, origin: Origin) -> Result<(), StoreError> {
        let mut call = self.release.on(&[&event_key(event)]);
        call.arg(word(origin));
        self.connection.call(&self.release, &call).await
    }

    async fn update(&self, status: Status) -> Result<(), StoreError> {
        let mut call = self.update.on(&[&event_key(&status.event)]);
        call.arg(self.encode(&status)?).arg(self.age_max.as_secs());
        self.connection.call(&self.update, &call).await
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        let mut get = redis::cmd("HMGET");
        get.arg(event_key(event)).arg("s").arg("d");
        let (stored, duplicates): (Option<Vec<u8>>, Option<u64>) = self.connection.run(&get).await?;
        let Some(stored) = stored else { return Ok(None) };
        let status: Status = serde_json::from_slice(&stored).map_err(|error| self.connection.damaged(error))?;
        Ok(Some(Status { duplicates: duplicates.unwrap_or_default(), ..status }))
    }

    async fn parts(&self, keys: &[PartKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let accounts = keys.chunk_by(|a, b| a.event == b.event);
        let parts = accounts.filter_map(|keys| keys.first().map(|first| self.parts_of(&first.event, keys)));
        Ok(try_join_all(parts).await?.concat())
    }

    async fn change(&self, changes: Vec<Change>) -> Result<bool, StoreError> {
        let accounts = changes.chunk_by(|a, b| a.key.event == b.key.event);
        let changed = accounts.filter_map(|all| all.first().map(|first| self.change_account(&first.key.event, all)));
        Ok(try_join_all(changed).await?.into_iter().all(|all| all))
    }

    async fn account(&self, event: &EventId) -> Result<Option<(Status, Vec<Bytes>)>, StoreError> {
        let mut get = redis::cmd("HGETALL");
        get.arg(event_key(event));
        let fields: Vec<(Bytes, Bytes)> = self.connection.run(&get).await?;
        let (mut status, mut duplicates, mut parts) = (None, 0, Vec::new());
        for (field, value) in fields {
            match &field[..] {
                b"s" => status = Some(serde_json::from_slice(&value).map_err(|error| self.connection.damaged(error))?),
                b"d" => duplicates = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
                other if other.contains(&b'.') => parts.push(value),
                _ => {}
            }
        }
        Ok(status.map(|status: Status| (Status { duplicates, ..status }, parts)))
    }

    async fn watch(&self, event: &EventId) -> Result<(), StoreError> {
        let mut call = self.watch.on(&[&event_key(event)]);
        call.arg(self.push.channel()).arg(self.age_max.as_secs());
        self.connection.call(&self.watch, &call).await
    }

    fn changes(&self) -> Changes {
        self.push.changes()
    }
}
