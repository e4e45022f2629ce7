//! A batch of the community service: what it holds, how it is written, and what each answer means.
//!
//! What was answered `unknown`, or not at all, is sent again with the same ids and in the same order, and nothing else is.

use std::time::Duration;

use peal_proto::{Audience, EventId};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{ANSWER_TIMEOUT, Desk, PUBLISHER, RETRY};
use crate::book::Keep;
use crate::wire::{Answer, Pieces, exchange};

/// How long it waits for the whole answer, besides an [`ANSWER_TIMEOUT`].
const BODY_TIMEOUT: Duration = Duration::from_secs(3);

/// A batch to post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    pub(crate) form: Form,
    /// How many pieces the body is sent in.
    pub(crate) pieces: usize,
    /// How long it waits behind each.
    pub(crate) pause: Duration,
    /// Whether all of it is sent once more when it was answered, as by somebody who starts over.
    pub(crate) again: bool,
    /// How often it is sent at most.
    pub(crate) attempts_max: u32,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Event {
        audience: Audience,
        event: EventId,
        /// Bytes of padding in its data.
        bytes: usize,
        keep: Keep,
    },
    /// A JSON object that is refused.
    Wrong(&'static str),
}

/// How items stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Lines,
    Array,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Array => "application/json",
        }
    }

    fn body(self, items: &[&Item]) -> String {
        let items: Vec<_> = items.iter().map(|item| item.text()).collect();
        match self {
            Self::Lines => items.join("\n") + "\n",
            Self::Array => format!("[{}]", items.join(",")),
        }
    }
}

impl Item {
    fn text(&self) -> String {
        match self {
            Self::Event { audience, event, bytes, keep } => {
                let mut item =
                    json!({"event": event, "kind": "community.posted", "data": {"padding": "x".repeat(*bytes)}});
                match audience {
                    Audience::Community(community) => item["community"] = json!(community),
                    Audience::User(user) => item["user"] = json!(user),
                }
                keep.write(&mut item);
                item.to_string()
            }
            Self::Wrong(text) => (*text).to_owned(),
        }
    }
}

/// What was said of the items of one attempt.
struct Hearing<'a> {
    desk: &'a Desk,
    items: &'a [&'a Item],
    /// Which need not be sent again.
    done: Vec<bool>,
    /// How many were answered, in whichever way: they are in order.
    answered: usize,
}

impl Hearing<'_> {
    fn hear(&mut self, line: &str) {
        self.desk.book.trace(|| format!("service: hears {}", line.trim_end()));
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["item"], self.answered + 1, "another item was to be answered: {line}");
        let item = self.items[self.answered];
        let done = match (item, line["result"].as_str().unwrap()) {
            (Item::Event { event, .. }, result @ ("accepted" | "duplicate" | "unknown")) => {
                assert_eq!(line["event"], event.as_str(), "another event was to be answered");
                let durable = result != "unknown";
                if durable {
                    self.desk.note_accepted(event);
                }
                self.desk.book.count(if durable { "items accepted" } else { "items unknown" });
                durable
            }
            (Item::Wrong(_), "refused") => true,
            (item, result) => panic!("{item:?} was answered with {result}: {line}"),
        };
        self.done[self.answered] = done;
        self.answered += 1;
    }

    /// A batch that is read to its end has an answer for each.
    fn end(&self, answer: &Result<Answer, String>) {
        let Ok(answer) = answer else { return };
        if answer.status == 200 {
            let is_read = self.answered == self.items.len();
            assert!(
                is_read || !self.done[..self.answered].iter().all(|done| *done),
                "items have no answer: {answer:?}"
            );
        } else {
            assert!(answer.status >= 500, "a batch was refused: {answer:?}");
        }
    }
}

impl Desk {
    pub(super) async fn post_batch(&self, batch: &Batch) {
        let mut events = Vec::new();
        for item in &batch.items {
            let Item::Event { audience, event, keep, .. } = item else { continue };
            let before =
                events.iter().rev().find(|(other, _)| other == audience).map(|(_, event): &(_, EventId)| event.clone());
            self.note_sent(event, *audience, None, *keep, before.filter(|before| before != event));
            events.push((*audience, event.clone()));
        }
        for _ in 0..=u32::from(batch.again) {
            self.send_batch(batch).await;
        }
        let accepted = |event: &EventId| self.book.open().posts[event].accepted.is_some();
        self.watch(events.iter().map(|(_, event)| event).filter(|event| accepted(event)).collect()).await;
    }

    async fn send_batch(&self, batch: &Batch) {
        let mut items: Vec<_> = batch.items.iter().collect();
        for attempt in 0..batch.attempts_max {
            if attempt > 0 {
                sleep(RETRY).await;
            }
            let body = batch.form.body(&items);
            let (content_type, bytes) = (batch.form.content_type(), body.len().div_ceil(batch.pieces));
            let pieces = Pieces { content_type, body: &body, bytes, pause: batch.pause };
            let mut hearing = Hearing { desk: self, items: &items, done: vec![false; items.len()], answered: 0 };
            let patience = ANSWER_TIMEOUT + BODY_TIMEOUT;
            let connection = self.connections.acquire().await;
            let answer = exchange(PUBLISHER, "/v1/events:batch", pieces, patience, |line| hearing.hear(line)).await;
            drop(connection);
            self.book.trace(|| {
                format!("service: {} of {} items answered: {}", hearing.answered, items.len(), super::outcome(&answer))
            });
            hearing.end(&answer);
            let done = hearing.done;
            let left = items.iter().zip(done).filter(|(_, done)| !done).map(|(item, _)| *item).collect();
            items = left;
            if items.is_empty() {
                return;
            }
        }
    }
}
