//! What was answered is there: after `kill -9`, after a tail was torn, after the disk was full.
//!
//! A child is this test binary again, told by [`CHILD`] what to do and where.
#![cfg(feature = "embedded")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod engine;
mod full;
mod kill;
mod torn;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use peal_proto::{Offset, Partition, Position, Topic};
use peal_store::Log;
use peal_store::embedded::{self, Embedded, Settings};
use peal_store::log::{Headers, NewRecord};
use tokio::runtime::Runtime;

const CHILD: &str = "PEAL_STORE_TEST_CHILD";
const PARTITIONS: u32 = 4;
const TOPIC: Topic = Topic::Notifications;

fn open(directory: &Path) -> Embedded {
    embedded::open(directory, Settings { partitions: PARTITIONS, ..Settings::default() }).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn record(partition: Partition, text: String) -> NewRecord {
    NewRecord { partition, key: 1, headers: Headers::default(), value: text.into() }
}

/// A text of a few kilobytes that can't be mistaken for another one, nor half of it for the whole.
fn text(number: u64) -> String {
    format!("{number}:{}:{number}", "=".repeat(500 + usize::try_from(number * 7919 % 6_000).unwrap()))
}

#[expect(clippy::disallowed_methods, reason = "how a child is told what to do")]
fn child_directory(task: &str) -> Option<PathBuf> {
    let told = std::env::var(CHILD).ok()?;
    told.strip_prefix(task)?.strip_prefix(':').map(PathBuf::from)
}

/// Starts this binary as a child, behind some other command if one is given.
fn child(before: &[&str], task: &str, directory: &Path) -> Child {
    let this = std::env::current_exe().unwrap();
    let mut words = before.iter().map(PathBuf::from).chain([this]);
    Command::new(words.next().unwrap())
        .args(words)
        .args(["--exact", task, "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{task}:{}", directory.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// All records of a partition, as texts by offset.
async fn all(log: &Arc<dyn Log>, partition: Partition) -> Vec<(Offset, String)> {
    let end = log.end(TOPIC, partition).await.unwrap();
    let mut reader = log.reader(TOPIC, partition, Position::START).await.unwrap();
    let mut records = Vec::new();
    while records.last().map_or(Position::START, |(offset, _)| Position::behind(*offset)) < end {
        let batch = reader.next().await.unwrap();
        records.extend(batch.into_iter().map(|r| (r.offset, String::from_utf8(r.value.to_vec()).unwrap())));
    }
    records
}
