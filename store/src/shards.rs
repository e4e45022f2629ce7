//! Where the shard map is kept, so that its epoch outlives every process.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;

use async_trait::async_trait;
use peal_proto::ShardMap;

use crate::StoreError;

/// The one shard map.
#[async_trait]
pub trait Shards: Send + Sync + 'static {
    /// The map; `None` before the first.
    async fn load(&self) -> Result<Option<ShardMap>, StoreError>;

    /// Replaces the map if its epoch is higher than the stored one; whether it did. Durable when answered.
    async fn store(&self, map: ShardMap) -> Result<bool, StoreError>;

    /// Waits until it is worth looking at the map again: another one was stored, or it is not known whether. A hint, and no
    /// promise; look now and then without it too. Cancel safe.
    async fn changed(&self);
}
