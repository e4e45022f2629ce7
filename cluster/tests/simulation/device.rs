//! A device of a user: a browser tab, as far as the cluster can tell. It finds its node through the publisher, keeps its
//! cursor across reconnects, shows what is behind the cursor and hides what is not, acknowledges lazily and cumulatively,
//! and comes back after a back-off.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peal_proto::close::Again;
use peal_proto::frame::{ClientFrame, GapReason, NodeFrame};
use peal_proto::name::SUBPROTOCOL;
use peal_proto::{CloseCode, Cursor, UserId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use turmoil::net::TcpStream;

use crate::book::{Book, Closed, Heard, Socket, What};
use crate::tampering::Tamperer;
use crate::wire::{PORT, now, request};

/// The first back-off is drawn from 0 to this; as the browser's client has it.
const BACKOFF_BASE: Duration = Duration::from_millis(500);
/// No back-off is drawn from more than this; shorter than the browser's, so that a run is.
const BACKOFF_CAP: Duration = Duration::from_secs(4);
/// A hello that stood this long counts as success.
const STEADY: Duration = Duration::from_secs(5);
/// From asking for a socket to its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long finding the node may take.
const LOCATE_TIMEOUT: Duration = Duration::from_secs(3);
/// At least this long between two acks.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// So many heartbeats without a byte from the node, and the socket counts as dead: a machine that lost its power closes
/// nothing.
const SILENT_HEARTBEATS: u32 = 3;
/// How long saying goodbye may take, and how long an ack may take to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// What notifications are counted as that were not repeats.
pub(crate) const SEEN: &str = "notifications seen";

/// What the user does with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is off; a socket that was open is closed in order.
    Off,
    /// Its link is cut: the socket is dead, and neither side is told.
    Cut,
    /// It keeps its socket open and reads nothing.
    Stalled,
    /// It is on.
    On,
}

/// What a device is.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    pub(crate) user: UserId,
    /// The most notifications it takes without an ack.
    pub(crate) ack_notifications_max: u32,
    /// For its back-off.
    pub(crate) seed: u64,
}

/// A device at work.
pub(crate) struct Device {
    number: usize,
    habits: Habits,
    mode: watch::Receiver<Mode>,
    book: Book,
    tamperer: Option<Arc<Tamperer>>,
    /// What it has shown; survives everything.
    cursor: Option<Cursor>,
    rng: StdRng,
    backoff: Duration,
    /// Sockets that were cut: neither read nor closed.
    dead: Vec<Link>,
}

type Link = WebSocketStream<TcpStream>;

/// Why a visit to a node ended.
enum End {
    /// The user wants it so.
    Left,
    /// Come again after a back-off.
    Again,
    /// Not to come again.
    Final,
}

/// How long a socket may be silent.
struct Silence {
    most: Duration,
    since: Duration,
}

/// What one socket has not acknowledged.
#[derive(Default)]
struct Acks {
    cursor: Option<Cursor>,
    count: u32,
    due: Option<Duration>,
}

impl Device {
    pub(crate) fn new(
        number: usize,
        habits: Habits,
        mode: watch::Receiver<Mode>,
        book: Book,
        tamperer: Option<Arc<Tamperer>>,
    ) -> Self {
        let rng = StdRng::seed_from_u64(habits.seed);
        let dead = Vec::new();
        Self { number, habits, mode, book, tamperer, cursor: None, rng, backoff: BACKOFF_BASE, dead }
    }

    /// Lives as long as the simulation.
    pub(crate) async fn live(mut self) {
        loop {
            if self.mode.wait_for(|mode| *mode == Mode::On).await.is_err() {
                return;
            }
            match self.visit().await {
                Ok(()) | Err(End::Left) => {}
                Err(End::Again) => {
                    let wait = self.backoff.mul_f64(self.rng.random());
                    self.backoff = (self.backoff * 2).min(BACKOFF_CAP);
                    sleep(wait).await;
                }
                Err(End::Final) => return,
            }
        }
    }

    async fn visit(&mut self) -> Result<(), End> {
        let url = self.locate().await?;
        let (socket, link) = self.open(&url).await?;
        let opened = now();
        let ended = self.converse(socket, link).await;
        if now().saturating_sub(opened) >= STEADY {
            self.backoff = BACKOFF_BASE;
        }
        ended
    }

    fn say(&self, line: impl FnOnce() -> String) {
        self.book.trace(|| format!("device {} of user {}: {}", self.number, self.habits.user, line()));
    }

    async fn locate(&self) -> Result<String, End> {
        let path = format!("/v1/locate?user={}", self.habits.user);
        let answer = request("publisher", "GET", &path, "", LOCATE_TIMEOUT).await;
        let url = answer.ok().filter(|answer| answer.status == 200).and_then(|answer| {
            let located: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
            Some(located["url"].as_str()?.to_owned())
        });
        url.ok_or_else(|| {
            self.say(|| "the publisher did not say where to go".into());
            End::Again
        })
    }

    /// Opens a socket; its number in the book.
    async fn open(&mut self, url: &str) -> Result<(usize, Link), End> {
        let user = self.habits.user;
        let cursor = self.cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let mut request = format!("{url}/v1/socket?user={user}{cursor}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let host = request.uri().host().unwrap().to_owned();
        let number = {
            let sockets = &mut self.book.open().sockets;
            sockets.push(Socket {
                device: self.number,
                user,
                asked: now(),
                presented: self.cursor,
                hello: None,
                alive: Duration::ZERO,
                heard: Vec::new(),
                acks: Vec::new(),
                closed: None,
            });
            sockets.len() - 1
        };
        self.say(|| format!("asks {host} for socket {number}, behind {:?}", self.cursor.map(|c| c.to_string())));
        let opening = async {
            let stream = TcpStream::connect((host.as_str(), PORT)).await?;
            Ok::<_, Error>(client_async(request, stream).await?.0)
        };
        let opened = match timeout(HELLO_TIMEOUT, opening).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".into()),
        };
        opened.map(|link| (number, link)).map_err(|why| self.closed(number, None, &why))
    }

    /// Notes how a socket ended, and says what to do about it.
    fn closed(&self, socket: usize, code: Option<u16>, why: &str) -> End {
        self.say(|| format!("socket {socket} is closed: {code:?} {why}"));
        self.book.open().sockets[socket].closed = Some(Closed { code, why: why.to_owned() });
        let code = code.and_then(CloseCode::from_number);
        self.book.count(code.map_or("sockets lost or left", CloseCode::name));
        let again = code.map_or(Again::Jitter, CloseCode::again);
        if again == Again::Never { End::Final } else { End::Again }
    }

    async fn converse(&mut self, socket: usize, mut link: Link) -> Result<(), End> {
        let mut acks = Acks::default();
        let mut silence = Silence { most: HELLO_TIMEOUT, since: now() };
        loop {
            let due = acks.due.map(|due| due.saturating_sub(now()));
            let silent = (silence.since + silence.most).saturating_sub(now());
            tokio::select! {
                biased;
                changed = self.mode.changed() => {
                    let mode = if changed.is_ok() { *self.mode.borrow_and_update() } else { Mode::Off };
                    match mode {
                        Mode::On => {}
                        Mode::Stalled => self.stall().await,
                        Mode::Off => return self.leave(socket, link, acks).await,
                        Mode::Cut => {
                            self.dead.push(link);
                            self.closed(socket, None, "the link was cut");
                            return Err(End::Left);
                        }
                    }
                }
                () = sleep(due.unwrap_or_default()), if due.is_some() => self.ack(socket, &mut link, &mut acks).await?,
                message = link.next() => {
                    silence.since = now();
                    self.book.open().sockets[socket].alive = now();
                    for text in self.read(socket, message)? {
                        self.hear(socket, &text, &mut acks, &mut silence);
                    }
                }
                () = sleep(silent) => return Err(self.closed(socket, None, "the node is silent")),
            }
        }
    }

    /// Reads nothing until the user wants something else.
    async fn stall(&mut self) {
        self.say(|| "reads nothing".into());
        // An error means that the simulation ends.
        let wanted = self.mode.wait_for(|mode| *mode != Mode::Stalled).await.map(|mode| *mode);
        if wanted.is_ok() {
            self.mode.mark_changed(); // it is for the conversation to act on
        }
    }

    /// The frames in a message: one, unless somebody tampers with it.
    fn read(&self, socket: usize, message: Option<Result<Message, Error>>) -> Result<Vec<String>, End> {
        match message {
            Some(Ok(Message::Text(text))) => {
                let text = text.as_str().to_owned();
                Ok(self
                    .tamperer
                    .as_ref()
                    .map_or_else(|| vec![text.clone()], |tamperer| tamperer.frames(self.number, &text)))
            }
            Some(Ok(Message::Close(frame))) => {
                let (code, why) = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string())).unzip();
                Err(self.closed(socket, code, &why.unwrap_or_default()))
            }
            Some(Ok(Message::Binary(_))) => panic!("a node sent a binary frame"),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Vec::new()),
            Some(Err(error)) => Err(self.closed(socket, None, &error.to_string())),
            None => Err(self.closed(socket, None, "the connection ended")),
        }
    }

    fn hear(&mut self, socket: usize, text: &str, acks: &mut Acks, silence: &mut Silence) {
        let (cursor, what) = match NodeFrame::parse(text).unwrap() {
            NodeFrame::Hello(hello) => {
                assert_eq!(hello.user, self.habits.user, "a hello for somebody else");
                self.say(|| format!("hello at {}", hello.cursor));
                silence.most = Duration::from_millis(hello.heartbeat_ms) * SILENT_HEARTBEATS;
                self.book.open().sockets[socket].hello = Some((now(), hello.cursor));
                return;
            }
            NodeFrame::Notification { cursor, replaced, notification } => {
                if replaced > 0 {
                    self.book.count("notifications that stand for others");
                }
                (cursor, What::Notification(notification.get().into()))
            }
            NodeFrame::Gap { from, to, reason } => (to, What::Gap { from, reason }),
        };
        let shown = self.cursor.is_none_or(|own| cursor > own);
        if shown {
            self.cursor = Some(cursor);
        }
        self.say(|| match &what {
            What::Notification(text) => format!("{} {cursor} {}", if shown { "sees" } else { "hides" }, id(text)),
            What::Gap { from, reason } => format!("is told of a gap from {from} to {cursor}: {}", reason.name()),
        });
        self.book.count(match &what {
            What::Notification(_) if shown => SEEN,
            What::Notification(_) => "repeats hidden",
            What::Gap { reason: GapReason::Quota, .. } => "gaps of quota",
            What::Gap { reason: GapReason::Expired, .. } => "gaps of age",
            What::Gap { reason: GapReason::Generation, .. } => "gaps of generation",
        });
        self.book.open().sockets[socket].heard.push(Heard { at: now(), cursor, shown, what });
        acks.cursor = acks.cursor.max(Some(cursor));
        acks.count += 1;
        let full = acks.count >= self.habits.ack_notifications_max;
        acks.due = if full { Some(now()) } else { acks.due.or_else(|| Some(now() + ACK_INTERVAL)) };
    }

    async fn ack(&self, socket: usize, link: &mut Link, acks: &mut Acks) -> Result<(), End> {
        let Some(cursor) = std::mem::take(acks).cursor else { return Ok(()) };
        let frame = serde_json::to_string(&ClientFrame::Ack { cursor }).unwrap();
        self.say(|| format!("acks {cursor}"));
        self.book.open().sockets[socket].acks.push((now(), cursor));
        match timeout(WRITE_TIMEOUT, link.send(Message::text(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.closed(socket, None, &error.to_string())),
            Err(_) => Err(self.closed(socket, None, "an ack could not be sent")),
        }
    }

    /// Acknowledges what is left, and closes in order.
    async fn leave(&self, socket: usize, mut link: Link, mut acks: Acks) -> Result<(), End> {
        let farewell = async {
            self.ack(socket, &mut link, &mut acks).await?;
            let closed = link.close(None).await;
            while closed.is_ok() && matches!(link.next().await, Some(Ok(_))) {}
            Ok::<_, End>(())
        };
        let in_time = timeout(WRITE_TIMEOUT, farewell).await.is_ok();
        self.closed(socket, None, if in_time { "the user left" } else { "the user left a node that did not answer" });
        Err(End::Left)
    }
}

/// The id in a notification's bytes.
pub(crate) fn id(text: &str) -> &str {
    text.split('"').nth(3).unwrap_or(text)
}
