//! The frames of `peal.v1`: one JSON object a WebSocket text frame (RFC 6455), both ways.
//!
//! A node writes frames into a buffer it owns, around the bytes of the notification as they are; a client in Rust (the terminal
//! client, tests, load) reads them with [`NodeFrame`].

use bytes::{BufMut, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cursor::Cursor;
use crate::id::{NodeId, UserId};
use crate::notification::Notification;

/// Why a client can't be given everything since its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Older than its time to live.
    Expired,
    /// Beyond what is kept for one user.
    Quota,
    /// The cursor belongs to another incarnation of the log.
    Generation,
}

impl GapReason {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Quota => "quota",
            Self::Generation => "generation",
        }
    }
}

/// The first frame of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// Whose socket it is.
    pub user: UserId,
    /// Which node it is at.
    pub node: NodeId,
    /// Of which shard map.
    pub epoch: u64,
    /// Where the socket starts.
    pub cursor: Cursor,
    /// How often the node pings, milliseconds.
    pub heartbeat_ms: u64,
}

/// A frame from a node, as a client reads it.
#[derive(Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub enum NodeFrame<'a> {
    /// The first frame.
    Hello(Hello),
    /// One notification.
    Notification {
        /// Where the client is once it has seen this.
        cursor: Cursor,
        /// How many older ones of its collapse key it stands for, which the client is not given.
        #[schemars(default)]
        replaced: u32,
        /// The record's bytes.
        #[schemars(with = "Notification")]
        notification: &'a RawValue,
    },
    /// What could not be kept.
    Gap {
        /// Where the client was.
        from: Cursor,
        /// Where it is now.
        to: Cursor,
        /// Why.
        reason: GapReason,
    },
}

impl<'a> NodeFrame<'a> {
    /// Reads one frame. (serde can't borrow a [`RawValue`] inside a tagged enum, so the tag is read first.)
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Type {
            Hello,
            Notification,
            Gap,
        }
        #[derive(Deserialize)]
        struct Tagged {
            r#type: Type,
        }
        #[derive(Deserialize)]
        struct Notification<'a> {
            cursor: Cursor,
            #[serde(default)]
            replaced: u32,
            #[serde(borrow)]
            notification: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Gap {
            from: Cursor,
            to: Cursor,
            reason: GapReason,
        }
        Ok(match serde_json::from_str::<Tagged>(text)?.r#type {
            Type::Hello => Self::Hello(serde_json::from_str(text)?),
            Type::Notification => {
                let Notification { cursor, replaced, notification } = serde_json::from_str(text)?;
                Self::Notification { cursor, replaced, notification }
            }
            Type::Gap => {
                let Gap { from, to, reason } = serde_json::from_str(text)?;
                Self::Gap { from, to, reason }
            }
        })
    }
}

/// A frame from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientFrame {
    /// Everything up to this cursor has been seen.
    Ack {
        /// A cursor that this socket was given.
        cursor: Cursor,
    },
}

impl ClientFrame {
    /// Reads one frame.
    ///
    /// # Errors
    /// What is wrong, for the close reason.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Appends a hello to `out`.
pub fn write_hello(out: &mut BytesMut, hello: &Hello) {
    let Hello { user, node, epoch, cursor, heartbeat_ms } = hello;
    let text = format!(
        r#"{{"type":"hello","user":{user},"node":{node},"epoch":{epoch},"cursor":"{cursor}","heartbeat_ms":{heartbeat_ms}}}"#
    );
    out.put_slice(text.as_bytes());
}

/// Appends a notification to `out`: the record's bytes between a head, which says how many others it stands for if it does, and
/// a tail.
pub fn write_notification(out: &mut BytesMut, cursor: Cursor, replaced: u32, notification: &[u8]) {
    const HEAD: &[u8] = br#"{"type":"notification","cursor":""#;
    const REPLACED: &[u8] = br#"","replaced":"#;
    const MIDDLE: &[u8] = br#"","notification":"#;
    out.reserve(notification_bytes(notification.len()));
    out.put_slice(HEAD);
    put_decimal(out, u64::from(cursor.generation.get()));
    out.put_u8(b'.');
    put_decimal(out, cursor.position.next().get());
    if replaced == 0 {
        out.put_slice(MIDDLE);
    } else {
        out.put_slice(REPLACED);
        put_decimal(out, u64::from(replaced));
        out.put_slice(&MIDDLE[1..]); // behind a number, not a text
    }
    out.put_slice(notification);
    out.put_u8(b'}');
}

/// The most bytes that [`write_notification`] takes for a notification of this many.
#[must_use]
pub const fn notification_bytes(notification: usize) -> usize {
    const AROUND: usize = 33 + 10 + 1 + 20 + 13 + 10 + 17 + 1; // head, generation, dot, position, replaced, middle, brace
    notification + AROUND
}

/// Appends a gap to `out`.
pub fn write_gap(out: &mut BytesMut, from: Cursor, to: Cursor, reason: GapReason) {
    let reason = reason.name();
    let text = format!(r#"{{"type":"gap","from":"{from}","to":"{to}","reason":"{reason}"}}"#);
    out.put_slice(text.as_bytes());
}

/// Decimal digits without the formatting machinery, which costs more than the rest of a frame.
fn put_decimal(out: &mut BytesMut, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}
