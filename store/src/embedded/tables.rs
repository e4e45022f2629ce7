//! The engine, opened with bounded memory: one fjall database, a keyspace a table.
//!
//! Owns how the engine is set up and how its errors are worded. What stands in the tables is [`schema`](super::schema)'s.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable,
    Snapshot,
};

use super::fault::Fault;
use super::schema::{Key, Table};
use crate::limits::{
    CACHE_BYTES, INBOX_MEMTABLE_BYTES, JOURNAL_BYTES_MAX, LEVEL_0_TABLES_MAX, LOG_MEMTABLE_BYTES, OPEN_FILES_MAX,
    SEALED_MEMTABLES_MAX, STATE_MEMTABLE_BYTES,
};

/// The threads of the engine that write tables out and merge them. With a second one, the first would only write out, and spin
/// on what is to be merged for as long as the other merges (`worker_tick` of fjall 3.1): a seventh of all processor time in a
/// burst of small events. A merge holds up what is to be written out instead, which the writer waits for in `keeps_up`.
const ENGINE_THREADS: usize = 1;

/// The open database.
pub(crate) struct Tables {
    database: Database,
    log: Keyspace,
    inbox: Keyspace,
    state: Keyspace,
}

impl Tables {
    /// Opens the database at `path`, or makes it.
    pub(crate) fn open(path: &Path) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .journal_compression(CompressionType::None)
            .max_cached_files(Some(OPEN_FILES_MAX))
            .worker_threads(ENGINE_THREADS)
            .manual_journal_persist(true) // each batch says how durable it is
            .open()?;
        let keyspace = |name, memtable_bytes| {
            let options = || {
                // In blocks of 4 KiB at all levels. By default the filter of a table is one block up to the third level, and each
                // look for an id that is not there read and hashed some hundred KiB of it, where the cache had no room for all.
                KeyspaceCreateOptions::default()
                    .max_memtable_size(memtable_bytes)
                    .filter_block_partitioning_policy(PartitioningPolicy::all(true))
                    .index_block_partitioning_policy(PartitioningPolicy::all(true))
            };
            database.keyspace(name, options)
        };
        let log = keyspace("log", LOG_MEMTABLE_BYTES)?;
        let inbox = keyspace("inbox", INBOX_MEMTABLE_BYTES)?;
        let state = keyspace("state", STATE_MEMTABLE_BYTES)?;
        Ok(Self { database, log, inbox, state })
    }

    /// One table.
    pub(crate) fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Log => &self.log,
            Table::Inbox => &self.inbox,
            Table::State => &self.state,
        }
    }

    /// All tables as they are now, whole batches only.
    pub(crate) fn view(&self) -> View<'_> {
        View { tables: self, snapshot: self.database.snapshot() }
    }

    /// An empty batch.
    pub(crate) fn batch(&self, durable: bool) -> OwnedWriteBatch {
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        self.database.batch().durability(Some(mode))
    }

    /// Writes a batch, and seals the memory tables that are full now.
    ///
    /// The engine leaves that to its worker, and asks it again with every batch that comes before it is done. While the worker
    /// merged for some seconds, a thousand of them filled its queue; then it waited for ever to add to that itself, nothing was
    /// written out any more, and memory grew (<https://github.com/fjall-rs/fjall/pull/323>, open at fjall 3.1.13). The worker
    /// drops a request whose table is sealed already, so that one stands there for each at most.
    pub(crate) fn commit(&self, batch: OwnedWriteBatch) -> fjall::Result<()> {
        batch.commit()?;
        let tables =
            [(&self.log, LOG_MEMTABLE_BYTES), (&self.inbox, INBOX_MEMTABLE_BYTES), (&self.state, STATE_MEMTABLE_BYTES)];
        for (table, full) in tables {
            if table.tree.active_memtable().size() > full {
                table.rotate_memtable()?;
            }
        }
        Ok(())
    }

    /// Whether the engine keeps up with what is written; an error when it has failed.
    pub(crate) fn keeps_up(&self) -> fjall::Result<bool> {
        let keeps_up = |table: &Keyspace| {
            table.sealed_memtable_count() <= SEALED_MEMTABLES_MAX && table.l0_table_count() <= LEVEL_0_TABLES_MAX
        };
        if [&self.log, &self.inbox, &self.state].into_iter().all(keeps_up) {
            return Ok(true);
        }
        self.database.persist(PersistMode::Buffer)?; // fails if a thread of the engine has
        Ok(false)
    }
}

/// The tables as they were at one moment.
pub(crate) struct View<'a> {
    tables: &'a Tables,
    snapshot: Snapshot,
}

impl View<'_> {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        Ok(self.snapshot.get(self.tables.keyspace(table), key)?.map(Bytes::from))
    }

    /// The pairs of a range, in the order of their keys.
    pub(crate) fn range(
        &self,
        table: Table,
        range: Range<Key>,
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), Fault>> + use<> {
        let pairs = self.snapshot.range(self.tables.keyspace(table), range);
        pairs.map(|pair| {
            let (key, value) = pair.into_inner()?;
            Ok((key.into(), value.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::limits::BACKPRESSURE_PAUSE;

    /// The bytes in memory tables that a table may have: one that is filled, and those that wait to be written out, each of
    /// them as much over its limit as one batch can be.
    const IN_MEMORY_MAX: u64 = (SEALED_MEMTABLES_MAX as u64 + 2) * (STATE_MEMTABLE_BYTES + 4_096);

    fn in_memory(tables: &Tables) -> u64 {
        let sealed = tables.state.sealed_memtable_count() as u64;
        tables.state.tree.active_memtable().size() + sealed * STATE_MEMTABLE_BYTES
    }

    #[test]
    fn what_stands_in_memory_stays_bounded_while_many_small_batches_are_written() {
        const BATCHES: u64 = 64 * 1024;
        const PATIENCE: Duration = Duration::from_secs(60);
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::open(directory.path()).unwrap();
        let began = clock::instant();
        for number in 0..BATCHES {
            while !tables.keeps_up().unwrap() {
                assert!(began.elapsed() < PATIENCE, "no table was written out for {PATIENCE:?}");
                std::thread::park_timeout(BACKPRESSURE_PAUSE);
            }
            // All over the keys, so that each table that is written out is merged with all before it.
            let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            let mut batch = tables.batch(false);
            batch.insert(&tables.state, key.as_slice(), [7; 1024].as_slice());
            tables.commit(batch).unwrap();
            assert!(in_memory(&tables) <= IN_MEMORY_MAX, "{} bytes after {number} batches", in_memory(&tables));
        }
    }
}
