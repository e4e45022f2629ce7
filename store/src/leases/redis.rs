//! Leases in Redis: a key a partition with its holder, which Redis itself drops at the end of the term, and a hash of the seats and
//! of who else wants one, each with the time by the clock of Redis until which it counts.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use peal_proto::name::{SEATS_KEY, lease_key};
use peal_proto::{NodeId, Partition, Timestamp};

use super::{Holder, Lease, Leases, Seat};
use crate::StoreError;
use crate::redis::{Connection, Script};

const CLAIM: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''";

const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

const NOW: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function said(text) return string.sub(text, string.find(text, ' ') + 1) end
local function of(text) return cjson.decode(said(text)) end
local function counts(text) return tonumber(string.match(text, '^%d+')) > now end";

const SIT: &str = "
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and counts(stored) and of(stored).holder ~= ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1] .. ' rival', string.format('%d %s', now + ARGV[4], ARGV[2]))
  return of(stored).holder
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now + ARGV[4], ARGV[3]))
return ''";

const RISE: &str = "
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and of(stored).holder == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1";

const SEATS: &str = "
local seats = {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local node, stored = all[at], all[at + 1]
  if not string.find(node, ' ') and counts(stored) then
    local rival = redis.call('HGET', KEYS[1], node .. ' rival')
    seats[#seats + 1] = {said(stored), rival and counts(rival) and said(rival) or ''}
  end
end
return seats";

/// The leases in a Redis.
pub(crate) struct RedisLeases {
    connection: Connection,
    claim: Script,
    release: Script,
    sit: Script,
    rise: Script,
    seats: Script,
}

impl RedisLeases {
    pub(crate) fn new(connection: Connection) -> Self {
        let [sit, rise, seats] = [SIT, RISE, SEATS].map(|script| Script::new(&format!("{NOW}{script}")));
        Self { connection, claim: Script::new(CLAIM), release: Script::new(RELEASE), sit, rise, seats }
    }

    async fn claim_one(&self, holder: &Holder, partition: Partition, term: Duration) -> Result<Lease, StoreError> {
        let mut call = self.claim.on(&[&lease_key(partition)]);
        call.arg(holder.name()).arg(millis(term));
        self.connection.call(&self.claim, &call).await.map(lease)
    }

    async fn release_one(&self, holder: &Holder, partition: Partition) -> Result<(), StoreError> {
        let mut call = self.release.on(&[&lease_key(partition)]);
        call.arg(holder.name());
        let _: u32 = self.connection.call(&self.release, &call).await?;
        Ok(())
    }
}

/// Whose it is, unless it is the caller's.
fn lease(by: String) -> Lease {
    if by.is_empty() { Lease::Held } else { Lease::Taken { by: Holder::new(by) } }
}

fn millis(term: Duration) -> u64 {
    u64::try_from(term.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Leases for RedisLeases {
    // One call a partition, all on their way at once: in a Redis Cluster they go to different servers.
    async fn claim(
        &self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        _: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        try_join_all(partitions.iter().map(|partition| self.claim_one(holder, *partition, term))).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreError> {
        let (seconds, micros): (u64, u64) = self.connection.run(&redis::cmd("TIME")).await?;
        Ok(Some(Timestamp::from_millis(seconds * 1_000 + micros / 1_000)))
    }

    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError> {
        try_join_all(partitions.iter().map(|partition| self.release_one(holder, *partition))).await.map(drop)
    }

    async fn holders(&self, partitions: &[Partition], _: Timestamp) -> Result<Vec<Option<Holder>>, StoreError> {
        let holder = async |partition: &Partition| {
            let by: Option<String> = self.connection.run(redis::cmd("GET").arg(lease_key(*partition))).await?;
            Ok::<_, StoreError>(by.map(Holder::new))
        };
        try_join_all(partitions.iter().map(holder)).await
    }

    async fn sit(&self, seat: &Seat, term: Duration, _: Timestamp) -> Result<Lease, StoreError> {
        let text = serde_json::to_string(seat).map_err(|error| self.connection.damaged(error))?;
        let mut call = self.sit.on(&[SEATS_KEY]);
        call.arg(seat.node.get()).arg(seat.holder.name()).arg(text).arg(millis(term));
        self.connection.call(&self.sit, &call).await.map(lease)
    }

    async fn rise(&self, holder: &Holder, node: NodeId) -> Result<(), StoreError> {
        let mut call = self.rise.on(&[SEATS_KEY]);
        call.arg(node.get()).arg(holder.name());
        let _: u32 = self.connection.call(&self.rise, &call).await?;
        Ok(())
    }

    async fn seats(&self, _: Timestamp) -> Result<Vec<Seat>, StoreError> {
        let stored: Vec<(String, String)> = self.connection.call(&self.seats, &self.seats.on(&[SEATS_KEY])).await?;
        let seat = |(seat, rival): (String, String)| {
            let seat: Seat = serde_json::from_str(&seat)?;
            Ok(seat.wanted_by((!rival.is_empty()).then(|| Holder::new(rival))))
        };
        let seats: Result<Vec<Seat>, serde_json::Error> = stored.into_iter().map(seat).collect();
        let mut seats = seats.map_err(|error| self.connection.damaged(error))?;
        seats.sort_by_key(|seat| seat.node);
        Ok(seats)
    }
}
