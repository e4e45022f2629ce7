//! What others hold of a partition: where its sockets report to, how far it has read, and what it is doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use peal_proto::{CloseCode, Partition, Position};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Farewell;
use crate::canary::Hearing;
use crate::limits::{DRAIN_TIMEOUT, HANDOVER_TIMEOUT, MOVE_SPREAD};
use crate::session::Report;

/// The partitions of a node, those included that it is giving up.
pub(crate) type Shards = BTreeMap<Partition, ShardHandle>;

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
    /// When the last turn of its loop began, in milliseconds of the node's monotonic clock and one more; 0 while it has no loop.
    turned_at: AtomicU64,
    pub(super) hearing: Hearing,
    /// Whether the partition is this node's to read.
    pub(super) tenure: watch::Sender<bool>,
    /// The partition is to be given up.
    pub(super) stop: CancellationToken,
    farewell: OnceLock<Farewell>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}

impl Shared {
    /// How sockets are told that the partition is given up.
    pub(super) fn farewell(&self) -> Farewell {
        self.farewell.get_or_init(Farewell::leaving).clone()
    }

    pub(super) fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    pub(super) fn set_read(&self, position: Position) {
        self.read_position.store(position.next().get(), Ordering::Relaxed);
    }

    /// A turn of its loop begins.
    pub(super) fn turn(&self, now: Duration) {
        self.turned_at.store(millis(now) + 1, Ordering::Relaxed);
    }

    /// Its loop has ended.
    pub(super) fn rest(&self) {
        self.turned_at.store(0, Ordering::Relaxed);
    }

    /// A store answered, or did not.
    pub(super) fn note(&self, answered: bool) {
        let (from, to) = if answered { (Health::Waiting, Health::Reading) } else { (Health::Reading, Health::Waiting) };
        let changed = self.health.compare_exchange(from as u8, to as u8, Ordering::Relaxed, Ordering::Relaxed);
        tracing::trace!(?changed, answered, "health");
    }
}

impl Farewell {
    fn leaving() -> Self {
        let reason = "the node is leaving; reconnect".to_owned();
        Self { code: CloseCode::GoingAway, reason, within: DRAIN_TIMEOUT, spread: Duration::ZERO }
    }

    fn moved(url: &str) -> Self {
        Self { code: CloseCode::Moved, reason: url.to_owned(), within: HANDOVER_TIMEOUT, spread: MOVE_SPREAD }
    }
}

impl ShardHandle {
    /// The partition has another owner; whether it did not know that yet.
    pub(crate) fn hand_over(&self, url: &str) -> bool {
        self.give_up(Farewell::moved(url))
    }

    /// The node is leaving.
    pub(crate) fn leave(&self) {
        self.give_up(Farewell::leaving());
    }

    fn give_up(&self, farewell: Farewell) -> bool {
        let told = self.shared.farewell.set(farewell).is_ok();
        self.shared.stop.cancel();
        told
    }

    /// Whether the partition is being given up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.shared.stop.is_cancelled()
    }

    /// Whether the partition is this node's to read; what it was told before is the answer.
    pub(crate) fn holds(&self, held: bool) -> bool {
        self.shared.tenure.send_replace(held)
    }

    /// Whether it was last told that the partition is its own to read.
    pub(crate) fn is_held(&self) -> bool {
        *self.shared.tenure.borrow()
    }

    /// Whether the partition has read up to here, so that a cursor may say so.
    pub(crate) fn has_read(&self, position: Position) -> bool {
        position.next().get() <= self.shared.read_position.load(Ordering::Relaxed)
    }

    /// Whether its loop has not come round for so long.
    pub(crate) fn is_stalled(&self, now: Duration, timeout: Duration) -> bool {
        let turned_at = self.shared.turned_at.load(Ordering::Relaxed);
        turned_at > 0 && (millis(now) + 1).saturating_sub(turned_at) >= millis(timeout)
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
