//! What a run of many schedules says: that all went well and how fast, or which seed did not and how to see it again.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::book::{Tally, Trace};
use crate::cluster::{Outcome, run};
use crate::config::Task;
use crate::schedule::{Family, Schedule};

/// How long a run may take in real time: a hundred times what it does.
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

/// Violations shown of one run.
const SHOWN: usize = 10;

/// Runs the seeds that ever failed, and then as many more as the task says.
///
/// # Panics
/// When a run broke a promise, with all that is needed to see it again.
pub(crate) fn hold(test: &str, family: Family, seeds_default: u64, kept: &[u64]) {
    match Task::from_environment() {
        Task::Run { seeds } => {
            run_all(test, family, kept.iter().copied().chain(seeds.unwrap_or(0..seeds_default)));
        }
        Task::Replay(seed) => {
            let schedule = Schedule::new(family, seed);
            show(&schedule);
            log();
            let outcome = run(&schedule, Trace::Printed, None);
            eprintln!("digest {:016x} of {:?}: {:?}", outcome.digest, outcome.lasted, outcome.tally);
            assert!(outcome.violations.is_empty(), "{}", complaint(test, seed, &outcome));
        }
        Task::Shorten(seed) => {
            let schedule = shorten(&Schedule::new(family, seed));
            show(&schedule);
            log();
            let outcome = run(&schedule, Trace::Printed, None);
            assert!(outcome.violations.is_empty(), "{}", complaint(test, seed, &outcome));
        }
    }
}

/// The nodes' and the publisher's own log, between the lines of the trace.
fn log() {
    let to =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().with_writer(std::io::stderr);
    if to.try_init().is_err() {
        eprintln!("the log is written by another test");
    }
}

#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, is a matter of real time")]
fn run_all(test: &str, family: Family, seeds: impl Iterator<Item = u64>) {
    let started = Instant::now();
    let (mut schedules, mut simulated) = (0_u32, Duration::ZERO);
    let mut tally = Tally::new();
    let mut failures = Vec::new();
    for seed in seeds {
        let watched = watch(test, seed);
        let outcome = run(&Schedule::new(family, seed), Trace::Off, None);
        drop(watched);
        if !outcome.violations.is_empty() {
            failures.push(complaint(test, seed, &outcome));
        }
        (schedules, simulated) = (schedules + 1, simulated + outcome.lasted);
        for (what, times) in outcome.tally {
            *tally.entry(what).or_default() += times;
        }
    }
    let rate = f64::from(schedules) * 60.0 / started.elapsed().as_secs_f64();
    let tally: Vec<_> = tally.iter().map(|(what, times)| format!("{times} {what}")).collect();
    let tally = tally.join(", ");
    eprintln!("{test}: {schedules} schedules, {rate:.0} a minute, {simulated:.0?} of simulated time: {tally}");
    assert!(failures.is_empty(), "{} of {schedules} schedules failed\n{}", failures.len(), failures.join("\n"));
}

/// Ends everything when the run does not end: code that spins lets no simulated time pass. Dropped, it looks away.
pub(crate) fn watch(test: &str, seed: u64) -> mpsc::SyncSender<()> {
    let (over, ended) = mpsc::sync_channel(0);
    let command = command(test, seed);
    std::thread::spawn(move || {
        if ended.recv_timeout(RUN_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("no end of a run in {RUN_TIMEOUT:?}; something spins. See it with: {command}");
            std::process::abort();
        }
    });
    over
}

fn command(test: &str, seed: u64) -> String {
    let command = format!("cargo test -p peal-cluster --test simulation {test} -- --exact --nocapture");
    format!("PEAL_SIMULATION_SEED={seed} {command}")
}

fn complaint(test: &str, seed: u64, outcome: &Outcome) -> String {
    let mut text = format!("seed {seed} of {test}:\n");
    for violation in outcome.violations.iter().take(SHOWN) {
        writeln!(text, "  {violation}").unwrap();
    }
    let more = outcome.violations.len().saturating_sub(SHOWN);
    if more > 0 {
        writeln!(text, "  and {more} more").unwrap();
    }
    writeln!(text, "see it with: {}", command(test, seed)).unwrap();
    text
}

fn show(schedule: &Schedule) {
    eprintln!("{:#?}", schedule.layout);
    for planned in &schedule.steps {
        eprintln!("{:>9.3} {:?}", planned.at.as_secs_f64(), planned.step);
    }
}

/// A schedule with as few steps as still fail.
fn shorten(schedule: &Schedule) -> Schedule {
    let sort = |schedule: &Schedule| run(schedule, Trace::Off, None).violations.first().map(std::mem::discriminant);
    let sought = sort(schedule);
    assert!(sought.is_some(), "the schedule does not fail");
    let mut shortest = schedule.clone();
    let mut chunk = shortest.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        while start < shortest.steps.len() {
            let mut steps = shortest.steps.clone();
            steps.drain(start..(start + chunk).min(steps.len()));
            let shorter = shortest.with_steps(steps);
            if sort(&shorter) == sought {
                eprintln!("{} steps still fail", shorter.steps.len());
                shortest = shorter;
            } else {
                start += chunk;
            }
        }
        chunk /= 2;
    }
    shortest
}
