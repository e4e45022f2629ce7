//! What makes a record of the notification log a notification, as far as a node looks. Another producer may have written it: in
//! another partition than its user's nobody would ever read it, and a client that is sent what is no JSON object closes, comes
//! back, and is sent it again. So that is looked at, and nothing of the value is kept.

use peal_proto::shard::partition_of;
use peal_proto::{Partition, UserId};
use peal_store::log::Record;
use serde::de::IgnoredAny;

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

/// Whose notification a record of this partition is, or why it is none.
pub(super) fn recipient(record: &Record, partition: Partition, partitions: u32) -> Result<UserId, Poison> {
    let key = record.key.ok_or_else(|| Poison::Key { reason: "it is no number".to_owned() })?;
    let user = UserId::new(key).map_err(|error| Poison::Key { reason: error.to_string() })?;
    let home = partition_of(key, partitions);
    if home != partition {
        return Err(Poison::Partition { user, home, partitions, partition });
    }
    if record.headers.canary {
        return Ok(user);
    }
    let value = std::str::from_utf8(&record.value).map_err(|error| Poison::NotUtf8 { reason: error.to_string() })?;
    match serde_json::from_str::<IgnoredAny>(value) {
        Ok(IgnoredAny) if value.trim_ascii_start().starts_with('{') => Ok(user),
        Ok(IgnoredAny) => Err(Poison::NotAnObject { reason: "it is another JSON value".to_owned() }),
        Err(error) => Err(Poison::NotAnObject { reason: error.to_string() }),
    }
}
