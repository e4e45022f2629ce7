//! What is measured: a cluster in processes of its own, gone when it is dropped.

use std::io;

use peal_proto::UserId;
use tempfile::TempDir;

#[cfg(feature = "services")]
use super::apart::Apart;
use super::process::Observed;
use crate::api::Api;
use crate::child::{Process, Recipe};

const NODES: u16 = 3;

/// A cluster that runs.
pub(super) struct Site {
    pub(super) api: Api,
    /// By ordinal.
    pub(super) nodes: Vec<String>,
    /// Whose memory and time count.
    pub(super) observed: Observed,
    /// The process that takes events in.
    pub(super) publisher: Observed,
    #[cfg_attr(not(feature = "services"), expect(dead_code, reason = "held until it is dropped"))]
    pub(super) running: Running,
}

/// What ends with a site.
pub(super) enum Running {
    Together {
        _process: Process,
        _directory: TempDir,
    },
    #[cfg(feature = "services")]
    Apart(Apart),
}

impl Site {
    /// `peal up` on a fresh directory.
    pub(super) async fn up() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let recipe = Recipe::new(&std::env::current_exe()?, NODES, directory.path())?;
        let process = recipe.start().await?;
        let id = process.id().ok_or_else(|| io::Error::other("the cluster ended early"))?;
        let nodes = (1..=NODES).map(|node| format!("ws://127.0.0.1:{}", recipe.port + node)).collect();
        Ok(Self::of(recipe.api(), nodes, &[id], id, Running::Together { _process: process, _directory: directory }))
    }

    pub(super) fn of(api: Api, nodes: Vec<String>, observed: &[u32], publisher: u32, running: Running) -> Self {
        Self { api, nodes, observed: Observed::new(observed), publisher: Observed::new(&[publisher]), running }
    }

    /// Where a user's socket belongs.
    pub(super) fn node_url(&self, user: UserId) -> String {
        let node = user.get() % self.nodes.len() as u64;
        self.nodes.get(usize::try_from(node).unwrap_or_default()).cloned().unwrap_or_default()
    }
}
