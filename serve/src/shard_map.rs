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
    /// The map is of another log.
    #[error(
        "the stored shard map is of {stored} partitions and the log has {partitions}: they are of two clusters. Give each cluster its own Redis (--redis)"
    )]
    Foreign {
        /// Of the map.
        stored: u32,
        /// Of the log.
        partitions: u32,
    },
    /// The map can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The map of these nodes, by ordinal, when no other process lives: the stored one where it says the same, otherwise the next
/// epoch.
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
        if let Some(map) = put(stores, map).await? {
            return Ok(map);
        }
    }
}

/// The stored map; where there is none yet, the first, of these nodes by ordinal.
///
/// # Errors
/// [`AgreeError`].
pub async fn join(stores: &Stores, urls: Vec<String>) -> Result<Arc<ShardMap>, AgreeError> {
    let partitions = stores.log.partitions();
    loop {
        match stores.shards.load().await? {
            Some(map) if map.partitions() == partitions => return Ok(Arc::new(map)),
            Some(map) => return Err(AgreeError::Foreign { stored: map.partitions(), partitions }),
            None => {}
        }
        if let Some(map) = put(stores, ShardMap::new(1, partitions, urls.clone())?).await? {
            return Ok(map);
        }
    }
}

/// Puts a map; `None` when another process was quicker, which perhaps said the same.
async fn put(stores: &Stores, map: ShardMap) -> Result<Option<Arc<ShardMap>>, StoreError> {
    let is_stored = stores.shards.store(map.clone()).await?;
    if is_stored {
        tracing::info!(epoch = map.epoch(), nodes = map.nodes(), "a new shard map");
    }
    Ok(is_stored.then(|| Arc::new(map)))
}

fn is_same(stored: &ShardMap, map: &ShardMap) -> bool {
    stored.urls() == map.urls() && stored.partitions() == map.partitions() && stored.placed().is_empty()
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

/// Tells `map` of every higher epoch until `stop`. Where the store has a lower one or none, it lost what it had, and is given
/// this one again.
pub async fn follow(shards: &dyn Shards, map: &watch::Sender<Arc<ShardMap>>, stop: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = look_again(shards, MAP_LOOK_INTERVAL) => {}
        }
        match shards.load().await {
            Ok(Some(stored)) => compare(shards, map, stored).await,
            Ok(None) => restore(shards, map).await,
            Err(error) => tracing::debug!(%error, "the shard map could not be read; the last one stands"),
        }
    }
}

async fn compare(shards: &dyn Shards, map: &watch::Sender<Arc<ShardMap>>, stored: ShardMap) {
    let (own, partitions) = (map.borrow().epoch(), map.borrow().partitions());
    if stored.partitions() != partitions {
        let (epoch, of) = (stored.epoch(), stored.partitions());
        tracing::error!(epoch, of, partitions, "the stored shard map is of another log; the last one stands");
    } else if stored.epoch() > own {
        tracing::info!(epoch = stored.epoch(), nodes = stored.nodes(), "the shard map has changed");
        map.send_replace(Arc::new(stored));
    } else if stored.epoch() < own {
        restore(shards, map).await;
    }
}

async fn restore(shards: &dyn Shards, map: &watch::Sender<Arc<ShardMap>>) {
    let own = Arc::clone(&map.borrow());
    match shards.store(ShardMap::clone(&own)).await {
        Ok(is_stored) => tracing::warn!(epoch = own.epoch(), is_stored, "the shard map was lost, and is put back"),
        Err(error) => tracing::debug!(%error, "the shard map could not be put back"),
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
    async fn who_joins_takes_the_map_that_there_is_and_refuses_that_of_another_log() {
        let simulation = Simulation::new(1, 120, Retention::default());
        let stores = simulation.stores();
        assert_eq!(join(&stores, urls(&["a", "b"])).await.unwrap().nodes(), 2);
        assert_eq!(join(&stores, urls(&["a", "b", "c"])).await.unwrap().nodes(), 2);
        assert!(stores.shards.store(ShardMap::new(9, 12, urls(&["a"])).unwrap()).await.unwrap());
        let refused = join(&stores, urls(&["a"])).await.unwrap_err().to_string();
        assert!(refused.contains("of 12 partitions and the log has 120"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_map_that_was_lost_is_put_back_by_who_knows_it() {
        let stores = Simulation::new(1, 120, Retention::default()).stores();
        let known = ShardMap::new(7, 120, urls(&["a", "b"])).unwrap();
        let (sender, _map) = watch::channel(Arc::new(known.clone()));
        let (own, stop) = (Arc::clone(&stores.shards), CancellationToken::new());
        let following = tokio::spawn(async move { follow(&*own, &sender, &stop).await });
        assert!(stores.shards.store(ShardMap::new(1, 120, urls(&["c"])).unwrap()).await.unwrap());
        tokio::time::sleep(MAP_LOOK_INTERVAL * 3).await;
        assert_eq!(stores.shards.load().await.unwrap(), Some(known));
        following.abort();
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
