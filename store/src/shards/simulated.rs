//! The shard map in memory.

use async_trait::async_trait;
use peal_proto::ShardMap;

use super::Shards;
use crate::StoreError;
use crate::simulated::Handle;

/// The map.
#[derive(Default)]
pub(crate) struct Model(Option<ShardMap>);

#[async_trait]
impl Shards for Handle<Model> {
    async fn load(&self) -> Result<Option<ShardMap>, StoreError> {
        self.call(|model| model.0.clone()).await
    }

    async fn store(&self, map: ShardMap) -> Result<bool, StoreError> {
        self.call(|model| {
            let newer = model.0.as_ref().is_none_or(|stored| map.epoch() > stored.epoch());
            if newer {
                model.0 = Some(map);
            }
            newer
        })
        .await
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}
