//! A notification: the JSON object that a client gets, written once, by the fan-out worker.
//!
//! Only the user differs between the members of a community, so an event is made into a template once and each member
//! costs two copies and an integer. Nobody reads the bytes again before the client does, but the node, whether they are JSON.

use std::io::Write;

use crate::event::Event;
use crate::id::UserId;

/// The notification of one event, all but its user.
#[derive(Debug, Clone)]
pub struct Template {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Template {
    /// `{"id":"<event>:` … `","event":…,"kind":…,"community":…,"at":…,"data":…}`; no community where it is for one user.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let Event { event: id, kind, audience, at, data, .. } = event;
        // Ids and kinds are of characters that JSON need not escape; data is JSON already.
        let head = format!(r#"{{"id":"{id}:"#);
        let community =
            audience.community().map(|community| format!(r#""community":{community},"#)).unwrap_or_default();
        let tail = format!(r#"","event":"{id}","kind":"{kind}",{community}"at":"{at}","data":{}}}"#, data.get());
        Self { head: head.into_bytes(), tail: tail.into_bytes() }
    }

    /// The most bytes one member's notification can take.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        const DIGITS_MAX: usize = 16; // of 2^53-1
        self.head.len() + DIGITS_MAX + self.tail.len()
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
    use crate::id::CommunityId;
    use crate::time::Timestamp;

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
        let mut out = Vec::new();
        Template::of(&event).write(UserId::new(42).unwrap(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"e1:42","event":"e1","kind":"community.posted","at":"2026-11-22T10:00:00.000Z","data":{"text":"so \"it\" is"}}"#
        );
    }
}
