//! `peal-publisher`: takes events in and fans them out, on Kafka and Redis.
//!
//! Owns the order in which a publisher's process starts and stops; what a publisher does is the library's.

mod flags;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use peal_publisher::{Publisher, Settings};
use peal_serve::process::{self, Signals, remark};
use peal_serve::{Clock, ConnectionLimits, services, shard_map, telemetry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let flags = Flags::parse();
    process::run("peal-publisher", run(&flags))
}

async fn run(flags: &Flags) -> Result<()> {
    flags.log.install()?;
    process::crash_on_panic();
    process::raise_open_files();
    let mut signals = Signals::take().context("the signals that stop a process can't be taken")?;
    let listener = peal_serve::listen(flags.listen).await;
    let listener = listener.with_context(|| format!("can't listen on {}; choose another --listen", flags.listen))?;
    let opening = async {
        let stores = services::open(&flags.kafka, &flags.redis).await?;
        let map = shard_map::first(&*stores.shards).await.context("the shard map can't be read")?;
        anyhow::Ok((stores, map))
    };
    let (stores, map) = tokio::select! {
        opened = opening => opened?,
        () = signals.next() => return Ok(()),
    };
    let shards = Arc::clone(&stores.shards);
    let (nodes, partitions, epoch) = (map.nodes(), map.partitions(), map.epoch());
    let (sender, map) = watch::channel(map);
    let settings = Settings { admission: flags.admission.clone(), ..Settings::default() };
    let table = flags.cdc.cdc_topic.as_ref().map(|topic| services::table(&flags.kafka, topic)).transpose()?;
    let table = table.map(|table| (table, flags.cdc.columns.clone()));
    let publisher = Publisher::with_table(stores, map, Clock::system(), settings, table);
    remark(format!("publisher at http://{}: {partitions} partitions on {nodes} nodes, epoch {epoch}", flags.listen));

    let stop = CancellationToken::new();
    let serving = peal_serve::serve(listener, publisher.router(), ConnectionLimits::default(), stop.clone());
    let upkeep = telemetry::keep_metrics(stop.clone());
    let following = shard_map::follow(&*shards, &sender, &stop);
    let parts = async { tokio::join!(serving, upkeep, following, publisher.run(stop.clone())) };
    process::until_stopped("publisher", signals, &stop, parts).await;
    Ok(())
}
