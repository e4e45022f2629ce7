//! What a person is told of the shards: the map, who is there, who reads what, and how far behind.

use futures_util::{StreamExt, stream};
use peal_proto::name::NODES_GROUP;
use peal_proto::{NodeId, Partition, Position, ShardMap, Topic};
use peal_serve::Clock;
use peal_store::leases::{Holder, Seat};
use peal_store::log::Source;
use peal_store::{Log, Stores};
use schemars::JsonSchema;
use serde::Serialize;

use super::plan::Scene;
use super::{ReshardError, holders, look};
use crate::limits::{LAGS_AT_ONCE, STORE_TIMEOUT};
use crate::within::within;

/// Where the partitions are.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Of the shard map; a higher one replaces it.
    epoch: u64,
    partitions: u32,
    /// Over how many the partitions are spread, or are being.
    nodes: u32,
    /// How many partitions have yet to move.
    to_move: usize,
    /// Partitions that their owners do not read yet.
    under_way: Vec<u32>,
    /// What keeps partitions from moving, and what to do.
    waits_for: Vec<String>,
    /// What is wrong with a node, and what to do.
    warnings: Vec<String>,
    /// The nodes that the map knows or that are there.
    members: Vec<Member>,
    /// By partition.
    owners: Vec<Owner>,
}

/// A node.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClusterNode")]
struct Member {
    node: NodeId,
    url: String,
    /// Whether it has said so of late.
    is_there: bool,
    /// It was asked to stop, and gives its partitions to the others.
    leaving: bool,
    /// Which run of which process it is.
    process: Option<String>,
    /// How many partitions it owns.
    owns: usize,
    /// How many of them it reads.
    reads: usize,
}

/// A partition.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PartitionOwner")]
struct Owner {
    partition: u32,
    node: NodeId,
    /// Whether its owner reads it.
    read: bool,
    /// Positions in the log behind the last that is settled; where none was asked for or the log did not answer, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
}

/// Reports; how far behind each partition is only where it is asked for, as the log has to be asked for each.
pub(crate) async fn report(stores: &Stores, clock: &Clock, with_lag: bool) -> Result<Report, ReshardError> {
    let (map, seats) = look(stores, clock).await?.ok_or(ReshardError::NoMap)?;
    let holders = holders(stores, clock, &map).await?;
    let lags = if with_lag { lags(&*stores.log, map.partitions()).await } else { Vec::new() };
    Ok(Report::of(&map, &seats, &holders, &lags))
}

impl Report {
    fn of(map: &ShardMap, seats: &[Seat], holders: &[Option<Holder>], lags: &[Option<u64>]) -> Self {
        let scene = Scene::new(map, seats, holders);
        let seat = |node: NodeId| seats.iter().find(|seat| seat.node == node);
        let owners = map.owners().zip(holders).enumerate().map(|(index, ((partition, node), holder))| Owner {
            partition: partition.get(),
            node,
            read: holder.is_some() && seat(node).map(|seat| &seat.holder) == holder.as_ref(),
            lag: lags.get(index).copied().flatten(),
        });
        let owners: Vec<_> = owners.collect();
        let known = (0..u32::try_from(map.urls().len()).unwrap_or(u32::MAX)).map(NodeId::new);
        let beyond = seats.iter().map(|seat| seat.node).filter(|node| map.url(*node).is_none());
        let member = |node: NodeId| {
            let seat = seat(node);
            let own = || owners.iter().filter(|owner| owner.node == node);
            let url = seat.map(|seat| seat.url.as_str()).or_else(|| map.url(node)).unwrap_or_default();
            Member {
                node,
                url: url.to_owned(),
                is_there: seat.is_some(),
                leaving: seat.is_some_and(|seat| seat.leaving_ms.is_some()),
                process: seat.map(|seat| seat.holder.name().to_owned()),
                owns: own().count(),
                reads: own().filter(|owner| owner.read).count(),
            }
        };
        Self {
            epoch: map.epoch(),
            partitions: map.partitions(),
            nodes: map.nodes(),
            to_move: scene.moves().len().max(map.placed().len()),
            under_way: scene.under_way().into_iter().map(Partition::get).collect(),
            waits_for: waits_for(map, &scene),
            warnings: warnings(seats),
            members: known.chain(beyond).map(member).collect(),
            owners,
        }
    }
}

fn waits_for(map: &ShardMap, scene: &Scene<'_>) -> Vec<String> {
    let missing = scene.missing().into_iter().map(|node| match map.url(node) {
        Some(url) => format!("node {node} at {url} is not there: start it, or see why it does not reach the leases"),
        None => format!("node {node} is not there yet: start it, or reshard to fewer"),
    });
    let ambiguous = scene
        .ambiguous()
        .into_iter()
        .map(|node| format!("node {node} says to be at the URL of another node: give each its own with --url"));
    missing.chain(ambiguous).collect()
}

fn warnings(seats: &[Seat]) -> Vec<String> {
    let twin = |seat: &Seat| {
        let (node, holder, rival) = (seat.node, &seat.holder, seat.rival.as_ref()?);
        Some(format!(
            "node {node} is two processes: {holder} has its place and {rival} waits; give each its own --node"
        ))
    };
    let clock = |seat: &Seat| {
        let (node, seconds) = (seat.node, seat.clock_ahead_seconds);
        let way = if seconds > 0 { "ahead of" } else { "behind" };
        let off =
            format!("node {node}'s clock is {} s {way} that of the leases; set both (NTP)", seconds.unsigned_abs());
        (seconds != 0).then_some(off)
    };
    seats.iter().filter_map(twin).chain(seats.iter().filter_map(clock)).collect()
}

/// How far each partition is behind.
async fn lags(log: &dyn Log, partitions: u32) -> Vec<Option<u64>> {
    let lag = async |partition: Partition| {
        let source = Source { group: NODES_GROUP, topic: Topic::Notifications, partition };
        let asked = async {
            let end = log.end(Topic::Notifications, partition).await?;
            let settled = log.committed(source).await?.map_or(Position::START, |commit| commit.position);
            Ok(end.next().get().saturating_sub(settled.next().get()))
        };
        within(STORE_TIMEOUT, "log", asked).await.ok()
    };
    stream::iter((0..partitions).map(Partition::new)).map(lag).buffered(LAGS_AT_ONCE).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_of_one_node_and_clocks_that_are_off_are_named() {
        let seat = |node: u32| Seat::new(NodeId::new(node), "ws://here", Holder::new(format!("process-{node}")));
        let twin = Seat { rival: Some(Holder::new("another")), ..seat(2) };
        let [ahead, behind] = [3_600, -60].map(|clock_ahead_seconds| Seat { clock_ahead_seconds, ..seat(1) });
        assert_eq!(
            warnings(&[seat(0), ahead, behind, twin]),
            [
                "node 2 is two processes: process-2 has its place and another waits; give each its own --node",
                "node 1's clock is 3600 s ahead of that of the leases; set both (NTP)",
                "node 1's clock is 60 s behind that of the leases; set both (NTP)",
            ]
        );
    }
}
