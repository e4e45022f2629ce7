//! Measures parking: entries a second, and what one costs Redis and this process in processor time, beside `redis-benchmark`
//! adding entries of the same size to as many streams, as many at once over as many connections, in the same run.
//! `cargo run --release -p peal-store --features redis,simulated --example redis_rate` with the URL of an empty Redis in
//! `PEAL_REDIS`, which is wiped.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement reads the clock and prints")]

use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peal_proto::{Offset, Partition, Timestamp, UserId};
use peal_store::Inbox;
use peal_store::inbox::{Entry, Marker, Parked, Retention};
use peal_store::redis::{self, Settings};
use peal_store::simulated::Simulation;

const ENTRIES: u64 = 300_000;
const ENTRIES_A_BATCH: u64 = 256;
const VALUE_BYTES: usize = 256;
/// Each parks one batch after the other into a partition of its own.
const PARTITIONS: u32 = 4;
const USERS: u64 = 10_000;
const ROUNDS: u32 = 3;
const NOW: Timestamp = Timestamp::from_millis(1_795_341_600_000);

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = std::env::var("PEAL_REDIS")?;
    if cli(&url, &["DBSIZE"])? != "0" {
        return Err("it is not empty".into());
    }
    let retention = Retention { ttl: Duration::from_secs(7 * 24 * 3600), ..Retention::default() };
    let stores =
        redis::connect(Settings::new(&url)).await?.stores(Simulation::new(1, PARTITIONS, retention).stores().log);
    println!("{ENTRIES} entries of {VALUE_BYTES} B for {USERS} users, {ENTRIES_A_BATCH} at once, {PARTITIONS} times");
    for round in 1..=ROUNDS {
        println!("round {round}");
        measured(&url, "XADD of redis-benchmark   ", async || benchmark(&url)).await?;
        for entries_a_user in [1, 4] {
            let what = format!("park, {entries_a_user} a user in a batch");
            measured(&url, &what, async || park(&stores.inbox, entries_a_user).await).await?;
        }
    }
    Ok(())
}

async fn measured(url: &str, what: &str, work: impl AsyncFnOnce() -> Outcome<()>) -> Outcome<()> {
    let (before, own_before, began) = (processor_seconds(url)?, own_processor_seconds()?, Instant::now());
    work().await?;
    let wall = began.elapsed().as_secs_f64();
    let (processor, own) = (processor_seconds(url)? - before, own_processor_seconds()? - own_before);
    let entries = u32::try_from(ENTRIES).map(f64::from)?;
    let (each, own_each) = (processor / entries * 1e6, own / entries * 1e6);
    let rate = entries / wall;
    println!("  {what}: {rate:>7.0} a second, {each:.2} \u{b5}s of redis each and {own_each:.2} of this process");
    cli(url, &["FLUSHALL", "SYNC"])?;
    Ok(())
}

fn benchmark(url: &str) -> Outcome<()> {
    let (host, port) = url.trim_start_matches("redis://").split_once(':').ok_or("a URL names a host and a port")?;
    let (per_connection, users) = (ENTRIES_A_BATCH.to_string(), (USERS - 1).to_string());
    let mut benchmark = Command::new("redis-benchmark");
    benchmark.args(["-h", host, "-p", port, "-c", &PARTITIONS.to_string(), "-P", &per_connection]);
    benchmark.args(["-n", &ENTRIES.to_string(), "-r", &users, "-q", "XADD", "peal:{p1}:inbox:__rand_int__", "*"]);
    benchmark.args(["u", &NOW.millis().to_string(), "v", &"v".repeat(VALUE_BYTES)]);
    let output = benchmark.output()?;
    if output.status.success() { Ok(()) } else { Err("redis-benchmark has failed".into()) }
}

async fn park(inbox: &Arc<dyn Inbox>, entries_a_user: u64) -> Outcome<()> {
    let parking = (0..PARTITIONS).map(|partition| {
        let inbox = Arc::clone(inbox);
        tokio::spawn(async move { park_partition(&inbox, partition, entries_a_user).await })
    });
    for parking in parking.collect::<Vec<_>>() {
        parking.await??;
    }
    Ok(())
}

async fn park_partition(inbox: &Arc<dyn Inbox>, partition: u32, entries_a_user: u64) -> Outcome<()> {
    let (partitions, users) = (u64::from(PARTITIONS), USERS / u64::from(PARTITIONS));
    let mut marker = None;
    for batch in 0..ENTRIES / partitions / ENTRIES_A_BATCH {
        let first = batch * ENTRIES_A_BATCH;
        let entry = |offset: u64| {
            let user = UserId::new(offset / entries_a_user % users * partitions + u64::from(partition))?;
            Ok(Entry {
                user,
                offset: Offset::new(offset),
                expires: None,
                collapse: None,
                value: vec![b'v'; VALUE_BYTES].into(),
            })
        };
        let entries: Outcome<Vec<_>> = (first..first + ENTRIES_A_BATCH).map(entry).collect();
        let next = marker.map_or(Marker::new(1), Marker::next);
        match inbox.park(Partition::new(partition), marker, next, entries?, NOW).await? {
            Parked::Done { marker: now, .. } => marker = Some(now),
            Parked::Unexpected { .. } => return Err("somebody else parks there".into()),
        }
    }
    Ok(())
}

/// Of the server, user and system.
fn processor_seconds(url: &str) -> Outcome<f64> {
    let info = cli(url, &["INFO", "cpu"])?;
    let of = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    of("used_cpu_user:").zip(of("used_cpu_sys:")).map(|(user, system)| user + system).ok_or_else(|| "no figures".into())
}

/// Of this process, user and system; the kernel counts in hundredths.
fn own_processor_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no figures")?;
    let ticks: Result<Vec<u32>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(f64::from(ticks?.iter().sum::<u32>()) / 100.0)
}

fn cli(url: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new("redis-cli").args(["-u", url]).args(arguments).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
