//! The limits of the process, its commands and its client, each with its unit and the reason for its size.

use std::time::Duration;

/// Nodes that one process may run: beyond it, nodes in one process share cores and gain nothing.
pub const NODES_MAX: u32 = 64;

/// Nodes of a new data directory.
pub const NODES_DEFAULT: u32 = 3;

/// How often a node is started again that can't listen.
pub const NODE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long `peal status` waits for a node to say who it is.
pub const REACH_TIMEOUT: Duration = Duration::from_secs(1);

/// How often `peal reshard` and `peal status` look.
pub const STATUS_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a stopping cluster may take before it is ended as it is; every part of it has a shorter limit of its own.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a request to the publisher may take. The publisher itself answers an append that hangs after 10 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How often the controller looks at the nodes of a cluster.
#[cfg(feature = "services")]
pub const CONTROLLER_LOOK_INTERVAL: Duration = Duration::from_secs(3);

/// How long a pod may stay beyond the grace that it was given to leave: a machine that lives takes it away within seconds.
#[cfg(feature = "services")]
pub const OVERDUE_AFTER: Duration = Duration::from_secs(15);

/// How long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that nobody uses is kept: a server closes it after 15 s, and what is sent just then gets no answer.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(10);

/// Bytes of an answer: a page of 10,000 members is under 200 KiB.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Members that one command may add or remove: a typo in a range must not fill the disk.
pub const MEMBERS_A_COMMAND_MAX: u64 = 10_000_000;

/// Members of a community shown without being asked for the list.
pub const MEMBERS_SHOWN: usize = 20;

/// Members that one command lists: their ids are sorted in memory, 8 bytes each.
pub const MEMBERS_LISTED_MAX: u64 = 10_000_000;

/// Dead letters asked for at a time; the publisher gives no more.
pub const LETTERS_A_PAGE: usize = 1_000;

/// Dead letters that one command replays without being told which: their ids are kept in memory, 16 bytes each.
pub const LETTERS_REPLAYED_MAX: usize = 100_000;

/// Items of a batch that are sent and not answered yet: two of the publisher's parts, so that one is under way while the other
/// is answered.
pub const BATCH_UNANSWERED_MAX: usize = 8_000;

/// Bytes of such items: they are kept until they are answered, to be written down if they never are.
pub const BATCH_UNANSWERED_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// After so long without an item an empty line is sent: the publisher ends a batch that is silent for 15 s.
pub const BATCH_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long items may wait for an answer: the publisher answers an append that hangs after 10 s, and one before it as well.
pub const BATCH_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that a batch reads from its file at a time.
pub const INPUT_BYTES_READ: usize = 64 * 1024;

/// Such reads that wait to be cut into lines.
pub const INPUT_READS_AHEAD: usize = 4;

/// From opening a socket to its hello. A node gives up at the same time.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// At least this long between two acks of a socket: an ack costs the node a read, and somebody may wait for it.
pub const ACK_INTERVAL: Duration = Duration::from_millis(250);

/// … but never more notifications than this without one, so that a busy socket does not fill the node's window.
pub const ACK_NOTIFICATIONS_MAX: u32 = 64;

/// The first back-off is drawn from 0 to this.
pub const BACKOFF_BASE: Duration = Duration::from_millis(500);

/// No back-off is drawn from more than this.
pub const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// A hello that stood this long counts as success: the next back-off starts from the base again.
pub const STEADY: Duration = Duration::from_secs(10);

/// A wait the cluster asked for is honoured up to this, so that a wrong number cannot silence a client for good.
pub const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// So many moves (4001) in a row are followed at once; after that two nodes disagree, and waiting is cheaper.
pub const MOVES_MAX: u32 = 3;

/// So many heartbeats without a byte from the node, and the socket counts as dead.
pub const SILENT_HEARTBEATS: u32 = 3;

/// How long saying goodbye may take.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes a client's socket reads at a time. The WebSocket library clears this buffer at every read.
pub const SOCKET_READ_BYTES: usize = 4 * 1024;

/// Bytes of a frame that a client takes: an event of 64 KiB with what stands around it, and room for larger data.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Users of `peal load` that are at it together: each may have a connection.
pub const LOAD_USERS_MAX: usize = 15_000;

/// Members that `peal members verify` compares at once: 80 MB of ids.
pub const MEMBERS_VERIFIED_MAX: u64 = 10_000_000;

/// How long what was parked waits for its user before `peal up` pushes it.
pub const PUSH_AFTER_DEFAULT: Duration = Duration::from_secs(60);
