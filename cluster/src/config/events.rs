//! The words of `peal join`, `peal post` and `peal event`.

use std::str::FromStr;

use clap::Args;
use peal_proto::{CollapseKey, CommunityId, EventId, Kind, TimeToLive, UserId};
use serde_json::value::RawValue;

use super::Which;

pub(super) const JOIN_ABOUT: &str = "\
A user joins a community: becomes a member, and every member is told (community.joined), the joiner as well unless \
--no-notify-self is given. Prints the id of the event once it is durable, so that it will reach everybody.";

const JOIN_AFTER: &str = "\
Examples:
  peal join 7 42
  peal join 7 42 --data '{\"name\":\"Ada\"}'
  peal join 7 42 --event signup-42        may be repeated: it is told once";

pub(super) const POST_ABOUT: &str = "\
Something happened in a community, and every member is told. Prints the id of the event once it is durable, so that it \
will reach everybody.";

const POST_AFTER: &str = "\
Examples:
  peal post 7 community.posted '{\"text\":\"hi\"}'
  peal post 7 rehearsal.moved '{\"to\":\"Thursday\"}' --event moved-1        may be repeated: it is told once
  peal post 7 rehearsal.begins --ttl 3600        who comes back later is told of a gap
  peal post 7 members.count '{\"members\":17}' --collapse count.7        who comes back is told the newest";

pub(super) const EVENT_ABOUT: &str = "\
Shows how far an event is: accepted (it is durable), expanding (members are being told), published (the notification of every \
member is in the log), settled (each is delivered, parked or gone), or failed (it is a dead letter); and how many were acknowledged, wait in an inbox, have \
expired, were replaced by a newer one of their collapse key, or failed. Events are known for at least a day, and for as long as anything is parked of them.";

const EVENT_AFTER: &str = "\
Examples:
  peal event signup-42
  peal event signup-42 --json | jq .published";

/// A user joins a community; its members are told
#[derive(Debug, Args)]
#[command(after_long_help = JOIN_AFTER)]
pub struct Join {
    /// Which community
    pub community: CommunityId,
    /// Who joins
    pub user: UserId,
    /// A JSON object that goes to every member; `user` is added to it
    #[arg(long, value_name = "JSON")]
    pub data: Option<JsonObject>,
    /// An id of your own, 1 to 64 of A-Z a-z 0-9 . _ ~ -: the same id again changes nothing
    #[arg(long, value_name = "ID")]
    pub event: Option<EventId>,
    /// Do not tell the joiner
    #[arg(long)]
    pub no_notify_self: bool,
    #[command(flatten)]
    pub(crate) keep: Keep,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Tell the members of a community that something happened
#[derive(Debug, Args)]
#[command(after_long_help = POST_AFTER)]
pub struct Post {
    /// Which community
    pub community: CommunityId,
    /// What happened, 1 to 64 of a-z 0-9 . _ -, such as community.posted
    pub kind: Kind,
    /// A JSON object that goes to every member
    #[arg(value_name = "JSON")]
    pub data: Option<JsonObject>,
    /// An id of your own, 1 to 64 of A-Z a-z 0-9 . _ ~ -: the same id again changes nothing
    #[arg(long, value_name = "ID")]
    pub event: Option<EventId>,
    #[command(flatten)]
    pub(crate) keep: Keep,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What is kept of it for those who are away.
#[derive(Debug, Args)]
pub struct Keep {
    /// For how many seconds it is worth telling, up to 604800 (7 days)
    #[arg(long, value_name = "SECONDS", value_parser = ttl)]
    pub ttl: Option<TimeToLive>,
    /// Where one of the same key waits for a member who is away, this one takes its place; 1 to 64 of A-Z a-z 0-9 . _ ~ -
    #[arg(long, value_name = "KEY")]
    pub collapse: Option<CollapseKey>,
}

fn ttl(text: &str) -> Result<TimeToLive, Box<dyn std::error::Error + Send + Sync>> {
    Ok(TimeToLive::new(text.parse()?)?)
}

/// Show how far an event is
#[derive(Debug, Args)]
#[command(after_long_help = EVENT_AFTER)]
pub struct ShowEvent {
    /// The id, as `peal join` or `peal post` printed it
    #[arg(value_name = "ID")]
    pub event: EventId,
    /// Print the JSON of the publisher
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// A JSON object, as it was written.
#[derive(Debug, Clone)]
pub struct JsonObject(Box<RawValue>);

/// Why a text is not a JSON object.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON object such as {{\"text\":\"hi\"}}: {0}")]
pub struct InvalidObject(#[from] serde_json::Error);

impl JsonObject {
    /// The text.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.0
    }
}

impl FromStr for JsonObject {
    type Err = InvalidObject;

    fn from_str(text: &str) -> Result<Self, InvalidObject> {
        let _object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        Ok(Self(RawValue::from_string(text.to_owned())?))
    }
}
