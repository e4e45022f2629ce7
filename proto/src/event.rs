//! An event: what the community service posts, and what the events log holds of it.
//!
//! Owns the shape and rules of both. Requests are checked where they are read, and events of the log again: anybody may write
//! there. `docs/producing/event.schema.json`, which is made from the
//! types here, says the same to those who do.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::collapse::CollapseKey;
use crate::id::{CommunityId, EventId, UserId};
use crate::limits::KIND_CHARS_MAX;
use crate::time::Timestamp;
use crate::ttl::TimeToLive;

/// A kind, as JSON Schemas say it.
const KIND_PATTERN: &str = "^[a-z0-9._-]+$";

/// What kind of thing happened, e.g. `community.joined`: 1 to 64 characters of `a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Kind(#[schemars(regex(pattern = KIND_PATTERN), length(min = 1, max = KIND_CHARS_MAX))] Box<str>);

/// Why a text is not a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a kind is 1 to {KIND_CHARS_MAX} characters of a-z 0-9 . _ -, such as community.posted; not {given:?}")]
pub struct InvalidKind {
    given: String,
}

impl Kind {
    /// The kind of a join.
    #[must_use]
    pub fn joined() -> Self {
        Self("community.joined".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > KIND_CHARS_MAX || !text.chars().all(allowed) {
            return Err(InvalidKind { given: text.chars().take(2 * KIND_CHARS_MAX).collect() });
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `POST /v1/communities/{c}/joins`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// Who joins; becomes a member.
    pub user: UserId,
    /// Makes a repeat of this request harmless; the publisher gives one if absent.
    pub event: Option<EventId>,
    /// A JSON object that every member gets; `user` is added to it unless it has one.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
    /// Whether the joiner is told as well; by default it is.
    #[serde(default = "yes")]
    pub notify_self: bool,
    /// How long it is worth telling; as long as it is kept unless it says so.
    pub ttl: Option<TimeToLive>,
    /// What it replaces where it waits: an older one of the same key.
    pub collapse: Option<CollapseKey>,
}

fn yes() -> bool {
    true
}

/// `POST /v1/communities/{c}/events`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// Makes a repeat of this request harmless; the publisher gives one if absent.
    pub event: Option<EventId>,
    /// What happened.
    pub kind: Kind,
    /// A JSON object that every member gets.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
    /// How long it is worth telling; as long as it is kept unless it says so.
    pub ttl: Option<TimeToLive>,
    /// What it replaces where it waits: an older one of the same key.
    pub collapse: Option<CollapseKey>,
}

/// Who is told of an event. In JSON `"community": 7` or `"user": 42`, one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The members of a community.
    Community(CommunityId),
    /// One user.
    User(UserId),
}

/// Why it is not clear who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAudience {
    /// Both are named.
    #[error("it names a community and a user: give one of them")]
    Both,
    /// None is named.
    #[error(r#"it names nobody to tell: give "community" or "user""#)]
    Neither,
}

impl Audience {
    /// The audience of what names a community or a user.
    ///
    /// # Errors
    /// When it names both or none.
    pub const fn of(community: Option<CommunityId>, user: Option<UserId>) -> Result<Self, InvalidAudience> {
        match (community, user) {
            (Some(community), None) => Ok(Self::Community(community)),
            (None, Some(user)) => Ok(Self::User(user)),
            (Some(_), Some(_)) => Err(InvalidAudience::Both),
            (None, None) => Err(InvalidAudience::Neither),
        }
    }

    /// The community, unless it is one user.
    #[must_use]
    pub const fn community(self) -> Option<CommunityId> {
        match self {
            Self::Community(community) => Some(community),
            Self::User(_) => None,
        }
    }

    /// The key of its records in the events log.
    #[must_use]
    pub const fn key(self) -> u64 {
        match self {
            Self::Community(community) => community.get(),
            Self::User(user) => user.get(),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Community(community) => write!(f, "community {community}"),
            Self::User(user) => write!(f, "user {user}"),
        }
    }
}

/// One item of `POST /v1/events:batch`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = of_one()))]
pub struct BatchItem {
    /// Whose members are told, unless it is for one user.
    #[serde(default)]
    #[schemars(with = "CommunityId")]
    pub community: Option<CommunityId>,
    /// Who is told, unless it is for a community.
    #[serde(default)]
    #[schemars(with = "UserId")]
    pub user: Option<UserId>,
    /// Makes a repeat of this item harmless; the publisher gives one if absent.
    pub event: Option<EventId>,
    /// What happened.
    pub kind: Kind,
    /// A JSON object that everybody who is told gets.
    #[serde(default)]
    pub data: serde_json::Map<String, serde_json::Value>,
    /// How long it is worth telling; as long as it is kept unless it says so.
    pub ttl: Option<TimeToLive>,
    /// What it replaces where it waits: an older one of the same key.
    pub collapse: Option<CollapseKey>,
}

/// The version of [`Event`] that this code writes and the only one it reads.
pub const EVENT_VERSION: u32 = 1;

/// A record of the events log, keyed by its audience.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Written", try_from = "Written")]
#[schemars(description = DESCRIPTION)]
pub struct Event {
    /// The event's id.
    pub event: EventId,
    /// What happened.
    pub kind: Kind,
    /// Who is told.
    pub audience: Audience,
    /// When the publisher accepted it.
    pub at: Timestamp,
    /// How long from then it is worth telling; as long as it is kept unless it says so.
    pub ttl: Option<TimeToLive>,
    /// What its notifications replace where they wait: older ones of the same key.
    pub collapse: Option<CollapseKey>,
    /// For a join: who joined.
    pub join: Option<Join>,
    /// The poster's JSON object, as bytes.
    pub data: Box<RawValue>,
}

/// Why what can be read is not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// Of another shape.
    #[error("it is of version {given}, and this code reads version {EVENT_VERSION} only")]
    Version {
        /// What was given.
        given: u32,
    },
    /// It is not clear who is told.
    #[error(transparent)]
    Audience(#[from] InvalidAudience),
    /// A join that is for one user.
    #[error("it is a join, and names a user instead of a community")]
    Join,
    /// Data of another type.
    #[error("its data is not a JSON object")]
    Data,
}

/// An event as it is written. Not with `serde(flatten)`, which raw values do not pass.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false, "oneOf" = of_one(), "not" = { "required": ["user", "join"] }, "examples" = [example()]))]
struct Written {
    /// Of this shape.
    #[schemars(extend("const" = EVENT_VERSION))]
    version: u32,
    /// The id of what happened. A second event of the same id is counted and told nobody.
    event: EventId,
    /// What kind of thing happened, as the client reads it.
    kind: Kind,
    /// The members of this community are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CommunityId")]
    community: Option<CommunityId>,
    /// This user alone is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UserId")]
    user: Option<UserId>,
    /// When it happened.
    at: Timestamp,
    /// Seconds from `at` on; then it is told nobody any more, and its user is told of a gap instead. Without it, it is kept for 7
    /// days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeToLive")]
    ttl: Option<TimeToLive>,
    /// Where one of the same key waits for a user who is away, this one takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CollapseKey")]
    collapse: Option<CollapseKey>,
    /// Somebody joins the community: becomes a member, and then the members are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Join")]
    join: Option<Join>,
    /// Whatever the client is to know of it, byte for byte.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    data: Box<RawValue>,
}

const DESCRIPTION: &str = "The value of a record of peal.events: what happened, and who is told. UTF-8, at most 64 KiB. The key of \
    the record is the number of its community, or of its user, in decimal digits.";

/// What no field says alone: it is for a community or for a user.
fn of_one() -> serde_json::Value {
    serde_json::json!([{ "required": ["community"] }, { "required": ["user"] }])
}

fn example() -> serde_json::Value {
    serde_json::json!({
        "version": 1,
        "event": "order-1001",
        "kind": "order.shipped",
        "community": 7,
        "at": "2026-11-22T10:00:00.000Z",
        "data": { "order": 1001 },
    })
}

impl From<Event> for Written {
    fn from(event: Event) -> Self {
        let Event { event, kind, audience, at, ttl, collapse, join, data } = event;
        let (community, user) = match audience {
            Audience::Community(community) => (Some(community), None),
            Audience::User(user) => (None, Some(user)),
        };
        Self { version: EVENT_VERSION, event, kind, community, user, at, ttl, collapse, join, data }
    }
}

impl TryFrom<Written> for Event {
    type Error = InvalidEvent;

    fn try_from(written: Written) -> Result<Self, InvalidEvent> {
        let Written { version, event, kind, community, user, at, ttl, collapse, join, data } = written;
        if version != EVENT_VERSION {
            return Err(InvalidEvent::Version { given: version });
        }
        let audience = Audience::of(community, user)?;
        if join.is_some() && matches!(audience, Audience::User(_)) {
            return Err(InvalidEvent::Join);
        }
        if !data.get().starts_with('{') {
            return Err(InvalidEvent::Data);
        }
        Ok(Self { event, kind, audience, at, ttl, collapse, join, data })
    }
}

/// What a join does beside telling the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Join {
    /// Who joins. Becomes a member before the members are read.
    pub user: UserId,
    /// Whether the joiner is told as well.
    pub notify_self: bool,
}

impl Event {
    /// The event of a join.
    ///
    /// # Errors
    /// When the data can't be written as JSON, which for a parsed object does not happen.
    pub fn joined(
        community: CommunityId,
        event: EventId,
        at: Timestamp,
        request: JoinRequest,
    ) -> serde_json::Result<Self> {
        let JoinRequest { user, event: _, mut data, notify_self, ttl, collapse } = request;
        data.entry("user").or_insert_with(|| user.get().into());
        let data = serde_json::value::to_raw_value(&data)?;
        let (audience, join) = (Audience::Community(community), Some(Join { user, notify_self }));
        Ok(Self { event, kind: Kind::joined(), audience, at, ttl, collapse, join, data })
    }

    /// The event of any other post.
    ///
    /// # Errors
    /// When the data can't be written as JSON, which for a parsed object does not happen.
    pub fn posted(
        audience: Audience,
        event: EventId,
        at: Timestamp,
        request: EventRequest,
    ) -> serde_json::Result<Self> {
        let EventRequest { event: _, kind, data, ttl, collapse } = request;
        let data = serde_json::value::to_raw_value(&data)?;
        Ok(Self { event, kind, audience, at, ttl, collapse, join: None, data })
    }

    /// When it is no longer worth telling. It follows from the record alone, so whoever tells it says the same.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.ttl.map(|ttl| self.at.after(ttl.duration()))
    }

    /// Whether this member is left out of the fan-out.
    #[must_use]
    pub fn leaves_out(&self, user: UserId) -> bool {
        self.join.is_some_and(|join| join.user == user && !join.notify_self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(body: &str) -> Result<JoinRequest, serde_json::Error> {
        serde_json::from_str(body)
    }

    #[test]
    fn a_join_tells_who_joined_unless_its_data_says_so_itself() {
        let at = Timestamp::from_millis(0);
        let community = CommunityId::new(7).unwrap();
        let id = || "e1".parse().unwrap();
        let plain = Event::joined(community, id(), at, join(r#"{"user":42}"#).unwrap()).unwrap();
        assert_eq!(plain.data.get(), r#"{"user":42}"#);
        let named = join(r#"{"user":42,"data":{"user":"Ada"}}"#).unwrap();
        let named = Event::joined(community, id(), at, named).unwrap();
        assert_eq!(named.data.get(), r#"{"user":"Ada"}"#);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_named() {
        let reason = |body| join(body).unwrap_err().to_string();
        assert!(reason(r#"{"user":42,"usr":1}"#).contains("unknown field `usr`"));
        assert!(reason(r#"{"user":"42"}"#).contains("invalid type: string"));
        assert!(reason(r#"{"user":9007199254740992}"#).contains("2^53-1"));
        assert!(reason(r#"{"user":-1}"#).contains("-1"));
        assert!(reason(r#"{"user":42,"data":[]}"#).contains("a map"));
        assert!(reason(r#"{"user":42,"event":"a b"}"#).contains("an event id is"));
        assert!(reason(r#"{"user":42,"ttl":0}"#).contains("a ttl is a whole number of seconds from 1 to 604800"));
        assert!(reason(r#"{"user":42,"collapse":"a b"}"#).contains("a collapse key is"));
        assert!(reason("{}").contains("missing field `user`"));
    }

    #[test]
    fn an_event_reads_back_what_it_wrote() {
        let body = r#"{"user":42,"notify_self":false,"ttl":60,"collapse":"joins.7","data":{"a":[1,2]}}"#;
        let (community, at) = (CommunityId::new(7).unwrap(), Timestamp::from_millis(5));
        let event = Event::joined(community, "e1".parse().unwrap(), at, join(body).unwrap()).unwrap();
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""ttl":60,"collapse":"joins.7""#), "{text}");
        let event: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(event.expires(), Some(Timestamp::from_millis(60_005)));
        assert!(event.leaves_out(UserId::new(42).unwrap()));
        assert!(!event.leaves_out(UserId::new(43).unwrap()));
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }

    #[test]
    fn an_event_is_for_a_community_or_for_a_user() {
        let written = |audience: &str| {
            format!(
                r#"{{"version":1,"event":"e1","kind":"k",{audience}"at":"2026-11-22T10:00:00.000Z","data":{{"a":1}}}}"#
            )
        };
        for (audience, told) in [
            (r#""community":7,"#, Audience::Community(CommunityId::new(7).unwrap())),
            (r#""user":42,"#, Audience::User(UserId::new(42).unwrap())),
        ] {
            let event: Event = serde_json::from_str(&written(audience)).unwrap();
            assert_eq!(event.audience, told);
            assert_eq!(serde_json::to_string(&event).unwrap(), written(audience));
        }
        let refused = |audience| serde_json::from_str::<Event>(&written(audience)).unwrap_err().to_string();
        assert!(refused("").contains("names nobody to tell"));
        assert!(refused(r#""community":7,"user":42,"#).contains("a community and a user"));
    }
}
