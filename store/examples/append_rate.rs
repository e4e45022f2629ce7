//! Measures the embedded log: appends a second and how long one takes, by callers at once; and what the process holds in
//! memory afterwards. `cargo run --release -p peal-store --example append_rate [directory]`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement reads the clock and prints")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use peal_proto::{Partition, Position, Topic};
use peal_store::Stores;
use peal_store::embedded::{self, Settings};
use peal_store::log::{Headers, NewRecord};

const VALUE_BYTES: usize = 256;
const RUN: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let directory =
        given.unwrap_or_else(|| std::env::temp_dir().join(format!("peal-append-rate-{}", std::process::id())));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stores = embedded::open(&directory, Settings::default())?;
    println!("memory when open and empty: {}", resident());
    for (callers, records) in [(16, 1), (128, 1), (1_024, 1), (16, 64)] {
        let rate = runtime.block_on(measure(stores.stores(), callers, records));
        println!("{callers:>5} callers of {records:>2} x {VALUE_BYTES} B: {rate}, memory {}", resident());
    }
    let began = Instant::now();
    let read = runtime.block_on(read_all(stores.stores()))?;
    println!("read {read} records from the start at {:.0} a second, memory {}", rate(read, began), resident());
    drop(stores);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

fn rate(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

async fn measure(stores: Stores, callers: u32, records: u32) -> String {
    let began = Instant::now();
    let tasks = (0..callers).map(|caller| tokio::spawn(append(stores.clone(), caller, records, began)));
    let mut took = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        took.extend(task.await.unwrap_or_default());
    }
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    let appended = rate(took.len() * records as usize, began);
    format!("{appended:>8.0} records/s, p50 {:>5.1?}, p99 {:>5.1?}", at(50), at(99))
}

async fn append(stores: Stores, caller: u32, records: u32, began: Instant) -> Vec<Duration> {
    let mut took = Vec::new();
    let partitions = stores.log.partitions();
    while began.elapsed() < RUN {
        let record = |number| NewRecord {
            partition: Partition::new((caller + number) % partitions),
            key: u64::from(caller),
            headers: Headers::default(),
            value: vec![b'v'; VALUE_BYTES].into(),
        };
        let records = (0..records).map(record).collect();
        let call = Instant::now();
        if let Err(error) = stores.log.append(Topic::Notifications, records).await {
            println!("{error}");
            return took;
        }
        took.push(call.elapsed());
    }
    took
}

async fn read_all(stores: Stores) -> Result<usize, peal_store::StoreError> {
    let mut read = 0;
    for partition in (0..stores.log.partitions()).map(Partition::new) {
        let end = stores.log.end(Topic::Notifications, partition).await?;
        let mut reader = stores.log.reader(Topic::Notifications, partition, Position::START).await?;
        let mut position = Position::START;
        while position < end {
            let batch = reader.next().await?;
            read += batch.len();
            position = batch.last().map_or(end, |last| Position::behind(last.offset));
        }
    }
    Ok(read)
}

/// Resident memory, where the system tells.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
