//! What can be said on the command line and in `PEAL_*` variables, and whether it makes sense.
//!
//! The only place that reads the environment. Every command's words stand in its own file below; what they do is the
//! business of the module of the same name.

pub mod batch;
pub mod bench;
#[cfg(feature = "services")]
pub mod controller;
pub mod dead_letters;
pub mod events;
pub mod listen;
pub mod load;
pub mod members;
pub mod reshard;
#[cfg(feature = "services")]
pub mod topics;
pub mod up;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::api::{Api, BaseUrl};

const ABOUT: &str = "\
peal tells everybody in a community what happened in it: each member once, in order, whether they are there now or come \
back next week.

`peal up` runs a whole cluster in this terminal. The other commands talk to a running one; they find it by --url, then by \
the variable PEAL_URL, and otherwise at http://127.0.0.1:7000, where `peal up` puts it.";

const AFTER: &str = "\
Examples:
  peal up                                    run a cluster: a publisher and three nodes
  peal listen 42                             print what user 42 is told, as it happens
  peal join 7 42                             user 42 joins community 7; its members are told
  peal post 7 community.posted '{\"text\":\"hi\"}'
  peal batch letters.ndjson                  many events, one JSON object a line
  peal members 7 add 1..1000                 a thousand members, 1 and 1000 among them
  peal reshard 6                             six nodes share the users from now on

Exit codes:
  0  done
  1  it failed; one line on stderr says what, where and what to do
  2  the command line makes no sense

`peal COMMAND --help` says everything about a command, `-h` the most important.";

/// Tells everybody in a community what happened in it.
#[derive(Debug, Parser)]
#[command(name = "peal", version, long_about = ABOUT, after_long_help = AFTER, max_term_width = 110)]
#[command(
    after_help = "`peal --help` has examples and more words.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Peal {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole cluster in this process
    #[command(long_about = up::ABOUT)]
    Up(Box<up::Up>),
    /// A user joins a community; its members are told
    #[command(long_about = events::JOIN_ABOUT)]
    Join(events::Join),
    /// Tell the members of a community that something happened
    #[command(long_about = events::POST_ABOUT)]
    Post(events::Post),
    /// Post many events, one JSON object a line
    #[command(long_about = batch::ABOUT)]
    Batch(batch::Batch),
    /// Show how far an event is
    #[command(long_about = events::EVENT_ABOUT)]
    Event(events::ShowEvent),
    /// Count, list, add or remove the members of a community
    #[command(long_about = members::ABOUT)]
    Members(members::Members),
    /// List, show or replay what could not be processed
    #[command(long_about = dead_letters::ABOUT)]
    DeadLetters(dead_letters::DeadLetters),
    /// Spread the users over another number of nodes
    #[command(long_about = reshard::ABOUT)]
    Reshard(reshard::Reshard),
    /// Show the nodes, their partitions, and what is moving
    #[command(long_about = reshard::STATUS_ABOUT)]
    Status(reshard::Status),
    /// Print what a user is told, as it happens
    #[command(long_about = listen::ABOUT)]
    Listen(listen::Listen),
    /// Make or check the topics of a cluster in Kafka
    #[cfg(feature = "services")]
    #[command(long_about = topics::ABOUT)]
    Topics(topics::Topics),
    /// Run beside a cluster on Kubernetes: its replicas are the nodes, and those whose machine is gone are replaced
    #[cfg(feature = "services")]
    #[command(long_about = controller::ABOUT)]
    Controller(controller::Controller),
    /// Run a load plan, and fail unless everything arrives
    #[command(long_about = load::ABOUT)]
    Load(load::Load),
    /// Measure memory, throughput and latency on this machine
    #[command(long_about = bench::ABOUT)]
    Bench(bench::Bench),
    /// Write frames to sockets and do nothing else: what the bench compares with
    #[command(hide = true)]
    Floor(bench::Floor),
}

/// Which cluster is meant.
#[derive(Debug, Args)]
pub struct Which {
    /// The publisher of the cluster
    #[arg(long, global = true, env = "PEAL_URL", default_value = "http://127.0.0.1:7000", value_name = "URL")]
    pub url: BaseUrl,
}

impl Which {
    /// A handle on its publisher.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.url.clone())
    }
}

/// Reads the command line and the environment. Help, version and what makes no sense end the process here, all faults of
/// a command told together.
#[must_use]
pub fn read() -> Command {
    let command = Peal::parse().command;
    let (name, faults) = match &command {
        Command::Up(up) => ("up", up.faults()),
        Command::Members(members) => ("members", members.faults()),
        Command::Bench(bench) => ("bench", bench.faults()),
        #[cfg(feature = "services")]
        Command::Topics(_) | Command::Controller(_) => return command,
        Command::Join(_)
        | Command::Post(_)
        | Command::Batch(_)
        | Command::Event(_)
        | Command::DeadLetters(_)
        | Command::Reshard(_)
        | Command::Status(_)
        | Command::Listen(_)
        | Command::Load(_)
        | Command::Floor(_) => return command,
    };
    if !faults.is_empty() {
        refuse(name, &faults);
    }
    command
}

fn refuse(name: &str, faults: &[String]) -> ! {
    let mut peal = Peal::command();
    peal.build();
    let text = faults.join("\n       ");
    match peal.find_subcommand_mut(name) {
        Some(command) => command.error(ErrorKind::ValueValidation, text).exit(),
        None => peal.error(ErrorKind::ValueValidation, text).exit(),
    }
}

/// Where a program keeps what it may forget at a price (XDG base directories): `$XDG_STATE_HOME`, else `~/.local/state`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub fn state_directory() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
}

/// How this program is called from here, for a line that a person can copy.
#[must_use]
pub fn program() -> String {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_else(|| "peal".into()));
    let here = std::env::current_dir().unwrap_or_default();
    let below = called.strip_prefix(here).ok().filter(|path| path.components().count() > 1);
    below.unwrap_or(&called).display().to_string()
}

/// Whether the person asked programs not to colour what they print (no-color.org).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Peal::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_short_and_a_long_help() {
        for command in Peal::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            assert!(command.get_after_long_help().is_some(), "{name} has no examples");
        }
    }
}
