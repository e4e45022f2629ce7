//! A notification: the JSON object that a client gets, written once, by the fan-out worker.
//!
//! Only the user differs between the members of a community, so an event is made into a template once and each member
//! costs two copies and an integer. Nobody reads the bytes again before the client does, but the node: whether they are JSON, and
//! of which event and collapse key.

use std::io::Write;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::collapse::CollapseKey;
use crate::event::{Event, Kind};
use crate::id::{CommunityId, EventId, UserId};
use crate::time::Timestamp;

/// The id of a notification, as JSON Schemas say it.
const ID_PATTERN: &str = "^[A-Za-z0-9._~-]{1,64}:(0|[1-9][0-9]{0,15})$";

/// The JSON object as a client may read it. Nobody here does; it says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = DESCRIPTION, extend("examples" = [example()]))]
pub struct Notification {
    /// `<event>:<user>`.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub id: String,
    /// The id of what happened.
    pub event: EventId,
    /// What kind of thing happened, as the client reads it.
    pub kind: Kind,
    /// Whose members are told; absent where it is for one user.
    #[serde(default)]
    #[schemars(with = "CommunityId")]
    pub community: Option<CommunityId>,
    /// Where one of the same key waits for the user, who is away, this one takes its place.
    #[serde(default)]
    #[schemars(with = "CollapseKey")]
    pub collapse: Option<CollapseKey>,
    /// When it happened.
    pub at: Timestamp,
    /// Whatever the client is to know of it.
    pub data: serde_json::Map<String, serde_json::Value>,
}

const DESCRIPTION: &str = "The value of a record of peal.notifications: what one user is told, and the client gets byte for byte. \
    UTF-8, at most 64 KiB. The key of the record is the number of the user in decimal digits.";

fn example() -> serde_json::Value {
    serde_json::json!({
        "id": "order-1001:42",
        "event": "order-1001",
        "kind": "order.shipped",
        "at": "2026-11-22T10:00:00.000Z",
        "data": { "order": 1001 },
    })
}

/// The notification of one event, all but its user.
#[derive(Debug, Clone)]
pub struct Template {
    head: Vec<u8>,
    tail: Vec<u8>,
    expires: Option<Timestamp>,
}

impl Template {
    /// `{"id":"<event>:` … `","event":…,"kind":…,"community":…,"collapse":…,"at":…,"data":…}`; no community where it is for one
    /// user.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let Event { event: id, kind, audience, at, collapse, data, .. } = event;
        // Ids, kinds and keys are of characters that JSON need not escape; data is JSON already.
        let head = format!(r#"{{"id":"{id}:"#);
        let community =
            audience.community().map(|community| format!(r#""community":{community},"#)).unwrap_or_default();
        let collapse = collapse.as_ref().map(|key| format!(r#""collapse":"{key}","#)).unwrap_or_default();
        let tail =
            format!(r#"","event":"{id}","kind":"{kind}",{community}{collapse}"at":"{at}","data":{}}}"#, data.get());
        Self { head: head.into_bytes(), tail: tail.into_bytes(), expires: event.expires() }
    }

    /// The most bytes one member's notification can take.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        const DIGITS_MAX: usize = 16; // of 2^53-1
        self.head.len() + DIGITS_MAX + self.tail.len()
    }

    /// When the notification is no longer worth delivering.
    #[must_use]
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Appends the notification of `user` to `out`.
    pub fn write(&self, user: UserId, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        write!(out, "{user}").unwrap_or_default(); // a Vec takes every write
        out.extend_from_slice(&self.tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Audience, EventRequest};

    #[test]
    fn a_notification_is_the_object_of_the_contract() {
        let request: EventRequest =
            serde_json::from_str(r#"{"kind":"community.posted","data":{"text":"so \"it\" is"}}"#).unwrap();
        let at = Timestamp::from_millis(1_795_341_600_000);
        let community = Audience::Community(CommunityId::new(7).unwrap());
        let mut event = Event::posted(community, "e1".parse().unwrap(), at, request).unwrap();
        let template = Template::of(&event);
        let mut out = Vec::new();
        template.write(UserId::new(42).unwrap(), &mut out);
        assert!(out.len() <= template.bytes_max());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"e1:42","event":"e1","kind":"community.posted","community":7,"at":"2026-11-22T10:00:00.000Z","data":{"text":"so \"it\" is"}}"#
        );
        event.audience = Audience::User(UserId::new(42).unwrap());
        event.collapse = Some("posts".parse().unwrap());
        let mut out = Vec::new();
        Template::of(&event).write(UserId::new(42).unwrap(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"e1:42","event":"e1","kind":"community.posted","collapse":"posts","at":"2026-11-22T10:00:00.000Z","data":{"text":"so \"it\" is"}}"#
        );
    }
}
