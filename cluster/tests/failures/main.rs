//! Failures, each injected for real into real processes on a real Kafka and a real Redis, under real clients.
//!
//! Here: the rows of the table and their course, one after the other. What a row breaks is in [`rows`], of what it is made
//! in [`parts`]; who posts, who listens and what must have been seen is in [`witness`].
//! Needs the binaries of publisher and node beside `peal`; `make test-services` builds them first.

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the row")]

mod config;
mod flaky;
mod latecomer;
mod parts;
mod reading;
#[path = "../real/mod.rs"]
mod real;
mod rows;
mod silent;
mod table;
mod trial;
#[path = "../witness/mod.rs"]
mod witness;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures_util::FutureExt;
use peal_serve::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use self::config::Config;
use self::rows::Row;
use self::table::{Entry, Table};
use self::trial::{Ground, Outcome};

/// For any one row; the longest take half of it.
const ROW_TIMEOUT: Duration = Duration::from_secs(240);

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what a test prints")]
async fn main() -> ExitCode {
    let config = Config::parse();
    let rows: Vec<_> = rows::all().into_iter().filter(|row| config.wants(row.name)).collect();
    if config.list {
        rows.iter().for_each(|row| println!("{}: test", row.name));
        return ExitCode::SUCCESS;
    }
    peal_serve::process::raise_open_files();
    witness::oracle::can_fail();
    let mut stop = signal(SignalKind::terminate()).unwrap();
    let course = async {
        tokio::select! {
            table = course(&rows) => Some(table),
            _ = stop.recv() => None,
            _ = tokio::signal::ctrl_c() => None,
        }
    };
    let (clock, ended) = (Clock::system(), course.await);
    let Some(table) = ended else { return ExitCode::FAILURE }; // what was started has been dropped
    println!("\n{table}\nall of it took {} s", clock.uptime().as_secs());
    if let Some(path) = &config.table {
        table.write(path).unwrap();
    }
    let failed = table.failed();
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {result}. {} passed; {failed} failed", rows.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All rows, one after the other; those behind a row that failed, too.
#[expect(clippy::print_stdout, reason = "this is what a test prints")]
async fn course(rows: &[Row]) -> Table {
    let (mut ground, mut table, clock) = (Ground::default(), Table::default(), Clock::system());
    for row in rows {
        println!("row {} … {}", row.name, row.fault);
        let begun = clock.uptime();
        let run = timeout(ROW_TIMEOUT, (row.run)(&mut ground));
        let outcome = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(outcome)) => judged(outcome),
            Ok(Err(_)) => Err(format!("not done after {} s", ROW_TIMEOUT.as_secs())),
            Err(panic) => Err(words(&*panic)),
        };
        let entry = Entry { fault: row.fault, how: row.how, outcome, took: clock.uptime().saturating_sub(begun) };
        println!("{entry}");
        table.push(entry);
    }
    table
}

fn judged(outcome: Outcome) -> Result<Outcome, String> {
    if outcome.verdict.is_clean() { Ok(outcome) } else { Err(outcome.verdict.to_string()) }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
