//! An entry of `peal.offline`: a notification that was parked, and is pushed if its user has not acknowledged it by then.
//!
//! Keyed by the user. A node writes it down before it commits the notification, so there is one for everything that is parked;
//! after a crash it may be there twice. It says where the notification is and not what it says: that is looked up in the inbox
//! when the time has come, where it is no longer if the user was there in the meantime.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::collapse::CollapseKey;
use crate::cursor::Cursor;
use crate::id::{EventId, Offset, Partition, UserId};
use crate::name::Topic;
use crate::shard::partition_of;
use crate::time::Timestamp;

/// The version of [`Offline`] that this code writes and the only one it reads.
pub const OFFLINE_VERSION: u32 = 1;

/// A record of the log of those who are away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offline {
    /// For whom.
    pub user: UserId,
    /// The cursor of a client that has seen it.
    pub cursor: Cursor,
    /// Whose notification it is, if that of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// When it is to be pushed.
    pub due: Timestamp,
    /// When it is no longer worth delivering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What it replaces where it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collapse: Option<CollapseKey>,
}

/// An entry as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Offline")]
pub struct Written<O> {
    /// Of this shape.
    #[schemars(extend("const" = OFFLINE_VERSION))]
    version: u32,
    #[serde(flatten)]
    offline: O,
}

/// Why a record is no such entry.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOffline {
    /// Not of its shape.
    #[error("it is no entry of {topic}: {0}", topic = Topic::Offline)]
    Json(#[from] serde_json::Error),
    /// Of another shape.
    #[error("it is of version {given}, and this code reads version {OFFLINE_VERSION} only")]
    Version {
        /// What was given.
        given: u32,
    },
    /// It names no notification.
    #[error("its cursor {given} is not behind any notification")]
    Cursor {
        /// What was given.
        given: Cursor,
    },
}

impl Offline {
    /// The partition of [`Topic::Offline`] for a user, in a log of P (`of`).
    #[must_use]
    pub fn partition(user: UserId, of: u32) -> Partition {
        Partition::new(partition_of(user.get(), of).get() % Topic::Offline.partitions(of))
    }

    /// Where the notification stands in its user's partition.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset::new(self.cursor.position.next().get().saturating_sub(1))
    }

    /// As the log keeps it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Ids and integers can't fail to be written.
        serde_json::to_vec(&Written { version: OFFLINE_VERSION, offline: self }).unwrap_or_default()
    }

    /// From what the log kept.
    ///
    /// # Errors
    /// When it is something else, or of another version.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidOffline> {
        let Written::<Self> { version, offline } = serde_json::from_slice(json)?;
        if version != OFFLINE_VERSION {
            return Err(InvalidOffline::Version { given: version });
        }
        if offline.cursor.position.next().get() == 0 {
            return Err(InvalidOffline::Cursor { given: offline.cursor });
        }
        Ok(offline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Position;
    use crate::id::Generation;

    fn entry() -> Offline {
        let position = Position::behind(Offset::new(17));
        Offline {
            user: UserId::new(42).unwrap(),
            cursor: Cursor { generation: Generation::new(3), position },
            event: Some("e1".parse().unwrap()),
            due: Timestamp::from_millis(1_795_341_600_000),
            expires: None,
            collapse: None,
        }
    }

    #[test]
    fn an_entry_reads_back_what_it_wrote() {
        let json = String::from_utf8(entry().to_json()).unwrap();
        assert_eq!(json, r#"{"version":1,"user":42,"cursor":"3.18","event":"e1","due":"2026-11-22T10:00:00.000Z"}"#);
        assert_eq!(Offline::from_json(json.as_bytes()).unwrap(), entry());
        assert_eq!(entry().offset(), Offset::new(17));
        let (expires, collapse) = (Some(Timestamp::from_millis(1_795_341_700_000)), Some("joins.7".parse().unwrap()));
        let other = Offline { event: None, expires, collapse, ..entry() };
        assert_eq!(Offline::from_json(&other.to_json()).unwrap(), other);
    }

    #[test]
    fn what_is_no_entry_is_told() {
        let reason = |json: &str| Offline::from_json(json.as_bytes()).unwrap_err().to_string();
        let with = |from: &str, to: &str| reason(&String::from_utf8(entry().to_json()).unwrap().replace(from, to));
        assert!(with(r#""version":1"#, r#""version":2"#).contains("version 2"));
        assert!(with("3.18", "3.0").contains("3.0 is not behind any"));
        assert!(reason("{}").contains("it is no entry of peal.offline"));
    }

    #[test]
    fn entries_of_a_partition_of_notifications_are_in_one_partition() {
        let partition = |user| Offline::partition(UserId::new(user).unwrap(), 120);
        assert_eq!([partition(42), partition(162), partition(119)], [0, 0, 5].map(Partition::new));
    }
}
