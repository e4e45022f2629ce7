//! The shard map of this run: the stored one where it still holds, otherwise the next epoch.

use std::sync::Arc;

use peal_proto::ShardMap;
use peal_store::Stores;

use super::Fault;

/// The map of these nodes, stored before anybody is told. Its epoch goes up when their number or their URLs change.
pub(super) async fn agree(stores: &Stores, urls: Vec<String>) -> Result<Arc<ShardMap>, Fault> {
    let stored = stores.shards.load().await?;
    let epoch = stored.as_ref().map_or(1, |map| map.epoch() + 1);
    let map = ShardMap::new(epoch, stores.log.partitions(), urls).map_err(|error| Fault::Map { error })?;
    match stored {
        Some(stored) if stored.urls() == map.urls() && stored.partitions() == map.partitions() => Ok(Arc::new(stored)),
        Some(_) | None => {
            stores.shards.store(map.clone()).await?;
            tracing::info!(epoch, nodes = map.nodes(), "a new shard map");
            Ok(Arc::new(map))
        }
    }
}

#[cfg(test)]
mod tests {
    use peal_store::embedded;

    use super::*;

    #[tokio::test]
    async fn the_epoch_goes_up_when_the_nodes_change_and_only_then() {
        let directory = tempfile::tempdir().unwrap();
        let agreed = async |urls: &[&str]| {
            let store = embedded::open(directory.path(), embedded::Settings::default()).unwrap();
            let urls = urls.iter().map(|url| (*url).to_owned()).collect();
            agree(&store.stores(), urls).await.unwrap().epoch()
        };
        assert_eq!(agreed(&["ws://a", "ws://b"]).await, 1);
        assert_eq!(agreed(&["ws://a", "ws://b"]).await, 1);
        assert_eq!(agreed(&["ws://a", "ws://c"]).await, 2);
        assert_eq!(agreed(&["ws://a"]).await, 3);
        assert_eq!(agreed(&["ws://a"]).await, 3);
    }

    #[tokio::test]
    async fn nodes_that_do_not_divide_the_partitions_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = embedded::open(directory.path(), embedded::Settings::default()).unwrap();
        let urls = (0..7).map(|node| format!("ws://{node}")).collect();
        let fault = agree(&store.stores(), urls).await.unwrap_err().to_string();
        assert!(fault.contains("6 or 8 would: choose another --nodes"), "{fault}");
    }
}
