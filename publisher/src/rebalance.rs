//! Rebalancing: partitions are moved to where they belong, a few at a time.
//!
//! Where they belong is the shard map's rule, but for nodes that are leaving; which move next is decided by the [`plan`], from the map,
//! the seats of nodes and the leases of partitions alone. Each wave is the next epoch of the map, so that a wave is there whole or not
//! at all, whoever dies; any publisher goes on from any map, and several at once do no harm, as an epoch is stored once. What the
//! nodes make of a map is theirs.

mod plan;
mod report;

use std::time::Duration;

use peal_proto::{Partition, ShardMap};
use peal_serve::Clock;
use peal_store::leases::{Holder, Seat};
use peal_store::{StoreError, Stores};
use tokio_util::sync::CancellationToken;

use self::plan::Scene;
pub(crate) use self::report::{Report, report};
use crate::limits::{REBALANCE_LOOK_INTERVAL, STORE_TIMEOUT, WAVE_INTERVAL};
use crate::within::within;

/// Moves partitions until `stop`.
pub(crate) async fn run(stores: &Stores, clock: &Clock, stop: &CancellationToken) {
    let mut wait = REBALANCE_LOOK_INTERVAL;
    while tokio::time::timeout(wait, stop.cancelled()).await.is_err() {
        wait = match step(stores, clock).await {
            Ok(true) => WAVE_INTERVAL,
            Ok(false) => REBALANCE_LOOK_INTERVAL,
            Err(error) => {
                tracing::debug!(%error, "partitions can't be moved at the moment");
                WAVE_INTERVAL
            }
        };
    }
}

/// Puts the next map, if there is one; whether partitions move with it.
async fn step(stores: &Stores, clock: &Clock) -> Result<bool, StoreError> {
    let Some((map, seats)) = look(stores, clock).await? else { return Ok(false) };
    if Scene::new(&map, &seats, &[]).is_settled() {
        return Ok(false);
    }
    let holders = holders(stores, clock, &map).await?;
    let Some(next) = Scene::new(&map, &seats, &holders).next() else { return Ok(false) };
    let moves = next.owners().ne(map.owners());
    if within(STORE_TIMEOUT, "shard map", stores.shards.store(next.clone())).await? {
        tracing::info!(epoch = next.epoch(), nodes = next.nodes(), elsewhere = next.placed().len(), "partitions move");
    }
    Ok(moves)
}

async fn look(stores: &Stores, clock: &Clock) -> Result<Option<(ShardMap, Vec<Seat>)>, StoreError> {
    let Some(map) = within(STORE_TIMEOUT, "shard map", stores.shards.load()).await? else { return Ok(None) };
    let seats = within(STORE_TIMEOUT, "store of leases", stores.leases.seats(clock.now())).await?;
    Ok(Some((map, seats)))
}

/// Who reads each partition.
async fn holders(stores: &Stores, clock: &Clock, map: &ShardMap) -> Result<Vec<Option<Holder>>, StoreError> {
    let partitions: Vec<_> = (0..map.partitions()).map(Partition::new).collect();
    within(STORE_TIMEOUT, "store of leases", stores.leases.holders(&partitions, clock.now())).await
}

/// Why partitions can't be spread over another number of nodes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReshardError {
    /// There can't be such a map.
    #[error(transparent)]
    Invalid(#[from] peal_proto::shard::InvalidShardMap),
    /// No node has ever started.
    #[error("there is no shard map yet; it comes with the first node")]
    NoMap,
    /// The map can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Has the partitions spread over so many nodes from now on. What is not where an earlier number had it goes straight to where this
/// one has it; to say the same again changes nothing.
pub(crate) async fn reshard(stores: &Stores, nodes: u32, timeout: Duration) -> Result<(), ReshardError> {
    let trying = async {
        loop {
            let map = stores.shards.load().await?.ok_or(ReshardError::NoMap)?;
            if map.nodes() == nodes {
                return Ok(());
            }
            let next = map.towards(nodes)?;
            if stores.shards.store(next).await? {
                tracing::info!(from = map.nodes(), to = nodes, "the number of nodes changes");
                return Ok(());
            }
        }
    };
    let late =
        || StoreError::Unavailable { store: "shard map", reason: format!("no answer in {} ms", timeout.as_millis()) };
    tokio::time::timeout(timeout, trying).await.unwrap_or_else(|_| Err(late().into()))
}
