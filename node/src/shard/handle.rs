//! What others hold of a partition: where its sockets report to, how far it has read, and what it is doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use peal_proto::Position;
use tokio::sync::mpsc;

use crate::canary::Hearing;
use crate::session::Report;

/// What a partition is doing, for `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Health {
    /// It has not read its commit yet, or another process reads the partition.
    Starting = 0,
    /// It reads and delivers.
    Reading = 1,
    /// A store did not answer; it tries again.
    Waiting = 2,
    /// It has left.
    Left = 3,
}

/// What others hold of a partition.
#[derive(Debug, Clone)]
pub(crate) struct ShardHandle {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    read_position: AtomicU64,
    health: AtomicU8,
    pub(super) hearing: Hearing,
}

impl Shared {
    pub(super) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    pub(super) fn set_read(&self, position: Position) {
        self.read_position.store(position.next().get(), Ordering::Relaxed);
    }

    /// A store answered, or did not.
    pub(super) fn note(&self, answered: bool) {
        let (from, to) = if answered { (Health::Waiting, Health::Reading) } else { (Health::Reading, Health::Waiting) };
        let changed = self.health.compare_exchange(from as u8, to as u8, Ordering::Relaxed, Ordering::Relaxed);
        tracing::trace!(?changed, answered, "health");
    }
}

impl ShardHandle {
    /// Whether the partition has read up to here, so that a cursor may say so.
    pub(crate) fn has_read(&self, position: Position) -> bool {
        position.next().get() <= self.shared.read_position.load(Ordering::Relaxed)
    }

    /// What the partition hears.
    pub(crate) fn hearing(&self) -> &Hearing {
        &self.shared.hearing
    }

    /// What the partition is doing.
    pub(crate) fn health(&self) -> Health {
        match self.shared.health.load(Ordering::Relaxed) {
            0 => Health::Starting,
            1 => Health::Reading,
            2 => Health::Waiting,
            _ => Health::Left,
        }
    }
}
