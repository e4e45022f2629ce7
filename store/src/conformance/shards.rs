//! What the store of the shard map promises: only a higher epoch replaces it.

use peal_proto::ShardMap;

use super::{Case, Subject, cases};

pub(super) const CASES: &[Case] =
    cases![there_is_no_map_before_the_first, only_a_higher_epoch_replaces_the_map, the_map_outlives_the_process];

fn map(epoch: u64, nodes: u32) -> ShardMap {
    let urls = (0..nodes).map(|node| format!("ws://node-{node}:7000")).collect();
    ShardMap::new(epoch, 120, urls).unwrap()
}

async fn there_is_no_map_before_the_first(subject: Subject) {
    assert_eq!(subject.stores().shards.load().await.unwrap(), None);
}

async fn only_a_higher_epoch_replaces_the_map(subject: Subject) {
    let shards = subject.stores().shards;
    assert!(shards.store(map(3, 2)).await.unwrap());
    assert!(!shards.store(map(3, 4)).await.unwrap());
    assert!(!shards.store(map(2, 4)).await.unwrap());
    assert_eq!(shards.load().await.unwrap(), Some(map(3, 2)));
    assert!(shards.store(map(7, 4)).await.unwrap());
    assert_eq!(shards.load().await.unwrap(), Some(map(7, 4)));
}

async fn the_map_outlives_the_process(mut subject: Subject) {
    let shards = subject.stores().shards;
    shards.store(map(5, 3)).await.unwrap();
    drop(shards);
    subject.reopen().await;
    let shards = subject.stores().shards;
    assert_eq!(shards.load().await.unwrap(), Some(map(5, 3)));
    assert!(!shards.store(map(4, 2)).await.unwrap());
}
