//! The shard map in Redis: one key, as JSON, replaced by a script that compares the epochs and tells everybody.

use async_trait::async_trait;
use peal_proto::ShardMap;
use peal_proto::name::{SHARDS_CHANNEL, SHARDS_KEY};

use super::Shards;
use crate::StoreError;
use crate::redis::push::Watch;
use crate::redis::{Connection, Script};

const STORE: &str = "
local stored = redis.call('GET', KEYS[1])
if stored and cjson.decode(stored).epoch >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1";

/// The shard map in a Redis.
pub(crate) struct RedisShards {
    connection: Connection,
    store: Script,
    watch: Watch,
}

impl RedisShards {
    pub(crate) fn new(connection: Connection, watch: Watch) -> Self {
        Self { connection, store: Script::new(STORE), watch }
    }
}

#[async_trait]
impl Shards for RedisShards {
    async fn load(&self) -> Result<Option<ShardMap>, StoreError> {
        let stored: Option<Vec<u8>> = self.connection.run(redis::cmd("GET").arg(SHARDS_KEY)).await?;
        let map = stored.map(|stored| serde_json::from_slice(&stored)).transpose();
        map.map_err(|error| self.connection.damaged(error))
    }

    async fn store(&self, map: ShardMap) -> Result<bool, StoreError> {
        let text = serde_json::to_vec(&map).map_err(|error| self.connection.damaged(error))?;
        let mut call = self.store.on(&[SHARDS_KEY]);
        call.arg(map.epoch()).arg(text).arg(SHARDS_CHANNEL);
        self.connection.call(&self.store, &call).await
    }

    async fn changed(&self) {
        self.watch.changed().await;
    }
}
