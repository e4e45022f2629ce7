//! A page of a user's inbox, put together from the entries of the stream and the losses of the summary.
//!
//! A loss reaches from wherever a reader stands up to its end. The quota takes entries from the front, so nothing stands
//! below its end; an entry parked late may stand below the end of what expired, and then a gap before it says so too.

use bytes::Bytes;
use peal_proto::frame::GapReason;
use peal_proto::{Generation, Offset, Position, Timestamp};
use redis::{Cmd, RedisResult, Value};

use super::super::{Item, Page, PageRequest};
use super::summary::Summary;

/// What one transaction looked at.
pub(super) struct Looked {
    pub(super) marker: Option<String>,
    pub(super) summaries: Vec<Option<Vec<u8>>>,
    /// The entries of each request.
    pub(super) streams: Vec<Value>,
}

impl Looked {
    /// Takes the answers apart: the marker, the summaries, and what is left.
    pub(super) fn from_answers(mut answers: Vec<Value>) -> RedisResult<Self> {
        let streams = answers.split_off(2.min(answers.len()));
        let (marker, summaries) = redis::from_redis_value(Value::Array(answers))?;
        Ok(Self { marker, summaries, streams })
    }
}

/// Asks for one entry more than the page takes, to know whether it is the last page.
pub(super) fn look(stream: &str, generation: Generation, request: &PageRequest) -> Cmd {
    let mut look = redis::cmd("XRANGE");
    look.arg(stream).arg(format!("{generation}-{}", request.from)).arg(format!("{generation}-{}", u64::MAX));
    look.arg("COUNT").arg(entries_max(request) + 1);
    look
}

fn entries_max(request: &PageRequest) -> usize {
    request.entries_max.max(1)
}

/// An entry as it is stored.
pub(super) struct Stored {
    pub(super) offset: Offset,
    pub(super) until: Timestamp,
    pub(super) value: Bytes,
    replaced: u32,
}

/// `["<generation>-<offset>", ["u", until, "v", value]]`, with `"c", key, "r", replaced` behind it where there is a collapse key.
pub(super) fn stored(entry: Value) -> Option<Stored> {
    let [id, Value::Array(mut fields)] = array(entry)? else { return None };
    let collapse = fields.split_off(4.min(fields.len()));
    let replaced = collapse.into_iter().nth(3).map_or(Some(0), |replaced| text(replaced)?.parse().ok())?;
    let [_, until, _, value] = fields.try_into().ok()?;
    let id = text(id)?;
    let (_, offset) = id.split_once('-')?;
    let until = Timestamp::from_millis(text(until)?.parse().ok()?);
    let Value::BulkString(value) = value else { return None };
    Some(Stored { offset: Offset::new(offset.parse().ok()?), until, value: value.into(), replaced })
}

fn array<const N: usize>(value: Value) -> Option<[Value; N]> {
    let Value::Array(values) = value else { return None };
    values.try_into().ok()
}

fn text(value: Value) -> Option<String> {
    let Value::BulkString(bytes) = value else { return None };
    String::from_utf8(bytes).ok()
}

/// The page of a request.
pub(super) fn page(request: &PageRequest, summary: Summary, stream: Value, now: Timestamp) -> Result<Page, String> {
    let Value::Array(stream) = stream else { return Err("a stream is no list of entries".to_owned()) };
    let mut page = Builder { at: request.from, losses: losses(summary), items: Vec::with_capacity(stream.len()) };
    let end = stream.len() <= entries_max(request);
    let (mut entries, mut bytes) = (0, 0);
    for entry in stream {
        if entries >= entries_max(request) || bytes > request.bytes_max {
            return Ok(Page { items: page.items, end: false });
        }
        let Some(Stored { offset, until, value, replaced }) = stored(entry) else {
            return Err(format!("an entry of user {} can't be read", request.user));
        };
        page.losses_below(Position::at(offset));
        if until <= now {
            page.gap(Position::behind(offset), GapReason::Expired);
        } else {
            (entries, bytes) = (entries + 1, bytes + value.len());
            page.notification(offset, replaced, value);
        }
    }
    if end {
        page.losses_left();
    }
    Ok(Page { items: page.items, end })
}

/// Up to where something was lost, in the order of the ends.
fn losses(Summary { quota, expired, .. }: Summary) -> [(Position, GapReason); 2] {
    let mut losses = [(quota, GapReason::Quota), (expired, GapReason::Expired)];
    losses.sort_by_key(|(to, _)| *to);
    losses.map(|(to, reason)| (Position::at(Offset::new(to)), reason))
}

/// A page that grows.
struct Builder {
    /// Everything below is in the page, or before it.
    at: Position,
    losses: [(Position, GapReason); 2],
    items: Vec<Item>,
}

impl Builder {
    /// Tells what was lost before an entry.
    fn losses_below(&mut self, entry: Position) {
        for (to, reason) in self.losses {
            self.gap(to.min(entry), reason);
        }
    }

    fn losses_left(&mut self) {
        for (to, reason) in self.losses {
            self.gap(to, reason);
        }
    }

    fn gap(&mut self, to: Position, reason: GapReason) {
        if to > self.at {
            self.items.pop_if(|item| matches!(item, Item::Gap { reason: before, .. } if *before == reason));
            self.items.push(Item::Gap { to, reason });
            self.at = to;
        }
    }

    fn notification(&mut self, offset: Offset, replaced: u32, value: Bytes) {
        self.items.push(Item::Notification { offset, replaced, value });
        self.at = Position::behind(offset);
    }
}
