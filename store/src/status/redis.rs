//! Event statuses in Redis: a hash an event with its status (`s`, as JSON), the copy that claimed it (`o`) and how many
//! others were met (`d`), gone some time after the last write.

use std::time::Duration;

use async_trait::async_trait;
use peal_proto::name::event_key;
use peal_proto::{EventId, Timestamp};

use super::{Claim, Origin, Status, Statuses};
use crate::StoreError;
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

const RELEASE: &str = "
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then redis.call('HDEL', KEYS[1], 'o') end
return 1";

/// The statuses in a Redis.
pub(crate) struct RedisStatuses {
    connection: Connection,
    age_max: Duration,
    accept: Script,
    claim: Script,
    release: Script,
}

impl RedisStatuses {
    pub(crate) fn new(connection: Connection, age_max: Duration) -> Self {
        Self {
            connection,
            age_max,
            accept: Script::new(ACCEPT),
            claim: Script::new(CLAIM),
            release: Script::new(RELEASE),
        }
    }

    fn encode(&self, status: &Status) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(status).map_err(|error| self.connection.damaged(error))
    }
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
        let key = event_key(&status.event);
        let mut update = redis::pipe();
        update.atomic().cmd("HSET").arg(&key).arg("s").arg(self.encode(&status)?).ignore();
        update.cmd("EXPIRE").arg(&key).arg(self.age_max.as_secs()).ignore();
        self.connection.run_all(&update).await
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        let mut get = redis::cmd("HMGET");
        get.arg(event_key(event)).arg("s").arg("d");
        let (stored, duplicates): (Option<Vec<u8>>, Option<u64>) = self.connection.run(&get).await?;
        let Some(stored) = stored else { return Ok(None) };
        let status: Status = serde_json::from_slice(&stored).map_err(|error| self.connection.damaged(error))?;
        Ok(Some(Status { duplicates: duplicates.unwrap_or_default(), ..status }))
    }
}
