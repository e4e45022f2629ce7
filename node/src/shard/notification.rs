//! Whose notification a record is, or why it is none.
//!
//! Another producer may have written it: in another partition than its user's nobody would ever read it, and a client that is
//! sent what is no JSON object closes, comes back, and is sent it again. So that is looked at, and in the same pass the event
//! is found, for its account, and the collapse key. Nothing else of the value is kept.

use std::fmt;

use peal_proto::shard::partition_of;
use peal_proto::{CollapseKey, EventId, Partition, UserId};
use peal_store::log::Record;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::poison::Poison;

/// What is known of a record without its value.
#[derive(Debug)]
pub(super) struct Addressed {
    pub(super) user: UserId,
    /// Whose notification it is, if that of an event.
    pub(super) event: Option<EventId>,
    /// What it replaces in an inbox, if it does.
    pub(super) collapse: Option<CollapseKey>,
}

/// Looks at the records of one partition.
pub(super) struct Reading {
    partition: Partition,
    partitions: u32,
    /// Notifications of one event stand side by side.
    last: Option<EventId>,
}

impl Reading {
    pub(super) fn new(partition: Partition, partitions: u32) -> Self {
        Self { partition, partitions, last: None }
    }

    pub(super) fn look_at(&mut self, record: &Record) -> Result<Addressed, Poison> {
        let Self { partition, partitions, .. } = *self;
        let key = record.key.ok_or_else(|| Poison::Key { reason: "it is no number".to_owned() })?;
        let user = UserId::new(key).map_err(|error| Poison::Key { reason: error.to_string() })?;
        let home = partition_of(key, partitions);
        if home != partition {
            return Err(Poison::Partition { user, home, partitions, partition });
        }
        if record.headers.canary {
            return Ok(Addressed { user, event: None, collapse: None });
        }
        let value =
            std::str::from_utf8(&record.value).map_err(|error| Poison::NotUtf8 { reason: error.to_string() })?;
        let not_an_object = |error: serde_json::Error| Poison::NotAnObject { reason: error.to_string() };
        let Object { event, collapse } = serde_json::from_str(value).map_err(not_an_object)?;
        // What is no key replaces nothing.
        let collapse = collapse.and_then(|key| key.parse().ok());
        Ok(Addressed { user, event: event.and_then(|id| self.event(id)), collapse })
    }

    /// What is no event's id has no account.
    fn event(&mut self, id: &str) -> Option<EventId> {
        if self.last.as_ref().is_none_or(|last| last.as_str() != id) {
            self.last = Some(id.parse().ok()?);
        }
        self.last.clone()
    }
}

/// The event of a notification that was parked.
pub(super) fn event_of(value: &[u8]) -> Option<EventId> {
    serde_json::from_slice::<Object<'_>>(value).ok()?.event?.parse().ok()
}

/// A JSON object of which two fields are of interest.
struct Object<'a> {
    event: Option<&'a str>,
    collapse: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Event,
    Collapse,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Object<'de>, A::Error> {
        let (mut event, mut collapse) = (None, None);
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Event => event = text(fields.next_value()?),
                Field::Collapse => collapse = text(fields.next_value()?),
                Field::Other => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Object { event, collapse })
    }
}

/// An id or a key needs no escapes, so it stands between its quotes as it is.
fn text(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use peal_proto::Offset;
    use peal_store::log::Headers;

    use super::*;

    fn look_at(value: &'static str) -> Result<Option<String>, String> {
        Ok(addressed(value)?.event.map(|event| event.to_string()))
    }

    fn addressed(value: &'static str) -> Result<Addressed, String> {
        let mut reading = Reading::new(Partition::new(2), 4);
        let (offset, headers) = (Offset::new(0), Headers::default());
        let record = Record { offset, written: None, key: Some(42), headers, value: value.into() };
        reading.look_at(&record).map_err(|poison| poison.to_string())
    }

    #[test]
    fn the_event_is_found_wherever_it_stands() {
        assert_eq!(look_at(r#"{"id":"e1:42","event":"e1","data":{"event":"no"}}"#), Ok(Some("e1".into())));
        assert_eq!(look_at(r#" {"data":[1],"event" : "e1" } "#), Ok(Some("e1".into())));
    }

    #[test]
    fn the_collapse_key_is_found_and_what_is_none_replaces_nothing() {
        let found = |value| addressed(value).unwrap().collapse.map(|key| key.to_string());
        assert_eq!(found(r#"{"event":"e1","collapse":"joins.7","data":{"collapse":"no"}}"#), Some("joins.7".into()));
        for value in ["{}", r#"{"collapse":7}"#, r#"{"collapse":""}"#, r#"{"collapse":"a b"}"#, r#"{"collapse":null}"#]
        {
            assert_eq!(found(value), None, "{value}");
        }
    }

    #[test]
    fn a_notification_without_an_event_is_one() {
        for value in ["{}", r#"{"event":7}"#, r#"{"event":null}"#, r#"{"event":"a b"}"#, r#"{"event":"a\u0062"}"#] {
            assert_eq!(look_at(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_notification() {
        for value in ["", "7", "[]", r#"{"a":"#, "{} {}", "null"] {
            let reason = look_at(value).unwrap_err();
            assert!(reason.starts_with("its value is not a JSON object"), "{value}: {reason}");
        }
    }
}
