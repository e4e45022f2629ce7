//! A batch under way: its items go up while the answers come down.

use std::convert::Infallible;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Api, ApiError, ItemAnswer, Refusal, error};
use crate::limits::{ANSWER_BYTES_MAX, REQUEST_TIMEOUT};

/// The answers of a batch, in the order of its items.
#[derive(Debug)]
pub struct Answers {
    api: Api,
    body: Incoming,
    /// What came of lines that are not read yet.
    text: BytesMut,
}

impl Api {
    /// Begins a batch, whose body is what comes from `items`, and ends when that does. The answers have to be read while items
    /// are sent: the publisher reads no more of a batch until the answers are gone.
    ///
    /// # Errors
    /// [`ApiError`]; nothing was sent.
    pub async fn batch(&self, mut items: mpsc::Receiver<Bytes>) -> Result<Answers, ApiError> {
        let items = poll_fn(move |cx| items.poll_recv(cx)).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        let body = UnsyncBoxBody::new(StreamBody::new(items));
        let request = Request::builder().method(Method::POST).uri(self.base.join("/v1/events:batch"));
        let request = request.header(CONTENT_TYPE, "application/x-ndjson");
        let request = request.body(body).map_err(|error| self.broken(error))?;
        let answered = timeout(REQUEST_TIMEOUT, self.respond(request)).await;
        let late = || format!("no answer in {} s", REQUEST_TIMEOUT.as_secs());
        let (head, body) = answered.unwrap_or_else(|_| Err(self.broken(late())))?.into_parts();
        if head.status.is_success() {
            return Ok(Answers { api: self.clone(), body, text: BytesMut::new() });
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| self.broken(error))?;
        Err(ApiError::Problem(Refusal::read(head.status, &head.headers, &body.to_bytes())))
    }
}

impl Answers {
    /// The next, `None` when the publisher has said all it will. Cancel safe.
    ///
    /// # Errors
    /// [`ApiError`]: what has no answer may have been accepted or not.
    pub async fn next(&mut self) -> Result<Option<ItemAnswer>, ApiError> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line = self.text.split_to(end);
                self.text.advance(1);
                return serde_json::from_slice(&line).map(Some).map_err(|error| self.foreign(error));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.text.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => return Err(self.broken(error::root(&error))),
                None if self.text.is_empty() => return Ok(None),
                None => return Err(self.broken("the last line is cut off")),
            }
            if self.text.len() > ANSWER_BYTES_MAX && !self.text.contains(&b'\n') {
                return Err(self.broken("a line of the answer has no end"));
            }
        }
    }

    /// The answers are not what they should be.
    #[must_use]
    pub fn foreign(&self, what: impl ToString) -> ApiError {
        ApiError::Foreign { url: self.api.base.clone(), what: what.to_string() }
    }

    /// The answers have ended in a way they should not.
    #[must_use]
    pub fn broken(&self, why: impl ToString) -> ApiError {
        self.api.broken(why)
    }
}
