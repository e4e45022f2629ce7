//! `peal-node`: one socket node of a cluster, on Kafka and Redis.
//!
//! Owns the order in which a node's process starts and stops; what a node does is the library's.

mod flags;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::{NodeId, ShardMap};
use peal_serve::process::{self, Signals, remark};
use peal_serve::{Clock, ConnectionLimits, services, shard_map, telemetry};
use peal_store::leases::{Holder, Seat};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let flags = Flags::read();
    process::run("peal-node", run(&flags))
}

async fn run(flags: &Flags) -> Result<()> {
    flags.log.install()?;
    process::crash_on_panic();
    process::raise_open_files();
    let mut signals = Signals::take().context("the signals that stop a process can't be taken")?;
    let listener = peal_serve::listen(flags.listen).await;
    let listener = listener.with_context(|| format!("can't listen on {}; choose another --listen", flags.listen))?;
    let stores = tokio::select! {
        stores = services::open(&flags.kafka, &flags.redis) => stores?,
        () = signals.next() => return Ok(()),
    };
    let map = shard_map::join(&stores, flags.urls()).await.context("there is no shard map of --nodes")?;
    let (seat, shards) = (seat(flags), Arc::clone(&stores.shards));
    remark(announcement(&seat, &map));
    let (sender, map) = watch::channel(map);
    let limits = flags.defence.applied_to(Limits {
        lease_term: flags.lease.into(),
        drain_spread: Some(flags.drain.into()),
        canary_interval: Some(flags.canary.into()),
        push_after: flags.push_after.map(Into::into),
        ..Limits::default()
    });
    let mut node = Node::new(seat, stores, map, Clock::system(), limits);
    if let Some(url) = &flags.relay {
        node = node.relaying(url.clone());
    }

    // Users who come while it leaves are served as long as it has their partition.
    let (stop, left) = (CancellationToken::new(), CancellationToken::new());
    let serving = peal_serve::serve(listener, node.router(), ConnectionLimits::default(), left.clone());
    let upkeep = telemetry::keep_metrics(left.clone());
    let following = shard_map::follow(&*shards, &sender, &left);
    let leaving = Box::pin(async {
        node.run(stop.clone()).await;
        left.cancel();
    });
    let parts = async { tokio::join!(serving, upkeep, following, leaving) };
    process::until_stopped(&format!("node {}", flags.node()), signals, &stop, parts).await;
    Ok(())
}

fn announcement(seat: &Seat, map: &ShardMap) -> String {
    let (Seat { node, url, .. }, nodes, epoch) = (seat, map.nodes(), map.epoch());
    match map.owned_by(*node).count() {
        0 => format!(
            "node {node} at {url}: the map has {nodes} nodes and no partitions for it yet, epoch {epoch}; waiting"
        ),
        owned => format!("node {node} of {nodes} at {url}: {owned} of {} partitions, epoch {epoch}", map.partitions()),
    }
}

/// A name for this run that no other has, and that tells a person which process it is.
fn seat(flags: &Flags) -> Seat {
    let (node, url, process, started) = (flags.node(), flags.url(), std::process::id(), Clock::system().now());
    let holder = Holder::new(format!("node {node} at {url}, process {process}, started {started}"));
    Seat::new(NodeId::new(node), url, holder)
}
