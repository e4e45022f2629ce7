//! `peal`: reads what is wanted, does it, and says in one line why not. Everything else is the library's.

use std::process::ExitCode;

use anyhow::{Context, Result};
use peal_cluster::config::{self, Command};
use peal_cluster::{batch, bench, dead_letters, events, listen, load, members, output, reshard, status, up};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let command = config::read();
    let error = match run(command) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    if error.chain().filter_map(|cause| cause.downcast_ref()).any(output::reader_is_gone) {
        return ExitCode::SUCCESS;
    }
    output::remark(format!("peal: {error:#}"));
    ExitCode::FAILURE
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(up) => server()?.block_on(up::run(&up))?,
        Command::Join(join) => client()?.block_on(events::join(&join))?,
        Command::Post(post) => client()?.block_on(events::post(&post))?,
        Command::Batch(batch) => client()?.block_on(batch::run(&batch))?,
        Command::Event(event) => client()?.block_on(events::show(&event))?,
        Command::Members(members) => client()?.block_on(members::run(&members))?,
        Command::DeadLetters(letters) => client()?.block_on(dead_letters::run(&letters))?,
        Command::Reshard(reshard) => client()?.block_on(reshard::run(&reshard))?,
        Command::Status(status) => client()?.block_on(status::run(&status))?,
        Command::Listen(listen) => client()?.block_on(listen::run(&listen))?,
        #[cfg(feature = "services")]
        Command::Topics(topics) => client()?.block_on(peal_cluster::topics::run(&topics))?,
        #[cfg(feature = "services")]
        Command::Controller(controller) => client()?.block_on(peal_cluster::controller::run(&controller))?,
        Command::Load(load) => server()?.block_on(load::run(&load))?,
        Command::Bench(bench) => server()?.block_on(bench::run(&bench))?,
        Command::Floor(floor) => server()?.block_on(bench::floor::run(&floor))?,
    }
    Ok(())
}

/// A thread a core.
fn server() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("the threads of the server could not be started")
}

/// This thread only.
fn client() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("the runtime could not be started")
}
