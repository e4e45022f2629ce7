//! Why a record of the notification log is not a notification, as far as a node looks.

use peal_proto::{Partition, UserId};

/// Why a record is not a notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Poison {
    #[error("its key is not a user: {reason}")]
    Key { reason: String },
    #[error("it is for user {user}, whose partition is {home} of {partitions}, not {partition}")]
    Partition { user: UserId, home: Partition, partitions: u32, partition: Partition },
    #[error("its value is not UTF-8: {reason}")]
    NotUtf8 { reason: String },
    #[error("its value is not a JSON object: {reason}")]
    NotAnObject { reason: String },
}

impl Poison {
    /// The label of the metric.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Key { .. } => "key",
            Self::Partition { .. } => "partition",
            Self::NotUtf8 { .. } => "not-utf-8",
            Self::NotAnObject { .. } => "not-an-object",
        }
    }
}
