//! The data directory: made, locked against a second process, and looked at after a failure.
//!
//! Owns the files beside the engine's own: `lock`, which names the process that holds it, and a probe.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::OpenError;
use crate::limits::{LOCK_PAUSE, LOCK_TRIES, REOPEN_BYTES};

/// The data directory, ours for as long as this lives.
pub(crate) struct Directory {
    path: PathBuf,
    /// Unlocked when it is closed, by the kernel if need be.
    _lock: File,
}

impl Directory {
    /// Makes the directory if there is none and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        let unavailable =
            |source: io::Error| OpenError::Unavailable { path: path.to_owned(), reason: source.to_string() };
        std::fs::create_dir_all(path).map_err(unavailable)?;
        let lock = path.join("lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock);
        let mut file = file.map_err(unavailable)?;
        if !try_lock(&file).map_err(unavailable)? {
            return Err(OpenError::InUse { path: path.to_owned(), by: holder(&mut file) });
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unavailable)?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine's files are.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("database")
    }

    /// Where a database is made, to be moved to its place when it is whole.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.path.join("database.new")
    }

    /// Moves a database that is whole to its place.
    pub(crate) fn finish(&self) -> io::Result<()> {
        std::fs::rename(self.unfinished(), self.database())?;
        File::open(&self.path)?.sync_all()
    }

    /// Whether there is room to write again.
    pub(crate) fn probe(&self) -> io::Result<()> {
        let path = self.path.join("probe");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![1; REOPEN_BYTES])?;
            file.sync_all()
        });
        std::fs::remove_file(path)?;
        written
    }
}

/// Locks a file, or not if another process holds it for longer than one that is about to end.
fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Which process holds a lock, as far as its file tells.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
