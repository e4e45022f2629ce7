//! What a person reads when a cluster is up: where everything is, and what to type next.

use std::fmt;
use std::path::PathBuf;

use peal_proto::ShardMap;

use super::listeners::Listeners;
use crate::config;
use crate::config::up::Up;

/// The URL that the other commands look at without being told.
const DEFAULT_URL: &str = "http://127.0.0.1:7000";

/// Where everything is.
pub(super) struct Announcement<'a> {
    publisher: String,
    map: &'a ShardMap,
    data: PathBuf,
    program: String,
}

impl<'a> Announcement<'a> {
    pub(super) fn of(up: &Up, listeners: &Listeners, map: &'a ShardMap) -> Self {
        let data = up.data.canonicalize().unwrap_or_else(|_| up.data.clone());
        Self { publisher: listeners.publisher_url(up), map, data, program: config::program() }
    }
}

impl fmt::Display for Announcement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { publisher, map, data, program } = self;
        let nodes = map.urls();
        let count = if nodes.len() == 1 { "1 node".to_owned() } else { format!("{} nodes", nodes.len()) };
        writeln!(
            f,
            "A cluster is up: a publisher and {count}, {} partitions, epoch {}.\n",
            map.partitions(),
            map.epoch()
        )?;
        writeln!(f, "  page       {publisher}/")?;
        writeln!(f, "  publisher  {publisher}")?;
        for (node, url) in nodes.iter().enumerate() {
            writeln!(f, "  node {node:<4}  {url}")?;
        }
        writeln!(f, "  data       {}\n", data.display())?;
        let url = if publisher == DEFAULT_URL { String::new() } else { format!(" --url {publisher}") };
        writeln!(f, "Open the page, or type in another terminal:\n")?;
        writeln!(f, "  {program} listen 42{url}")?;
        writeln!(f, "  {program} join 7 42{url}\n")?;
        write!(f, "Ctrl-C stops it.")
    }
}
