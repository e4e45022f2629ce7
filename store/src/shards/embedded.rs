//! The shard map in the embedded database: one key.

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::ShardMap;
use tokio::sync::Notify;

use super::Shards;
use crate::StoreError;
use crate::embedded::schema;
use crate::embedded::{Durability, Engine, Fault, Stage, Table};

/// The shard map of an open directory.
pub(crate) struct EmbeddedShards {
    engine: Engine,
    changed: Notify,
}

impl EmbeddedShards {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, changed: Notify::new() }
    }
}

fn decode(stored: Option<Bytes>) -> Result<Option<ShardMap>, Fault> {
    Ok(stored.map(|stored| serde_json::from_slice(&stored)).transpose()?)
}

fn replace(stage: &mut Stage<'_>, map: &ShardMap) -> Result<bool, Fault> {
    let stored = decode(stage.get(Table::State, &schema::shard_map_key())?)?;
    let newer = stored.is_none_or(|stored| map.epoch() > stored.epoch());
    if newer {
        stage.put(Table::State, schema::shard_map_key(), serde_json::to_vec(map)?.into());
    }
    Ok(newer)
}

#[async_trait]
impl Shards for EmbeddedShards {
    async fn load(&self) -> Result<Option<ShardMap>, StoreError> {
        self.engine.look(|view| decode(view.get(Table::State, &schema::shard_map_key())?)).await
    }

    async fn store(&self, map: ShardMap) -> Result<bool, StoreError> {
        let stored = self.engine.run(Durability::Synced, 0, move |stage| replace(stage, &map)).await?;
        self.changed.notify_waiters();
        Ok(stored)
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}
