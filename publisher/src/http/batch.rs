//! `POST /v1/events:batch`: items of any number as NDJSON or as one JSON array, and a line of NDJSON for each.
//!
//! Read as a stream: a part of the items is taken in, answered, and only then are more read, so a log that is slow slows the
//! poster, and no batch takes more memory than another. The answers begin before the body has ended.
//!
//! A client or a community over its rate slows the poster in the same way: the item waits, and those behind it, after those before
//! it were answered. Were it refused, the poster would have to send it again, behind later events of its community, which
//! would arrive in the wrong order; and of a batch that is longer than a burst nearly everything would be refused.

mod items;

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use futures_util::{FutureExt, StreamExt};
use peal_proto::event::{BatchItem, EventRequest};
use peal_proto::limits::EVENT_BYTES_MAX;
use peal_proto::{Audience, Event, EventId};
use peal_serve::{Failure, parse_object, require_type};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use self::items::{Item, Items};
use crate::App;
use crate::admission::{Client, Toll};
use crate::ingest::{Seat, Taken};
use crate::limits::{BATCH_PART_BYTES_MAX, BATCH_PART_ITEMS_MAX, BATCH_SILENCE_MAX};

pub(super) const NDJSON: &str = "application/x-ndjson";

/// The media types of a batch; some call NDJSON by other names.
pub(super) const TYPES: [&str; 4] = [NDJSON, "application/json", "application/ndjson", "application/jsonl"];

/// What became of an item, a line of the answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchAnswer")]
pub(super) struct Answer {
    /// Its number: of its line, or in the array, from 1.
    item: u64,
    result: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Sending an item again is of use only when it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It is durable.
    Accepted,
    /// It was accepted before.
    Duplicate,
    /// It is not what the endpoint takes, or nothing of the batch can be read any more.
    Refused,
    /// The log did not answer, and it may be stored or not; or it did not come.
    Unknown,
}

impl Outcome {
    /// The label of the metric.
    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

pub(super) async fn post(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let seat = app.ingest.batch_seat()?;
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, &TYPES)?;
    let client = app.admission.client(&parts);
    let (body, items) = (body.into_data_stream(), Items::new());
    let batch = Batch { app, seat, client, body, items, ended: false, held: None, over: false };
    let answers = unfold(batch, async |mut batch| Some((Ok::<_, axum::Error>(batch.part().await?), batch)));
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(answers)).into_response())
}

/// A batch that is being read.
struct Batch {
    app: Arc<App>,
    seat: Seat,
    client: Option<Client>,
    body: BodyDataStream,
    items: Items,
    /// The body has ended; there may be items left.
    ended: bool,
    /// An item that is not yet admitted.
    held: Option<Held>,
    /// Nothing more is read.
    over: bool,
}

/// An item that is read.
struct Held {
    number: u64,
    event: Event,
    bytes: usize,
    toll: Toll,
}

/// Items that are taken in together, and the answers of those that are not.
#[derive(Default)]
struct Part {
    events: Vec<(u64, Event)>,
    bytes: usize,
    answers: Vec<Answer>,
}

impl Part {
    fn is_full(&self) -> bool {
        self.events.len() + self.answers.len() >= BATCH_PART_ITEMS_MAX || self.bytes >= BATCH_PART_BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.answers.is_empty()
    }

    fn answer(&mut self, item: u64, result: Outcome, event: Option<EventId>, detail: Option<String>) {
        self.answers.push(Answer { item, result, event, detail });
    }

    fn refuse(&mut self, item: u64, detail: String) {
        self.answer(item, Outcome::Refused, None, Some(detail));
    }

    /// The lines, in the order of the items.
    fn lines(mut self) -> Bytes {
        self.answers.sort_by_key(|answer| answer.item);
        let mut lines = Vec::with_capacity(64 * self.answers.len());
        for answer in &self.answers {
            metrics::counter!("peal_batch_items_total", "result" => answer.result.name()).increment(1);
            serde_json::to_writer(&mut lines, answer).unwrap_or_default(); // a Vec takes every write
            lines.push(b'\n');
        }
        lines.into()
    }
}

impl Batch {
    /// Reads some items and takes them in; their answers. `None` when the body has been read.
    async fn part(&mut self) -> Option<Bytes> {
        let mut part = Part::default();
        while !self.over && !part.is_full() {
            if let Some(mut held) = self.held.take() {
                match self.app.admission.admit(&mut held.toll) {
                    Ok(()) => {
                        part.bytes += held.bytes;
                        part.events.push((held.number, held.event));
                    }
                    Err(over) => {
                        self.held = Some(held);
                        if !part.is_empty() {
                            break; // what there is need not wait for it
                        }
                        over.delay();
                        sleep(over.wait).await;
                    }
                }
                continue;
            }
            match self.items.next() {
                Some(item) => self.take(item, &mut part),
                None if self.ended => self.over = true,
                None => match self.read(part.is_empty()).await {
                    Read::More => {}
                    Read::Nothing => break, // what there is need not wait for more
                    Read::Silence => {
                        let silence = BATCH_SILENCE_MAX.as_secs();
                        let detail = format!("no byte came for {silence} s; nothing more of this batch is read");
                        part.answer(self.items.number() + 1, Outcome::Unknown, None, Some(detail));
                        self.over = true;
                    }
                    Read::End => {
                        self.items.end();
                        self.ended = true;
                    }
                    Read::Broken => {
                        self.over = true; // nobody is there to be told
                    }
                },
            }
        }
        if part.is_empty() {
            return None;
        }
        self.take_in(&mut part).await;
        Some(part.lines())
    }

    /// Waits for bytes, if it may.
    async fn read(&mut self, may_wait: bool) -> Read {
        let read = if may_wait {
            let Ok(read) = timeout(BATCH_SILENCE_MAX, self.body.next()).await else { return Read::Silence };
            read
        } else {
            let Some(read) = self.body.next().now_or_never() else { return Read::Nothing };
            read
        };
        match read {
            Some(Ok(bytes)) => {
                self.items.push(bytes);
                Read::More
            }
            Some(Err(_)) => Read::Broken,
            None => Read::End,
        }
    }

    fn take(&mut self, item: Item, part: &mut Part) {
        let (number, text) = match item {
            Item::Text(number, text) => (number, text),
            Item::TooLarge(number) => {
                return part.refuse(number, format!("an item may have at most {EVENT_BYTES_MAX} bytes"));
            }
            Item::Broken(number, why) => {
                self.over = true;
                return part.refuse(number, format!("{why}; nothing more of this batch is read"));
            }
        };
        match self.event(&text) {
            Ok(event) => {
                let toll = Toll::new(self.client, event.audience.community());
                self.held = Some(Held { number, event, bytes: text.len(), toll });
            }
            Err(failure) => part.refuse(number, failure.problem.detail),
        }
    }

    fn event(&self, text: &[u8]) -> Result<Event, Failure> {
        let BatchItem { community, user, event, kind, data, ttl, collapse } = parse_object("the item", text)?;
        let audience = Audience::of(community, user).map_err(|error| Failure::invalid(format!("the item: {error}")))?;
        let id = self.app.event_id(event.as_ref())?;
        let request = EventRequest { event: None, kind, data, ttl, collapse };
        Event::posted(audience, id, self.app.clock.now(), request).map_err(|error| super::events::unwritable(&error))
    }

    async fn take_in(&mut self, part: &mut Part) {
        if part.events.is_empty() {
            return;
        }
        let (numbers, events): (Vec<_>, Vec<_>) = std::mem::take(&mut part.events).into_iter().unzip();
        let ids: Vec<_> = events.iter().map(|event| event.event.clone()).collect();
        let taken = self.app.ingest.accept_all(&self.seat, events, part.bytes).await;
        for ((number, id), taken) in numbers.into_iter().zip(ids).zip(taken) {
            let (result, detail) = match taken {
                Taken::Accepted => (Outcome::Accepted, None),
                Taken::Duplicate => (Outcome::Duplicate, None),
                Taken::Unknown(why) => {
                    self.over = true;
                    let detail =
                        format!("{why}; nothing more of this batch is read. Send this item and those behind it again");
                    (Outcome::Unknown, Some(detail))
                }
            };
            part.answer(number, result, Some(id), detail);
        }
    }
}

/// What came of reading.
enum Read {
    More,
    /// For now.
    Nothing,
    Silence,
    End,
    Broken,
}
