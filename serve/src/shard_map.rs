//! The shard map as processes agree on it: stored before anybody is told, and followed while it changes.

use std::sync::Arc;
use std::time::Duration;

use peal_proto::ShardMap;
use peal_proto::shard::InvalidShardMap;
use peal_store::{Shards, StoreError, Stores};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits::MAP_LOOK_INTERVAL;

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
pub enum AgreeError {
    /// There can't be a map of these nodes.
    #[error(transparent)]
    Invalid(#[from] InvalidShardMap),
    /// The map can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The map of these nodes, by ordinal: the stored one where it says the same, otherwise the next epoch.
///
/// # Errors
/// [`AgreeError`].
pub async fn agree(stores: &Stores, urls: Vec<String>) -> Result<Arc<ShardMap>, AgreeError> {
    loop {
        let stored = stores.shards.load().await?;
        let epoch = stored.as_ref().map_or(1, |map| map.epoch() + 1);
        let map = ShardMap::new(epoch, stores.log.partitions(), urls.clone())?;
        if let Some(stored) = stored.filter(|stored| is_same(stored, &map)) {
            return Ok(Arc::new(stored));
        }
        if stores.shards.store(map.clone()).await? {
            tracing::info!(epoch, nodes = map.nodes(), "a new shard map");
            return Ok(Arc::new(map));
        }
        // Another process was quicker; perhaps it said the same.
    }
}

fn is_same(stored: &ShardMap, map: &ShardMap) -> bool {
    stored.urls() == map.urls() && stored.partitions() == map.partitions()
}

/// The map once there is one.
///
/// # Errors
/// When the store does not answer.
pub async fn first(shards: &dyn Shards) -> Result<Arc<ShardMap>, StoreError> {
    loop {
        if let Some(map) = shards.load().await? {
            return Ok(Arc::new(map));
        }
        tracing::info!("there is no shard map yet; it comes with the first node");
        look_again(shards, Duration::from_secs(1)).await;
    }
}

/// Tells `map` of every higher epoch until `stop`.
pub async fn follow(shards: &dyn Shards, map: &watch::Sender<Arc<ShardMap>>, stop: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = look_again(shards, MAP_LOOK_INTERVAL) => {}
        }
        match shards.load().await {
            Ok(Some(stored)) if stored.epoch() > map.borrow().epoch() => {
                tracing::info!(epoch = stored.epoch(), nodes = stored.nodes(), "the shard map has changed");
                map.send_replace(Arc::new(stored));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the shard map could not be read; the last one stands"),
        }
    }
}

async fn look_again(shards: &dyn Shards, wait_max: Duration) {
    // A hint that does not come is what the wait is for.
    drop(tokio::time::timeout(wait_max, shards.changed()).await);
}

#[cfg(test)]
mod tests {
    use peal_store::inbox::Retention;
    use peal_store::simulated::Simulation;

    use super::*;

    fn urls(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("ws://{name}")).collect()
    }

    #[tokio::test]
    async fn the_epoch_goes_up_when_the_nodes_change_and_only_then() {
        let stores = Simulation::new(1, 120, Retention::default()).stores();
        let agreed = async |names: &[&str]| agree(&stores, urls(names)).await.unwrap().epoch();
        assert_eq!(agreed(&["a", "b"]).await, 1);
        assert_eq!(agreed(&["a", "b"]).await, 1);
        assert_eq!(agreed(&["a", "c"]).await, 2);
        assert_eq!(agreed(&["a"]).await, 3);
        assert_eq!(agreed(&["a"]).await, 3);
    }

    #[tokio::test]
    async fn nodes_that_do_not_divide_the_partitions_are_refused() {
        let stores = Simulation::new(1, 120, Retention::default()).stores();
        let refused = agree(&stores, urls(&["a", "b", "c", "d", "e", "f", "g"])).await.unwrap_err().to_string();
        assert!(refused.contains("7 does not, 6 or 8 would"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_map_that_another_process_stored_is_followed() {
        let simulation = Simulation::new(1, 120, Retention::default());
        let stores = simulation.stores();
        let (sender, mut map) = watch::channel(agree(&stores, urls(&["a"])).await.unwrap());
        let (own, stop) = (Arc::clone(&stores.shards), CancellationToken::new());
        let (follower, stopped) = (stop.clone(), async move |stop| follow(&*own, &sender, &stop).await);
        let following = tokio::spawn(async move { stopped(follower).await });
        agree(&stores, urls(&["a", "b"])).await.unwrap();
        let changed = tokio::time::timeout(MAP_LOOK_INTERVAL * 2, map.wait_for(|map| map.nodes() == 2)).await;
        assert!(changed.unwrap().is_ok());
        stop.cancel();
        following.await.unwrap();
    }
}
