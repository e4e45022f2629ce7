//! `peal bench`: what a cluster costs on this machine, with the floor beside it.
//!
//! Owns the course of a run and the numbers that come of it. The cluster and the floor are processes of their own ([`mod@site`],
//! [`baseline`]), all clients are in this one ([`subject`]); [`table`] prints.

#[cfg(feature = "services")]
mod apart;
mod baseline;
pub mod floor;
mod heard;
mod minute;
pub(crate) mod process;
#[cfg(feature = "services")]
mod publisher;
mod report;
mod site;
mod subject;
mod table;
mod tally;

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use self::process::Machine;
use self::report::Report;
use self::site::Site;
use self::subject::Measured;
use self::table::Table;
use crate::api::ApiError;
use crate::config::bench::Bench;
use crate::output;

/// Events to everybody, one after the other: each socket gets one frame at a time.
const SINGLES: u32 = 20;

/// The same with clients that acknowledge nothing meanwhile: all of it within a node's time-out for an ack.
const UNACKED: u32 = 8;

/// Events to a community at once, so that several frames wait for a socket together, …
const BURST: u32 = 16;

/// … so many times, …
const BURSTS: u32 = 4;

/// … to each of the communities of so many that everybody is in one of.
const BURST_MEMBERS: u32 = 100;

/// How long latency is measured.
const LATENCY_SPAN: Duration = Duration::from_secs(15);

/// Events a second meanwhile, far below what the machine can do, …
const LATENCY_RATE: u32 = 50;

/// … to a community of so many.
const LATENCY_MEMBERS: u32 = 20;

/// Files of this process beside the sockets.
const OTHER_FILES: u64 = 200;

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Too many sockets for this machine as it is set.
    #[error(
        "{sockets} sockets need {needed} open files, and this process may have {limit}: raise `ulimit -n`, or ask for fewer --sockets"
    )]
    OpenFiles {
        /// How many were asked for.
        sockets: u32,
        /// What they need.
        needed: u64,
        /// What there is.
        limit: u64,
    },
    /// The cluster did not do as it was told.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Joins of an ordinary minute failed.
    #[error("{errors} of {joins} joins failed")]
    Joins {
        /// How many.
        errors: u64,
        /// Of how many.
        joins: u64,
    },
    /// A process or a socket failed.
    #[error("the measurement failed")]
    Io(#[from] io::Error),
}

/// What was measured of one server.
struct Numbers {
    /// Resident bytes that each idle socket adds.
    socket_bytes: f64,
    /// Per CPU-second of the server, as all below.
    handshakes: f64,
    unacked: f64,
    singles: f64,
    bursts: f64,
    /// Microseconds.
    latency: Histogram<u64>,
}

/// `peal bench`.
///
/// # Errors
/// [`Failure`].
pub async fn run(bench: &Bench) -> Result<(), Failure> {
    let needed = u64::from(bench.sockets) + OTHER_FILES;
    let limit = peal_serve::process::raise_open_files().unwrap_or(u64::MAX);
    if limit < needed {
        return Err(Failure::OpenFiles { sockets: bench.sockets, needed, limit });
    }
    if let Some(rate) = bench.joins {
        return ordinary_minute(bench, rate).await;
    }
    #[cfg(feature = "services")]
    if bench.publisher {
        output::remark("peal: a publisher on Kafka and Redis, then a bare handler in its place …");
        let costs = publisher::measure(apart::start(&bench.on).await?).await?;
        return Ok(print(bench, &costs.table())?);
    }
    output::remark(format!("peal: a cluster with {} sockets …", bench.sockets));
    let Measured { numbers, frame_bytes, floor: beneath } = subject::measure(site(bench).await?, bench.sockets).await?;
    output::remark(format!("peal: the floor: the same sockets, frames of {frame_bytes} bytes, nothing else …"));
    let mut floor = baseline::measure(bench.sockets, frame_bytes).await?;
    if let Some((singles, bursts)) = beneath {
        (floor.unacked, floor.singles, floor.bursts) = (singles, singles, bursts);
    }
    let report = Report {
        machine: Machine::this(),
        sockets: bench.sockets,
        frame_bytes,
        cluster: numbers,
        floor,
        is_on_services: beneath.is_some(),
    };
    Ok(print(bench, &report.table())?)
}

async fn ordinary_minute(bench: &Bench, rate: u32) -> Result<(), Failure> {
    let seconds = bench.seconds;
    output::remark(format!("peal: {rate} joins a second for {seconds} s …"));
    #[cfg(feature = "services")]
    let services = bench.services;
    #[cfg(not(feature = "services"))]
    let services = false;
    let minute = minute::measure(&site(bench).await?, rate, seconds, services).await?;
    print(bench, &minute.table())?;
    minute.outcome()
}

fn print<const COLUMNS: usize>(bench: &Bench, table: &Table<COLUMNS>) -> io::Result<()> {
    output::line(if bench.markdown { table.markdown() } else { table.text() })
}

/// The cluster that was asked for.
async fn site(
    #[cfg_attr(not(feature = "services"), expect(unused_variables, reason = "says which"))] bench: &Bench,
) -> Result<Site, Failure> {
    #[cfg(feature = "services")]
    if bench.services {
        return apart::start(&bench.on).await;
    }
    Ok(Site::up().await?)
}

/// How much per second of CPU time.
fn per_second(count: u32, cpu_time: Duration) -> f64 {
    f64::from(count) / cpu_time.as_secs_f64().max(f64::EPSILON)
}

/// How many more bytes each.
fn each(sockets: u32, before: u64, after: u64) -> f64 {
    let bytes = u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX);
    f64::from(bytes) / f64::from(sockets)
}

/// Three digits, up to ten minutes.
pub(crate) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 600_000_000, 3).map_err(io::Error::other)
}
