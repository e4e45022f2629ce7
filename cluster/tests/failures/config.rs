//! What can be said to this test: which rows, and where the table goes. The environment is read here only.

use std::path::PathBuf;

use clap::Parser;

/// The failure table.
#[derive(Parser)]
pub(crate) struct Config {
    /// Only rows whose name has one of these in it.
    rows: Vec<String>,
    /// Write the table here.
    #[arg(long, env = "PEAL_FAILURE_TABLE")]
    pub(crate) table: Option<PathBuf>,
    /// Say which rows there are.
    #[arg(long)]
    pub(crate) list: bool,
    /// Taken for the sake of those who are used to it: nothing is captured.
    #[arg(long)]
    nocapture: bool,
    /// Rows to leave out.
    #[arg(long)]
    skip: Vec<String>,
}

impl Config {
    pub(crate) fn wants(&self, name: &str) -> bool {
        let has = |parts: &[String]| parts.iter().any(|part| name.contains(part.as_str()));
        (self.rows.is_empty() || has(&self.rows)) && !has(&self.skip)
    }
}
