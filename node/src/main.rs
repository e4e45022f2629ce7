//! `peal-node`: one socket node of a cluster, on Kafka and Redis.
//!
//! Owns the order in which a node's process starts and stops; what a node does is the library's.

mod flags;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::NodeId;
use peal_serve::process::{self, Signals, remark};
use peal_serve::{Clock, ConnectionLimits, services, shard_map, telemetry};
use peal_store::leases::Holder;
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
    let map = shard_map::agree(&stores, flags.nodes.clone()).await.context("there is no shard map of --nodes")?;
    let (id, epoch, partitions) = (flags.node, map.epoch(), map.partitions());
    let (nodes, shards, owned) = (map.nodes(), Arc::clone(&stores.shards), map.owned_by(NodeId::new(id)).count());
    let (sender, map) = watch::channel(map);
    let limits = Limits {
        lease_term: flags.lease.into(),
        canary_interval: Some(flags.canary.into()),
        push_after: flags.push_after.map(Into::into),
        ..Limits::default()
    };
    let node = Node::new(NodeId::new(id), holder(flags), stores, map, Clock::system(), limits);
    let url = &flags.nodes[id as usize];
    remark(format!("node {id} of {nodes} at {url}: {owned} of {partitions} partitions, epoch {epoch}"));

    let stop = CancellationToken::new();
    let serving = peal_serve::serve(listener, node.router(), ConnectionLimits::default(), stop.clone());
    let upkeep = telemetry::keep_metrics(stop.clone());
    let following = shard_map::follow(&*shards, &sender, &stop);
    let parts = async { tokio::join!(serving, upkeep, following, node.run(stop.clone())) };
    process::until_stopped(&format!("node {id}"), signals, &stop, parts).await;
    Ok(())
}

/// A name for this run that no other has, and that tells a person which process it is.
fn holder(flags: &Flags) -> Holder {
    let (url, process, started) = (&flags.nodes[flags.node as usize], std::process::id(), Clock::system().now());
    Holder::new(format!("node {} at {url}, process {process}, started {started}", flags.node))
}
