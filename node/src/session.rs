//! A session: one open socket, from hello to close. One task reads and writes it.
//!
//! Knows frames and the WebSocket. What to send, and when, is the partition's business, which puts it into the session's
//! [`mailbox`]; the session reports what the client acknowledged, what was written and that it closed. It waits for its
//! partition; its partition never waits for it.

mod mailbox;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::BytesMut;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use metrics::counter;
use peal_proto::frame::{ClientFrame, Hello, notification_bytes, write_gap, write_hello, write_notification};
use peal_proto::limits::CLOSE_REASON_BYTES_MAX;
use peal_proto::{CloseCode, Cursor, UserId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::core::{Frame, Input, SessionId};
use crate::handshakes::Handshake;
use crate::limits::{CLOSE_TIMEOUT, HELLO_TIMEOUT};
pub(crate) use mailbox::{Batch, Mail, Mailbox};

/// What a session tells its partition.
#[derive(Debug)]
pub(crate) enum Report {
    /// A socket was opened; its mail goes to the mailbox.
    Opened { session: SessionId, user: UserId, cursor: Option<Cursor>, mailbox: Arc<Mailbox> },
    /// Anything else.
    Input(Input),
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The client closed, or its connection broke.
    Gone,
    /// The client sent nothing, not even a pong, for a whole heartbeat.
    Silent,
    /// We close, with this code, for this reason.
    Close(CloseCode, String),
}

/// One open socket.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// In a box, as futures keep a copy of what is moved through them: a fifth of what an idle socket takes.
    pub(crate) socket: Box<WebSocket>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) reports: mpsc::Sender<Report>,
    /// The hello, but for the cursor, which the partition gives.
    pub(crate) hello: Hello,
    /// A report is due each time this many bytes were written.
    pub(crate) report_bytes: usize,
    /// Bytes of notifications that were written since the last report.
    pub(crate) unreported: usize,
}

/// What happens to a session.
enum Event {
    Mail(Mail),
    Received(Option<Result<Message, axum::Error>>),
}

impl Session {
    /// Opens the session at its partition, and runs it to its end. The handshake is over when it is greeted.
    pub(crate) async fn run(mut self, cursor: Option<Cursor>, handshake: Handshake) {
        let (session, mailbox) = (self.id, Arc::clone(&self.mailbox));
        let opened = Report::Opened { session, user: self.hello.user, cursor, mailbox };
        let greeted = timeout(HELLO_TIMEOUT, self.greet(opened)).await;
        drop(handshake);
        let end = match greeted {
            Ok(Ok(())) => self.converse().await,
            Ok(Err(end)) => end,
            Err(_) => End::Close(CloseCode::HelloTimeout, "this node is not ready for this user; try again".into()),
        };
        // The partition is told first: the close may take the client a while.
        if self.reports.send(Report::Input(Input::Closed { session })).await.is_err() {
            tracing::debug!(session = session.get(), "the partition left before its session");
        }
        self.close(end).await;
    }

    async fn greet(&mut self, opened: Report) -> Result<(), End> {
        self.report(opened).await?;
        match poll_fn(|context| self.mailbox.poll(context)).await {
            Mail::Frames(batch) => self.write(batch).await,
            Mail::Close(code, reason) => Err(End::Close(code, reason)),
            Mail::Ping => Ok(()), // a heartbeat is longer than the time-out of hello; harmless if it is not
        }
    }

    async fn converse(&mut self) -> End {
        let mut silent = false;
        loop {
            let outcome = match poll_fn(|context| self.poll_event(context)).await {
                Event::Received(message) => {
                    silent = false;
                    self.received(message).await
                }
                Event::Mail(Mail::Frames(batch)) => self.write(batch).await,
                Event::Mail(Mail::Ping) if silent => Err(End::Silent),
                Event::Mail(Mail::Ping) => {
                    silent = true;
                    self.send(Message::Ping(bytes::Bytes::new())).await
                }
                Event::Mail(Mail::Close(code, reason)) => Err(End::Close(code, reason)),
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(context) {
            return Poll::Ready(Event::Received(message));
        }
        self.mailbox.poll(context).map(Event::Mail)
    }

    async fn received(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let refuse = |reason: String| Err(End::Close(CloseCode::ProtocolError, reason));
        match message {
            Some(Ok(Message::Text(text))) => match ClientFrame::parse(&text) {
                Ok(ClientFrame::Ack { cursor }) => {
                    self.report(Report::Input(Input::Acked { session: self.id, cursor })).await
                }
                Err(error) => refuse(format!("not a frame of peal.v1: {error}")),
            },
            Some(Ok(Message::Binary(bytes))) => {
                refuse(format!("frames are JSON text; this one was binary, of {} bytes", bytes.len()))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) => match fault(&error) {
                Some(reason) => refuse(reason),
                None => Err(End::Gone),
            },
        }
    }

    /// Writes frames, waits until the network took them, and reports it when a report is due.
    async fn write(&mut self, batch: Batch) -> Result<(), End> {
        let size = |frame: &Frame| match frame {
            Frame::Notification { value, .. } => notification_bytes(value.len()),
            Frame::Hello { .. } | Frame::Gap { .. } => 0,
        };
        let mut buffer = BytesMut::with_capacity(batch.iter().map(size).sum());
        for frame in batch {
            match frame {
                Frame::Hello { cursor } => write_hello(&mut buffer, &Hello { cursor, ..self.hello }),
                Frame::Notification { cursor, replaced, value } => {
                    self.unreported += value.len();
                    write_notification(&mut buffer, cursor, replaced, &value);
                }
                Frame::Gap { from, to, reason } => write_gap(&mut buffer, from, to, reason),
            }
            match Utf8Bytes::try_from(buffer.split().freeze()) {
                Ok(text) => self.feed(Message::Text(text)).await?,
                Err(error) => tracing::error!(%error, "a record that is not UTF-8 came past its partition"),
            }
        }
        self.flush().await?;
        if self.unreported < self.report_bytes {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.unreported);
        self.report(Report::Input(Input::Written { session: self.id, bytes })).await
    }

    async fn report(&mut self, report: Report) -> Result<(), End> {
        let gone = |_| End::Close(CloseCode::GoingAway, "the node is leaving; reconnect".into());
        self.reports.send(report).await.map_err(gone)
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        self.feed(message).await?;
        self.flush().await
    }

    async fn feed(&mut self, message: Message) -> Result<(), End> {
        self.while_writing(|socket, context| socket.poll_ready(context)).await?;
        Pin::new(&mut self.socket).start_send(message).map_err(|_| End::Gone)
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.while_writing(|socket, context| socket.poll_flush(context)).await
    }

    /// Waits for the network; gives up when the partition says close, or at the second ping of one wait.
    async fn while_writing(
        &mut self,
        step: impl Fn(Pin<&mut WebSocket>, &mut Context<'_>) -> Poll<Result<(), axum::Error>>,
    ) -> Result<(), End> {
        let Self { socket, mailbox, .. } = self;
        let mut pings = 0;
        poll_fn(|context| {
            if let Poll::Ready(written) = step(Pin::new(socket), context) {
                return Poll::Ready(written.map_err(|_| End::Gone));
            }
            while let Poll::Ready(mail) = mailbox.poll_only_signals(context) {
                match mail {
                    Mail::Close(code, reason) => return Poll::Ready(Err(End::Close(code, reason))),
                    Mail::Ping if pings > 0 => return Poll::Ready(Err(End::Silent)),
                    Mail::Ping => pings += 1,
                    Mail::Frames(_) => {} // not asked for
                }
            }
            Poll::Pending
        })
        .await
    }

    async fn close(mut self, end: End) {
        let (name, frame) = match end {
            End::Gone => ("gone", None),
            End::Silent => ("silent", None),
            End::Close(code, reason) => {
                tracing::debug!(session = self.id.get(), %code, reason, "closing a socket");
                let reason = cut(&reason).into();
                (code.name(), Some(CloseFrame { code: code.number(), reason }))
            }
        };
        counter!("peal_node_sessions_closed_total", "reason" => name).increment(1);
        let farewell = async {
            let sent = match frame {
                Some(frame) => self.socket.send(Message::Close(Some(frame))).await,
                None => self.socket.flush().await, // the answer to the client's close
            };
            // What the client still sends is read, or the kernel would reset the connection under the close frame.
            while sent.is_ok() && matches!(self.socket.next().await, Some(Ok(_))) {}
        };
        if timeout(CLOSE_TIMEOUT, farewell).await.is_err() {
            tracing::debug!(session = self.id.get(), "the client did not answer the close");
        }
    }
}

/// What the client did wrong, if it was the client; `None` when the connection broke.
fn fault(error: &axum::Error) -> Option<String> {
    use std::error::Error;
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let broken = cause.contains("IO error") || cause.contains("Connection") || cause.contains("without closing");
    (!broken).then_some(cause)
}

/// The most of a reason that a close frame takes.
pub(crate) fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(100);
        assert_eq!(cut(&long).len(), 122);
    }
}
