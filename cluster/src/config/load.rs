//! The words of `peal load`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::Which;

pub(super) const ABOUT: &str = "\
Runs a load plan against a running cluster: users arrive as its phases say, post, open sockets and acknowledge. It fails unless \
everybody heard everything that was accepted, once, in order.

A plan is one of those in artillery/, which Artillery runs as well; of its YAML is read what those plans use, and anything else is \
refused by name and line. One Artillery starts about a thousand users a second; this generator says with each figure how busy it \
was itself.";

const AFTER: &str = "\
Examples:
  peal load --plan artillery/joins.yml
  peal load --plan artillery/joins.yml --environment short
  peal load --plan artillery/rooms.yml --variables '{\"users\":60}'
  peal load --plan artillery/joins.yml --observe cluster=4711 --json

Exit codes:
  0  everybody heard everything once, in order
  1  not so; stderr says what was lost, came twice or out of order, and which users failed
  2  the command line makes no sense";

/// Run a load plan, and fail unless everything arrives
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Load {
    /// The plan, YAML or JSON
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// One of the environments of the plan
    #[arg(long, short, value_name = "NAME")]
    pub environment: Option<String>,
    /// Variables that go over those of the plan
    #[arg(long, value_name = "JSON", value_parser = variables)]
    pub variables: Option<Map<String, Value>>,
    /// A process whose CPU time and memory are said as well: NAME=PID
    #[arg(long, value_name = "NAME=PID")]
    pub observe: Vec<Observe>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// A process, under a name.
#[derive(Debug, Clone)]
pub struct Observe {
    /// What it is called in the report.
    pub name: String,
    /// Its process id.
    pub id: u32,
}

impl std::str::FromStr for Observe {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, id) = text.split_once('=').ok_or("it must be NAME=PID")?;
        let id = id.parse().map_err(|_| "what stands behind = must be a process id")?;
        Ok(Self { name: name.to_owned(), id })
    }
}

fn variables(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it must be a JSON object: {error}"))
}
