//! The limits of the stores, each with its unit and the reason for its size.

use std::time::Duration;

/// Bytes of a commit's metadata: Kafka's default for `offset.metadata.max.bytes`.
pub const COMMIT_METADATA_BYTES_MAX: usize = 4_096;

/// Records a reader gives at once: a batch is worth a wake-up and still a small part of a partition's window.
pub const READ_RECORDS_MAX: usize = 512;

/// Bytes of values a reader gives at once; the record that passes it is the last. A partition's window takes many.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// Calls waiting for the writer of the embedded store; more wait outside, in the order they came.
pub const QUEUE_CALLS_MAX: usize = 8_192;

/// Bytes of records and entries waiting for the writer of the embedded store; more wait outside.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Calls in one group commit: more of them do not make the fsync any cheaper for each.
pub const GROUP_CALLS_MAX: usize = 4_096;

/// Bytes in one group commit. The call that passes it is the last; less than a memory table, so that one group fills no two.
pub const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of recent records in memory for each partition: what a live reader is behind by, many times over.
pub const TAIL_BYTES_MAX: usize = 64 * 1024;

/// Bytes of recent records in memory for all partitions.
pub const TAILS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a recent record takes beside its value: its own struct and the allocation it shares.
pub const TAIL_RECORD_BYTES: usize = 160;

/// Records looked at in one step of a sweep.
pub const SWEEP_STEP_RECORDS: usize = 512;

/// How long a sweep rests between two steps, so that it takes a small part of a disk.
pub const SWEEP_STEP_PAUSE: Duration = Duration::from_millis(50);

/// How long a sweep rests between two rounds. What is swept was of no use long before.
pub const SWEEP_ROUND_PAUSE: Duration = Duration::from_secs(60);

/// How long a store whose disk was full waits before it looks whether there is room again.
pub const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that have to fit on a disk that was full before the store is opened again.
pub const REOPEN_BYTES: usize = 1024 * 1024;

/// Bytes of blocks the engine caches. Live delivery reads none; replay and members read each once.
pub const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes of the log's memory table. Up to three stand in memory until they are written out.
pub const LOG_MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes of the inbox's memory table.
pub const INBOX_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of the state's memory table.
pub const STATE_MEMTABLE_BYTES: u64 = 2 * 1024 * 1024;

/// Bytes of journals on disk; read again when the store is opened after a crash. The engine takes no less than 64 MiB.
pub const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Full memory tables that may wait to be written out before the writer waits. The engine itself stops at 4, without an end
/// when its own thread has failed; so ours is lower.
pub const SEALED_MEMTABLES_MAX: usize = 2;

/// Tables in the topmost level before the writer waits for the engine to merge them. The engine itself stops at 30.
pub const LEVEL_0_TABLES_MAX: usize = 24;

/// How often the writer looks whether the engine has caught up; it gives no signal.
pub const BACKPRESSURE_PAUSE: Duration = Duration::from_millis(2);

/// Files of the engine kept open.
pub const OPEN_FILES_MAX: usize = 128;

/// How often a directory that is in use is tried before it is refused: a process that was killed, or a child it was just
/// starting, is gone within this.
pub const LOCK_TRIES: u32 = 50;

/// The pause between two of these tries.
pub const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Subscriptions to Web Push of a user: as many devices as may have a socket, and all of them are pushed to.
pub const SUBSCRIPTIONS_A_USER_MAX: usize = 8;
