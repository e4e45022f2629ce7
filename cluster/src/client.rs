//! A client in Rust: one user's notifications, once and in order, for as long as it runs.
//!
//! Locates, connects, reads, and all over again when the socket closes. One socket's reading and acknowledging is
//! [`conversation`]'s business, what counts as seen [`progress`]'s, whether and when to connect again [`retry`]'s. The
//! terminal client, the bench and the tests are its users; showing and keeping anything is theirs.

mod closed;
mod conversation;
mod progress;
mod retry;
mod socket;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use peal_proto::frame::{GapReason, Hello};
use peal_proto::{Cursor, UserId};
use peal_serve::Clock;
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::closed::Closed;
use self::conversation::{Conversation, End};
use self::progress::Progress;
use self::retry::{Next, Retry};
use self::socket::Socket;
use crate::api::Api;
use crate::limits::{BACKOFF_CAP, HELLO_TIMEOUT};

/// What a client tells whoever runs it.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A socket is open and greeted.
    Open {
        /// At this URL.
        url: &'a str,
        /// The greeting.
        hello: Hello,
    },
    /// A notification that was not seen before. It counts as seen once the handler has returned.
    Notification {
        /// Where the client is behind it.
        cursor: Cursor,
        /// How many older ones of its collapse key it stands for.
        replaced: u32,
        /// The record's bytes.
        notification: &'a RawValue,
    },
    /// What the cluster could not keep.
    Gap {
        /// Where the client was.
        from: Cursor,
        /// Where it is now.
        to: Cursor,
        /// Why.
        reason: GapReason,
    },
    /// An ack is about to let the node forget what lies before this cursor: what has to outlive this process is kept now.
    Keep(Cursor),
    /// There is no socket; the next is tried after the wait.
    Waiting {
        /// How long.
        wait: Duration,
        /// Why.
        why: &'a str,
    },
}

/// Takes what happens. After an error the client stops, and what the handler was given does not count as seen.
pub type Handler<'h> = dyn FnMut(Happening<'_>) -> io::Result<()> + Send + 'h;

/// Why a client stopped for good.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// It was asked to.
    #[error("stopped")]
    Asked,
    /// The cluster will not have this client; a person has to change something.
    #[error("{0}")]
    Refused(String),
    /// The handler failed.
    #[error(transparent)]
    Handler(#[from] io::Error),
}

/// One user's client.
#[derive(Debug)]
pub struct Client {
    api: Api,
    user: UserId,
    /// Where the first socket is opened, if that is known.
    first: Option<String>,
    clock: Clock,
    progress: Progress,
    acks_held: Arc<AtomicBool>,
    retry: Retry,
}

impl Client {
    /// A client of the cluster behind `api` that has seen everything up to `cursor`.
    #[must_use]
    pub fn new(api: Api, user: UserId, cursor: Option<Cursor>, clock: Clock) -> Self {
        let (progress, retry) = (Progress::new(cursor), Retry::new(BACKOFF_CAP));
        Self { api, user, first: None, clock, progress, acks_held: Arc::default(), retry }
    }

    /// The same, opening its first socket at this node without asking who owns the user.
    #[must_use]
    pub fn beginning_at(self, node: String) -> Self {
        Self { first: Some(node), ..self }
    }

    /// The same, never waiting for longer than this before it connects again, unless the cluster asks for more. For tests
    /// and measurements: many clients that all do it are a herd.
    #[must_use]
    pub fn waiting_at_most(self, cap: Duration) -> Self {
        Self { retry: Retry::new(cap), ..self }
    }

    /// The same, acknowledging nothing while `held` says so. For measurements: beyond the node's time-out for an ack,
    /// everything is parked.
    #[must_use]
    pub fn acknowledging_unless(self, held: Arc<AtomicBool>) -> Self {
        Self { acks_held: held, ..self }
    }

    /// How far it has seen.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.progress.cursor()
    }

    /// How many notifications came again and were hidden.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.progress.repeats()
    }

    /// Runs until `stop`, or until connecting again makes no sense. Dropping the future is a crash of the client: what its
    /// handler returned from is seen, though perhaps not acknowledged, and [`Client::cursor`] says so.
    pub async fn run(&mut self, stop: &CancellationToken, handler: &mut Handler<'_>) -> Stopped {
        let mut moved = self.first.take();
        loop {
            let closed = match self.one_socket(moved.take(), stop, handler).await {
                End::Stopped(stopped) => return stopped,
                End::Closed(closed) => closed,
            };
            match self.retry.next(closed, rand::random()) {
                Next::Never { why } => return Stopped::Refused(why),
                Next::At { url } => moved = Some(url),
                Next::After { wait, why } => {
                    if let Err(error) = handler(Happening::Waiting { wait, why: &why }) {
                        return error.into();
                    }
                    if timeout(wait, stop.cancelled()).await.is_ok() {
                        return Stopped::Asked;
                    }
                }
            }
        }
    }

    async fn one_socket(&mut self, moved: Option<String>, stop: &CancellationToken, handler: &mut Handler<'_>) -> End {
        let greeted = tokio::select! {
            biased;
            () = stop.cancelled() => return End::Stopped(Stopped::Asked),
            greeted = timeout(HELLO_TIMEOUT, self.greeted(moved)) => greeted,
        };
        let (socket, url, hello) = match greeted {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(closed)) => return End::Closed(closed),
            Err(_) => return End::Closed(Closed::broken("no hello in time")),
        };
        if let Err(error) = handler(Happening::Open { url: &url, hello }) {
            return error.into();
        }
        let (clock, acks_held, since) = (&self.clock, &self.acks_held, self.clock.uptime());
        let heartbeat = Duration::from_millis(hello.heartbeat_ms);
        let conversation = Conversation { socket, heartbeat, clock, acks_held, progress: &mut self.progress, handler };
        let end = conversation.run(stop).await;
        self.progress.socket_ended();
        self.retry.stood(self.clock.uptime().saturating_sub(since));
        end
    }

    /// Opens a socket, at the owner unless it is known, and waits for its hello.
    async fn greeted(&self, moved: Option<String>) -> Result<(Socket, String, Hello), Closed> {
        let url = match moved {
            Some(url) => url,
            None => self.api.locate(self.user).await?.url,
        };
        let mut socket = socket::open(&url, self.user, self.cursor()).await?;
        let hello = socket::hello(&mut socket, self.user).await?;
        Ok((socket, url, hello))
    }
}
