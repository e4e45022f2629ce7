//! `peal-publisher`: takes events in and fans them out, on Kafka and Redis.
//!
//! Owns the order in which a publisher's process starts and stops; what a publisher does is the library's.

mod flags;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use peal_publisher::{Extras, Publisher, Push, Settings};
use peal_serve::accept::Tcp;
use peal_serve::process::{self, Signals, remark};
use peal_serve::{Clock, ConnectionLimits, services, shard_map, telemetry};
use peal_store::Stores;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::flags::{Flags, Role};

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
    let stores = tokio::select! {
        stores = services::open(&flags.kafka, &flags.redis) => stores?,
        () = signals.next() => return Ok(()),
    };
    let push = push(flags, &stores)?;
    match push {
        Some(push) if flags.role == Role::Push => {
            run_push(flags, &push, listener, signals).await;
            Ok(())
        }
        push => run_publisher(flags, stores, push, listener, signals).await,
    }
}

async fn run_publisher(
    flags: &Flags,
    stores: Stores,
    push: Option<Push>,
    listener: Tcp,
    mut signals: Signals,
) -> Result<()> {
    let map = tokio::select! {
        map = shard_map::first(&*stores.shards) => map.context("the shard map can't be read")?,
        () = signals.next() => return Ok(()),
    };
    let shards = Arc::clone(&stores.shards);
    let (nodes, partitions, epoch) = (map.nodes(), map.partitions(), map.epoch());
    let (sender, map) = watch::channel(map);
    let settings = Settings { admission: flags.admission.clone(), ..Settings::default() };
    let table = flags.cdc.cdc_topic.as_ref().map(|topic| services::table(&flags.kafka, topic)).transpose()?;
    let table = table.map(|table| (table, flags.cdc.columns.clone()));
    let extras = Extras { table, push, private_endpoints: flags.push.push_private_endpoints };
    let publisher = Publisher::with(stores, map, Clock::system(), settings, extras);
    remark(format!("publisher at http://{}: {partitions} partitions on {nodes} nodes, epoch {epoch}", flags.listen));

    let stop = CancellationToken::new();
    let serving = peal_serve::serve(listener, publisher.router(), ConnectionLimits::default(), stop.clone());
    let upkeep = telemetry::keep_metrics(stop.clone());
    let following = shard_map::follow(&*shards, &sender, &stop);
    let parts = async { tokio::join!(serving, upkeep, following, publisher.run(stop.clone())) };
    process::until_stopped("publisher", signals, &stop, parts).await;
    Ok(())
}

/// What this process is to push, if anything.
fn push(flags: &Flags, stores: &Stores) -> Result<Option<Push>> {
    let is_on = flags.push.is_on() && flags.role != Role::Publisher;
    ensure!(
        is_on || flags.role != Role::Push,
        "--role push wants to know to where: --push-webhook or --push-vapid-key"
    );
    let new = || Push::new(stores.clone(), Clock::system(), &flags.push);
    Ok(is_on.then(new).transpose()?)
}

async fn run_push(flags: &Flags, push: &Push, listener: Tcp, signals: Signals) {
    remark(format!("pushes to users who are away; its health at http://{}/readyz", flags.listen));
    let stop = CancellationToken::new();
    let serving = peal_serve::serve(listener, push.router(), ConnectionLimits::default(), stop.clone());
    let upkeep = telemetry::keep_metrics(stop.clone());
    let parts = async { tokio::join!(serving, upkeep, push.run(&stop)) };
    process::until_stopped("push", signals, &stop, parts).await;
}
