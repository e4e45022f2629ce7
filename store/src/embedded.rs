//! All stores in one directory of one process, with no service beside it.
//!
//! One database (fjall), one thread that writes to it, group commits. Survives `kill -9` and a loss of power: what was
//! answered is there. Owns how a directory is opened and closed; what each store does stands in its own `embedded.rs`.

mod directory;
mod engine;
mod fault;
mod journal;
mod memory;
mod opening;
pub(crate) mod schema;
mod stage;
mod sweep;
mod tables;
mod tails;
mod writer;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;

pub(crate) use engine::{Durability, Engine};
pub(crate) use fault::Fault;
pub(crate) use schema::Table;
pub(crate) use stage::Stage;
pub(crate) use tables::View;
pub(crate) use tails::{Look, Slot};

use self::directory::Directory;
use self::engine::Message;
use self::sweep::Sweeper;
use crate::Stores;
use crate::inbox::Retention;
use crate::limits::BACKPRESSURE_PAUSE;

/// How a directory is opened.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Partitions of each topic; has to be what the directory was made with.
    pub partitions: u32,
    /// What the inbox keeps for one user.
    pub retention: Retention,
    /// How long the log keeps a record; longer than the inbox does, so that an inbox can be made again from it.
    pub log_age_max: Duration,
    /// How long the status of an event and the claim on it are kept; at least 24 hours.
    pub status_age_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            partitions: peal_proto::limits::PARTITIONS_DEFAULT,
            retention: Retention::default(),
            log_age_max: 8 * DAY,
            status_age_max: 2 * DAY,
        }
    }
}

/// Why a directory can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it; stop one of the two, or give them directories of their own.
    #[error("{} is in use by {}", path.display(), by.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id, if it could be read.
        by: Option<u32>,
    },
    /// The directory was made with another number of partitions, which can't be changed: users would move.
    #[error("{} has {stored} partitions, not {given}", path.display())]
    Partitions {
        /// The directory.
        path: PathBuf,
        /// What it was made with.
        stored: u32,
        /// What the settings say.
        given: u32,
    },
    /// The directory can't be made, read or written.
    #[error("{}: {reason}", path.display())]
    Unavailable {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is stored can't be read; a person must look.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
}

/// The stores of an open directory. They are closed when this is dropped, which waits for what was called before and for
/// the disk; calls after that answer [`Unavailable`](crate::StoreError::Unavailable).
pub struct Embedded {
    stores: Stores,
    engine: Engine,
    sweeper: Option<Sweeper>,
    writer: Option<JoinHandle<()>>,
}

/// Opens a directory, or makes it.
///
/// # Errors
/// [`OpenError`].
pub fn open(directory: &Path, settings: Settings) -> Result<Embedded, OpenError> {
    let directory = Directory::lock(directory)?;
    let path = directory.path().to_owned();
    opening::open(directory, settings).map_err(|failure| failure.at(path))
}

impl Embedded {
    /// Handles on the stores.
    #[must_use]
    pub fn stores(&self) -> Stores {
        self.stores.clone()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.sweeper.take());
        while let Err(TrySendError::Full(_)) = self.engine.queue().try_send(Message::Close) {
            std::thread::park_timeout(BACKPRESSURE_PAUSE);
        }
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the store has panicked");
        }
    }
}
