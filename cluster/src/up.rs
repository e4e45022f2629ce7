//! `peal up`: a whole cluster in one process, on the embedded stores.
//!
//! Owns what the parts share (stores, listeners, shard map, signals) and the order in which they start and stop. What a
//! publisher and a node do is theirs.

mod announcement;
mod cluster;
mod fault;
mod listeners;
mod nodes;

use peal_publisher::Push;
use peal_serve::process::{self, Signals};
use peal_serve::{Clock, shard_map, telemetry};
use peal_store::embedded::{self, Embedded, OpenError};

use self::announcement::Announcement;
use self::cluster::Cluster;
pub use self::fault::Fault;
use self::listeners::Listeners;
use crate::config::up::Up;
use crate::limits::{NODES_DEFAULT, STOP_TIMEOUT};
use crate::output;

/// The exit code of a process that a second signal ended (128 + SIGINT).
const ENDED_BY_SIGNAL: i32 = 130;

/// `peal up`: returns when it was asked to stop and has stopped.
///
/// # Errors
/// [`Fault`]: why it can't start or go on.
pub async fn run(up: &Up) -> Result<(), Fault> {
    telemetry::install_log(&up.log, up.log_format)?;
    telemetry::install_metrics();
    process::crash_on_panic();
    process::raise_open_files();
    let mut signals = Signals::take().map_err(Fault::Signals)?;
    let store = open(up)?;
    let stores = store.stores();
    let stored = stores.shards.load().await.map_err(Fault::Shards)?;
    let nodes = up.nodes.or(stored.map(|map| map.nodes())).unwrap_or(NODES_DEFAULT);
    let listeners = Listeners::bind(up, nodes).await?;
    let push = up.push.is_on().then(|| Push::new(stores.clone(), Clock::system(), &up.push)).transpose()?;
    let map = shard_map::agree(&stores, listeners.node_urls(up)).await?;
    output::line(Announcement::of(up, &listeners, &map).to_string()).map_err(Fault::Output)?;
    let cluster = Cluster::start(stores, map, listeners, push, up);
    signals.next().await;
    stop(cluster, store, signals).await;
    Ok(())
}

/// Opens the data directory, with the partitions it has unless some were asked for.
fn open(up: &Up) -> Result<Embedded, Fault> {
    let default = embedded::Settings::default();
    let asked = embedded::Settings { partitions: up.partitions.unwrap_or(default.partitions), ..default };
    match embedded::open(&up.data, asked) {
        Err(OpenError::Partitions { stored, .. }) if up.partitions.is_none() => {
            Ok(embedded::open(&up.data, embedded::Settings { partitions: stored, ..default })?)
        }
        opened => Ok(opened?),
    }
}

/// Stops in order; a second signal, or waiting in vain, stops at once. Both lose nothing.
async fn stop(cluster: Cluster, store: Embedded, mut signals: Signals) {
    output::remark("peal: stopping; once more to stop at once");
    let at_once = |why: &str| {
        output::remark(format!("peal: {why}"));
        std::process::exit(ENDED_BY_SIGNAL)
    };
    tokio::select! {
        () = cluster.stop() => {}
        () = signals.next() => at_once("stopped at once"),
        () = tokio::time::sleep(STOP_TIMEOUT) => at_once("something does not end; stopped at once"),
    }
    drop(store); // waits for the disk
    output::remark("peal: stopped");
}
