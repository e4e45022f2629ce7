//! The whole cluster in one thread on a simulated network: real routers, real WebSockets, and everything that can happen to
//! them, drawn from a seed.
//!
//! A [`schedule`] says what happens when; the [`cluster`] lives through it on [`services`] in memory: a publisher, nodes,
//! [`device`]s of users and the [`community`] service that posts. What they said and heard stands in the [`book`], which the
//! [`oracle`] holds against the contract. No thread, no real network and no real time: one seed is one run.
//!
//! `PEAL_SIMULATION_SEEDS=1000` runs more schedules, `PEAL_SIMULATION_SEEDS=1000..3000` those behind them,
//! `PEAL_SIMULATION_SEED=7` one of them with a trace, and `PEAL_SIMULATION_SHORTEN=7` looks for the fewest steps of it that still fail.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic_in_result_fn,
    clippy::print_stderr,
    reason = "a test fails by panicking, in what it is built of as well, and says on the terminal what it found"
)]

mod schedule;

mod cluster;
mod services;
mod tampering;

mod community;
mod device;
mod wire;

mod book;
mod oracle;

mod config;
mod report;

mod families;
mod found;
mod mutations;
