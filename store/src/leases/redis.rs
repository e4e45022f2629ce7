//! Leases in Redis: a key a partition with its holder, which Redis itself drops at the end of the term.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use peal_proto::name::lease_key;
use peal_proto::{Partition, Timestamp};

use super::{Holder, Lease, Leases};
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

/// The leases in a Redis.
pub(crate) struct RedisLeases {
    connection: Connection,
    claim: Script,
    release: Script,
}

impl RedisLeases {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, claim: Script::new(CLAIM), release: Script::new(RELEASE) }
    }

    async fn claim_one(&self, holder: &Holder, partition: Partition, term: Duration) -> Result<Lease, StoreError> {
        let mut call = self.claim.on(&[&lease_key(partition)]);
        call.arg(holder.name()).arg(u64::try_from(term.as_millis()).unwrap_or(u64::MAX));
        let by: String = self.connection.call(&self.claim, &call).await?;
        Ok(if by.is_empty() { Lease::Held } else { Lease::Taken { by: Holder::new(by) } })
    }

    async fn release_one(&self, holder: &Holder, partition: Partition) -> Result<(), StoreError> {
        let mut call = self.release.on(&[&lease_key(partition)]);
        call.arg(holder.name());
        let _: u32 = self.connection.call(&self.release, &call).await?;
        Ok(())
    }
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

    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError> {
        try_join_all(partitions.iter().map(|partition| self.release_one(holder, *partition))).await.map(drop)
    }
}
