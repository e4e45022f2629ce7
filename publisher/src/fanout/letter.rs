//! Records of the events log that can't be told, and the dead letters they become.
//!
//! The log is open to other producers, so a record may be anything. Owns what makes it an event; a record that is none is
//! kept with the reason and never in the way. So is an event whose members were lost.

use peal_proto::event::EVENT_VERSION;
use peal_proto::limits::EVENT_RECORD_BYTES_MAX;
use peal_proto::{Audience, CommunityId, Event, EventId, Offset, Partition, Topic};
use peal_store::log::{NewRecord, Record, dead_letter};
use peal_store::status::Status;
use serde::Deserialize;

use super::work::Work;
use crate::status;

/// Why a record can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Poison {
    #[error("it is not an event: {reason}")]
    NotAnEvent { reason: String },
    #[error("it is of version {given}, and this code reads version {EVENT_VERSION} only")]
    Version { given: u32 },
    #[error("it has {given} bytes, and its notifications may have {EVENT_RECORD_BYTES_MAX} at most")]
    Size { given: usize },
    #[error("its key is {}, but it is for {audience}", or_none(*.key))]
    Key { key: Option<u64>, audience: Audience },
    #[error("community {community} missing after retries: its members were lost and not put back{}", after(*.published))]
    Missing { community: CommunityId, published: u64 },
}

/// Who was told stays told, so nobody is told by another copy.
fn after(published: u64) -> String {
    if published == 0 {
        return String::new();
    }
    format!("; {published} of them had been told, and to replay it tells nobody")
}

fn or_none(key: Option<u64>) -> String {
    key.map_or_else(|| "no number".to_owned(), |key| key.to_string())
}

impl Poison {
    /// The label of the metric.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::NotAnEvent { .. } => "not-an-event",
            Self::Version { .. } => "version",
            Self::Size { .. } => "size",
            Self::Key { .. } => "key",
            Self::Missing { .. } => "missing",
        }
    }
}

/// The event of a record.
pub(crate) fn open(record: &Record) -> Result<Event, Poison> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let not_an_event = |error: serde_json::Error| Poison::NotAnEvent { reason: error.to_string() };
    if record.value.len() > EVENT_RECORD_BYTES_MAX {
        return Err(Poison::Size { given: record.value.len() });
    }
    let Versioned { version } = serde_json::from_slice(&record.value).map_err(not_an_event)?;
    if version != EVENT_VERSION {
        return Err(Poison::Version { given: version });
    }
    let event: Event = serde_json::from_slice(&record.value).map_err(not_an_event)?;
    if record.key != Some(event.audience.key()) {
        return Err(Poison::Key { key: record.key, audience: event.audience });
    }
    Ok(event)
}

/// A record on its way to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) poison: Poison,
    pub(crate) offset: Offset,
    /// The event that was claimed for this record and is to be released, so that it is told when it is replayed.
    pub(crate) claimed: Option<EventId>,
    /// What is said of the event.
    pub(crate) status: Option<Box<Status>>,
    pub(crate) record: NewRecord,
}

impl Letter {
    pub(crate) fn of(record: &Record, partition: Partition, poison: Poison) -> Self {
        let letter = letter(&poison, partition, record);
        Self { poison, offset: record.offset, claimed: None, status: None, record: letter }
    }

    /// Of an event whose community has no members any more.
    pub(super) fn missing(work: &Work, community: CommunityId, partition: Partition) -> Self {
        let (offset, published) = (work.offset(), work.published());
        let poison = Poison::Missing { community, published };
        let record = letter(&poison, partition, &work.record);
        let (claimed, status) =
            ((published == 0).then(|| work.id()), Some(status::failed(&work.event, published).into()));
        Self { poison, offset, claimed, status, record }
    }

    /// It is an event, and there was nobody to tell.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.poison, Poison::Missing { .. })
    }
}

fn letter(poison: &Poison, partition: Partition, record: &Record) -> NewRecord {
    dead_letter(Topic::Events, partition, record, poison.name(), poison.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use peal_store::log::Headers;

    use super::*;

    const EVENT: &str = r#"{"version":1,"event":"e1","kind":"community.posted","community":7,"at":"2026-11-22T10:00:00.000Z","data":{}}"#;

    fn record(key: Option<u64>, value: impl Into<Bytes>) -> Record {
        Record { offset: Offset::new(5), written: None, key, headers: Headers::default(), value: value.into() }
    }

    fn reason(key: Option<u64>, value: impl Into<Bytes>) -> String {
        open(&record(key, value)).unwrap_err().to_string()
    }

    #[test]
    fn an_event_is_opened_when_its_key_is_its_community() {
        assert_eq!(open(&record(Some(7), EVENT)).unwrap().event.as_str(), "e1");
        assert_eq!(reason(Some(8), EVENT), "its key is 8, but it is for community 7");
        let to_a_user = EVENT.replace(r#""community":7"#, r#""user":42"#);
        assert_eq!(open(&record(Some(42), to_a_user.clone())).unwrap().event.as_str(), "e1");
        assert_eq!(reason(Some(7), to_a_user), "its key is 7, but it is for user 42");
        assert_eq!(reason(None, EVENT), "its key is no number, but it is for community 7");
    }

    /// Its notifications would be refused by the log, and hold up its partition for ever.
    #[test]
    fn an_event_that_is_too_large_to_be_told_is_none() {
        let of = |bytes: usize| {
            let data = format!(r#""data":{{"text":"{}"}}"#, "x".repeat(bytes));
            open(&record(Some(7), EVENT.replace(r#""data":{}"#, &data)))
        };
        assert!(of(EVENT_RECORD_BYTES_MAX - 500).is_ok());
        assert!(matches!(of(EVENT_RECORD_BYTES_MAX), Err(Poison::Size { .. })));
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        assert!(reason(Some(7), "rubbish").starts_with("it is not an event: expected value"));
        assert!(reason(Some(7), &b"\xff"[..]).starts_with("it is not an event"));
        assert!(reason(Some(7), r#"{"version":1}"#).contains("missing field"));
        assert_eq!(
            reason(Some(7), EVENT.replace(r#""version":1"#, r#""version":2"#)),
            "it is of version 2, and this code reads version 1 only"
        );
    }
}
