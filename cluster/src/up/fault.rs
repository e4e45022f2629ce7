//! Why a cluster can't start: one line each that says what, where, and what to do.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use peal_proto::shard::InvalidShardMap;
use peal_publisher::PushFault;
use peal_serve::shard_map::AgreeError;
use peal_serve::telemetry::InvalidFilter;
use peal_store::StoreError;
use peal_store::embedded::OpenError;

/// Why `peal up` ends with a failure.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The filter of logs can't be read.
    #[error(transparent)]
    Log(#[from] InvalidFilter),
    /// The system does not let us take signals.
    #[error("the signals that stop a process can't be taken")]
    Signals(#[source] io::Error),
    /// The data directory can't be used.
    #[error("{error}; {hint}", hint = hint(.error))]
    Open {
        /// Why.
        error: OpenError,
    },
    /// An address can't be listened on.
    #[error("{what} can't listen on {address}: {reason}", reason = reason(.error))]
    Listen {
        /// The publisher, or which node.
        what: String,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The data directory has another number of partitions than the nodes divide.
    #[error("{error}: choose another --nodes")]
    Map {
        /// Which do.
        error: InvalidShardMap,
    },
    /// The shard map is of another log.
    #[error(transparent)]
    Foreign(AgreeError),
    /// The shard map can't be read or written.
    #[error("the shard map can't be kept")]
    Shards(#[source] StoreError),
    /// Pushes can't be as they are asked for.
    #[error(transparent)]
    Push(#[from] PushFault),
    /// The announcement can't be printed.
    #[error("stdout can't be written")]
    Output(#[source] io::Error),
}

impl From<AgreeError> for Fault {
    fn from(error: AgreeError) -> Self {
        match error {
            AgreeError::Invalid(error) => Self::Map { error },
            AgreeError::Store(error) => Self::Shards(error),
            foreign @ AgreeError::Foreign { .. } => Self::Foreign(foreign),
        }
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        Self::Open { error }
    }
}

fn hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::InUse { .. } => {
            "a data directory is of one `peal up` at a time. Stop the other one, or give this one its own with --data DIR"
        }
        OpenError::Partitions { .. } => {
            "they are fixed for life, because users would move. Leave --partitions away, or start anew with another --data"
        }
        OpenError::Unavailable { .. } => "name a directory that can be made and written with --data DIR",
        OpenError::Damaged { .. } => {
            "nothing was changed. Keep a copy for whoever looks into it, and start anew with another --data"
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what the system says is not ours to enumerate")]
fn reason(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::AddrInUse => {
            "another process does. Stop that one, or choose other ports with --port (0 for any free ones)"
        }
        ErrorKind::AddrNotAvailable => "this machine has no such address. Choose another --listen",
        ErrorKind::PermissionDenied => {
            "ports below 1024 take a privilege that this process has not. Choose another --port"
        }
        _ => return error.to_string(),
    };
    known.to_owned()
}
