//! One open and greeted socket: reads what comes, shows what is new, acknowledges, until either side ends it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peal_proto::frame::{GapReason, NodeFrame};
use peal_serve::Clock;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use super::closed::Closed;
use super::progress::{Place, Progress};
use super::socket::{self, Socket};
use super::{Handler, Happening, Stopped};
use crate::limits::SILENT_HEARTBEATS;

/// Why it ended.
pub(super) enum End {
    /// The socket closed, or had to be.
    Closed(Closed),
    /// The client stops.
    Stopped(Stopped),
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Stopped(error.into())
    }
}

/// One socket and what it moves.
pub(super) struct Conversation<'c, 'h> {
    pub(super) socket: Socket,
    pub(super) heartbeat: Duration,
    pub(super) clock: &'c Clock,
    pub(super) acks_held: &'c AtomicBool,
    pub(super) progress: &'c mut Progress,
    pub(super) handler: &'c mut Handler<'h>,
}

impl Conversation<'_, '_> {
    pub(super) async fn run(mut self, stop: &CancellationToken) -> End {
        let end = match self.converse(stop).await {
            Ok(()) => self.farewell().await,
            Err(end) => end,
        };
        match &end {
            End::Closed(closed) if closed.broke_off() => {}
            End::Closed(closed) => socket::close(&mut self.socket, closed.farewell()).await,
            End::Stopped(_) => socket::close(&mut self.socket, socket::NORMAL).await,
        }
        end
    }

    async fn converse(&mut self, stop: &CancellationToken) -> Result<(), End> {
        let silence_max = self.heartbeat * SILENT_HEARTBEATS;
        let mut silent_at = self.clock.uptime() + silence_max;
        loop {
            let now = self.clock.uptime();
            let ack_due = self.progress.ack_due().filter(|_| !self.acks_held.load(Ordering::Relaxed));
            if ack_due.is_some_and(|due| due <= now) {
                self.acknowledge(now).await?;
                continue;
            }
            let until = ack_due.map_or(silent_at, |due| due.min(silent_at));
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                received = timeout(until.saturating_sub(now), self.socket.next()) => received,
            };
            let now = self.clock.uptime();
            match received {
                Ok(message) => {
                    silent_at = now + silence_max;
                    self.received(message, now)?;
                }
                Err(_) if now < silent_at => {} // an ack is due
                Err(_) => return Err(Closed::broken("the node has fallen silent").into()),
            }
        }
    }

    fn received(&mut self, message: Option<Result<Message, tungstenite::Error>>, now: Duration) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => self.frame(&text, now),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            other => Err(Closed::instead_of_text(other).into()),
        }
    }

    fn frame(&mut self, text: &str, now: Duration) -> Result<(), End> {
        let frame = NodeFrame::parse(text).map_err(|error| Closed::breach(format!("not a frame: {error}")))?;
        let (cursor, happening) = match frame {
            NodeFrame::Gap { from, to, reason: reason @ GapReason::Generation } => {
                (self.handler)(Happening::Gap { from, to, reason })?;
                self.progress.another_log(now, to);
                return Ok(());
            }
            NodeFrame::Gap { from, to, reason } => (to, Happening::Gap { from, to, reason }),
            NodeFrame::Notification { cursor, replaced, notification } => {
                (cursor, Happening::Notification { cursor, replaced, notification })
            }
            NodeFrame::Hello(_) => return Err(Closed::breach("a second hello").into()),
        };
        // A repeat is shown to nobody, yet acknowledged, or the node would wait for that.
        if self.progress.place(cursor) == Place::New {
            (self.handler)(happening)?;
        }
        self.progress.seen(now, cursor);
        Ok(())
    }

    async fn acknowledge(&mut self, now: Duration) -> Result<(), End> {
        let Some(ack) = self.progress.take_ack(now) else { return Ok(()) };
        if let Some(seen) = self.progress.cursor() {
            (self.handler)(Happening::Keep(seen))?; // before the ack, which lets the node forget
        }
        let sent = self.socket.send(socket::ack(ack)).await;
        sent.map_err(|error| Closed::from(error).into())
    }

    /// The client stops: what it has seen is acknowledged.
    async fn farewell(&mut self) -> End {
        let now = self.clock.uptime();
        match self.acknowledge(now).await {
            Ok(()) | Err(End::Closed(_)) => End::Stopped(Stopped::Asked),
            Err(End::Stopped(stopped)) => End::Stopped(stopped),
        }
    }
}
