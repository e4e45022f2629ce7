//! Clients whose link dies: they stop reading for two seconds and are then gone without a FIN; they come back from another
//! address, with their cursor.
//!
//! They run on a thread of their own inside of a network namespace.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peal_proto::frame::{ClientFrame, NodeFrame};
use peal_proto::name::SUBPROTOCOL;
use peal_proto::{Cursor, EventId, UserId};
use peal_serve::Clock;
use rand::Rng;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::parts::network::Network;
use crate::witness::audience::Notification;
use crate::witness::oracle::{Oracle, Socket};

/// How long a link stands, in milliseconds.
const STANDS: Range<u64> = 10_000..20_000;

/// Nothing is read for this long before the link dies.
const STALLS: Duration = Duration::from_secs(2);

/// What was cut is let go of this much later: by then its address is gone, and no farewell leaves.
const GONE: Duration = Duration::from_secs(2);

/// Before it is tried again to connect.
const AGAIN: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// As the clients of this repository do it.
const ACK_NOTIFICATIONS_MAX: u32 = 64;
const ACK_INTERVAL: Duration = Duration::from_secs(1);

/// What they did, for the table.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) seen: AtomicU64,
    pub(crate) cuts: AtomicU64,
    /// The longest from connecting again to the first notification, in milliseconds.
    pub(crate) back_millis: AtomicU64,
}

/// All flaky clients.
pub(crate) struct Crowd {
    thread: Option<JoinHandle<Vec<Socket>>>,
    /// Dropped, when the row failed.
    end: Option<watch::Sender<bool>>,
    pub(crate) counts: Arc<Counts>,
}

struct Flaky {
    user: UserId,
    node: SocketAddr,
    network: Arc<Network>,
    oracle: Oracle,
    clock: Clock,
    end: watch::Receiver<bool>,
    counts: Arc<Counts>,
    cursor: Option<Cursor>,
    seen: BTreeSet<EventId>,
    /// In the end: what has to be seen, and until when that is waited for.
    owed: Option<(BTreeSet<EventId>, Duration)>,
    socket: Socket,
}

type Link = WebSocketStream<TcpStream>;

/// Why nothing more is read from a link.
enum Over {
    /// It is time to cut it.
    Stalls,
    /// The node ended it, or it broke.
    Closed,
    /// All that is owed has been seen, or waited for in vain.
    Done,
}

impl Crowd {
    /// `nodes` tells where a user's node listens.
    pub(crate) fn gather(
        network: &Arc<Network>,
        oracle: &Oracle,
        users: &[UserId],
        nodes: impl Fn(UserId) -> SocketAddr,
    ) -> Self {
        let (end, has_ended) = watch::channel(false);
        let counts = Arc::<Counts>::default();
        let flaky: Vec<_> = users
            .iter()
            .map(|&user| Flaky {
                user,
                node: nodes(user),
                network: Arc::clone(network),
                oracle: oracle.clone(),
                clock: Clock::system(),
                end: has_ended.clone(),
                counts: Arc::clone(&counts),
                cursor: None,
                seen: BTreeSet::new(),
                owed: None,
                socket: Socket::of(user),
            })
            .collect();
        let network = Arc::clone(network);
        let thread = std::thread::spawn(move || {
            network.enter();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut clients = JoinSet::new();
                flaky.into_iter().for_each(|flaky| drop(clients.spawn(flaky.run())));
                clients.join_all().await
            })
        });
        Self { thread: Some(thread), end: Some(end), counts }
    }

    /// No more cuts; everybody stays until nothing is owed any more, or in vain.
    pub(crate) async fn listens_to_the_end(mut self) -> Vec<Socket> {
        let thread = self.thread.take().unwrap();
        self.end.as_ref().unwrap().send_replace(true);
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.end.take());
        drop(self.thread.take().map(JoinHandle::join)); // it uses the network until then
    }
}

impl Flaky {
    async fn run(mut self) -> Socket {
        while !self.is_dropped() {
            let address = next_address();
            self.network.add(address);
            let began = self.clock.uptime();
            let Ok(Ok(mut link)) = timeout(CONNECT_TIMEOUT, self.connect(address)).await else {
                self.network.take_away(address);
                sleep(AGAIN).await;
                continue;
            };
            self.socket.connections += 1;
            match self.reads(&mut link, began).await {
                Over::Done => return self.socket,
                Over::Closed => sleep(AGAIN).await,
                Over::Stalls => {
                    sleep(STALLS).await;
                    self.network.take_away(address);
                    self.counts.cuts.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(async move {
                        sleep(GONE).await;
                        drop(link);
                    });
                }
            }
        }
        self.socket
    }

    fn is_dropped(&self) -> bool {
        self.end.has_changed().is_err()
    }

    async fn connect(&self, address: Ipv4Addr) -> Result<Link, tungstenite::Error> {
        let socket = TcpSocket::new_v4()?;
        socket.set_zero_linger()?;
        while socket.bind((address, 0).into()).is_err() {
            sleep(AGAIN).await; // the address is not there yet
        }
        let stream = socket.connect(self.node).await?;
        let cursor = self.cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let mut request = format!("ws://{}/v1/socket?user={}{cursor}", self.node, self.user).into_client_request()?;
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(client_async(request, stream).await?.0)
    }

    async fn reads(&mut self, link: &mut Link, began: Duration) -> Over {
        let stalls_at = self.clock.uptime() + Duration::from_millis(rand::rng().random_range(STANDS));
        let (mut acks, mut began) = (Acks::default(), Some(began));
        loop {
            let now = self.clock.uptime();
            if let Some(over) = self.is_over(now, stalls_at, &acks) {
                return over;
            }
            if let Some(cursor) = acks.due(now) {
                let ack = serde_json::to_string(&ClientFrame::Ack { cursor }).unwrap();
                if link.send(Message::text(ack)).await.is_err() {
                    return Over::Closed;
                }
            }
            let text = match timeout(ACK_INTERVAL, link.next()).await {
                Err(_) | Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(Some(Ok(Message::Text(text)))) => text,
                Ok(_) => return Over::Closed,
            };
            let Some(cursor) = self.frame(&text) else { continue };
            acks.received(cursor);
            if let Some(began) = began.take() {
                let back = self.clock.uptime().saturating_sub(began).as_millis();
                self.counts.back_millis.fetch_max(back.try_into().unwrap(), Ordering::Relaxed);
            }
        }
    }

    fn is_over(&mut self, now: Duration, stalls_at: Duration, acks: &Acks) -> Option<Over> {
        if self.is_dropped() {
            return Some(Over::Done);
        }
        if !*self.end.borrow_and_update() {
            return (now >= stalls_at).then_some(Over::Stalls);
        }
        let (owed, until) = self.owed.get_or_insert_with(|| (self.oracle.owed(self.user), now + END_TIMEOUT));
        let all_seen = owed.is_subset(&self.seen) && acks.received.is_none();
        (all_seen || now > *until).then_some(Over::Done)
    }

    /// The cursor to acknowledge, if the frame was a notification or a gap.
    fn frame(&mut self, text: &str) -> Option<Cursor> {
        let Self { cursor: mine, socket, seen, .. } = self;
        match NodeFrame::parse(text).unwrap() {
            NodeFrame::Hello(_) => None,
            NodeFrame::Gap { from, to, reason } => {
                socket.gap(from, to, reason);
                *mine = (*mine).max(Some(to));
                Some(to)
            }
            NodeFrame::Notification { cursor, notification, .. } => {
                if mine.is_some_and(|seen| cursor <= seen) {
                    socket.repeats += 1;
                } else {
                    let Notification { event } = serde_json::from_str(notification.get()).unwrap();
                    seen.insert(event.clone());
                    socket.seen.push((cursor, event));
                    *mine = Some(cursor);
                    self.counts.seen.fetch_add(1, Ordering::Relaxed);
                }
                Some(cursor)
            }
        }
    }
}

/// When to acknowledge what: at most once a second, or once in 64.
#[derive(Default)]
struct Acks {
    received: Option<Cursor>,
    count: u32,
    not_before: Duration,
}

impl Acks {
    fn received(&mut self, cursor: Cursor) {
        self.received = self.received.max(Some(cursor));
        self.count += 1;
    }

    fn due(&mut self, now: Duration) -> Option<Cursor> {
        let due = self.count >= ACK_NOTIFICATIONS_MAX || now >= self.not_before;
        let cursor = if due { self.received.take()? } else { return None };
        self.count = 0;
        self.not_before = now + ACK_INTERVAL;
        Some(cursor)
    }
}

fn next_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, _, high, low] = (number % 0xfffe + 1).to_be_bytes();
    Ipv4Addr::new(198, 19, high, low)
}
