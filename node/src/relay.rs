//! Relaying: a socket of a user of another node is carried to its owner, for sites whose nodes clients reach by one name only.
//!
//! The handshake is made again at the owner and its answer handed on; from then on bytes go both ways unread, and neither side is
//! read faster than the other takes them. What was relayed once is not relayed again, so nodes whose maps disagree make no circle.
//! Whether a socket is to be relayed is [`crate::http`]'s business.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use metrics::{Gauge, gauge};
use peal_proto::NodeId;
use peal_serve::Failure;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_buf, split};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::limits::{
    CLOSE_TIMEOUT, RELAY_DOWN_BYTES, RELAY_OPEN_TIMEOUT, RELAY_RETRY_AFTER, RELAY_UNREAD_BYTES, RELAY_UP_BYTES,
    RELAYED_SOCKETS_MAX,
};

/// Names the node that relays a handshake.
const RELAYED_BY: HeaderName = HeaderName::from_static("peal-relayed-by");

/// Carries sockets to other nodes.
pub(crate) struct Relay {
    /// What clients are told instead of the URLs of nodes.
    pub(crate) url: String,
    node: NodeId,
    seats: Arc<Semaphore>,
    sockets: Gauge,
    stop: CancellationToken,
}

/// A socket to be carried.
pub(crate) struct Relayed<'a> {
    pub(crate) owner: NodeId,
    pub(crate) url: &'a str,
    /// The client's handshake.
    pub(crate) parts: Parts,
}

/// Why a node can't be reached for a socket.
#[derive(Debug, thiserror::Error)]
enum Unreachable {
    #[error("{0} is no address that nodes could connect to")]
    Address(String),
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error("its answer can't be read: {0}")]
    Answer(#[from] hyper::Error),
    #[error("no answer in {} s", RELAY_OPEN_TIMEOUT.as_secs())]
    Silent,
}

/// Whether a handshake was relayed before.
pub(crate) fn is_relayed(parts: &Parts) -> bool {
    parts.headers.contains_key(RELAYED_BY)
}

impl Relay {
    pub(crate) fn new(node: NodeId, url: String) -> Self {
        let sockets = gauge!("peal_node_relayed_sockets", "node" => node.to_string());
        Self {
            url,
            node,
            seats: Arc::new(Semaphore::new(RELAYED_SOCKETS_MAX)),
            sockets,
            stop: CancellationToken::new(),
        }
    }

    /// Breaks off all that is carried; clients come back elsewhere.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Opens the socket at its owner, and has it carried if that agrees. What the owner answers is the answer.
    pub(crate) async fn carry(&self, relayed: Relayed<'_>) -> Response<Body> {
        let Relayed { owner, url, mut parts } = relayed;
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else {
            let detail = format!("node {} relays {RELAYED_SOCKETS_MAX} sockets, and no more", self.node);
            return refused("full", Failure::unavailable(detail, RELAY_RETRY_AFTER));
        };
        let ours = parts.extensions.remove::<OnUpgrade>();
        let opened = timeout(RELAY_OPEN_TIMEOUT, self.open(url, &parts)).await.unwrap_or(Err(Unreachable::Silent));
        let mut answer = match opened {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!(owner = owner.get(), url, %why, "the owner of a relayed socket can't be reached");
                let detail = format!("node {owner}, whose user it is, can't be reached; try again");
                return refused("unreachable", Failure::unavailable(detail, RELAY_RETRY_AFTER));
            }
        };
        if answer.status() == StatusCode::MISDIRECTED_REQUEST {
            let detail = format!("the nodes {} and {owner} do not agree yet whose user it is; try again", self.node);
            return refused("disagreement", Failure::unavailable(detail, RELAY_RETRY_AFTER));
        }
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(ours)) = (answer.status(), ours) {
            let theirs = hyper::upgrade::on(&mut answer);
            tokio::spawn(carried(ours, theirs, Seat::new(seat, &self.sockets), self.stop.clone()));
        } else {
            answer.headers_mut().remove(CONNECTION);
        }
        answer.map(Body::new)
    }

    /// The client's handshake once more, at the owner.
    async fn open(&self, url: &str, parts: &Parts) -> Result<Response<hyper::body::Incoming>, Unreachable> {
        let address = || Unreachable::Address(url.to_owned());
        let authority = url.strip_prefix("ws://").and_then(|rest| rest.parse::<Uri>().ok()).ok_or_else(address)?;
        let (host, port) = (authority.host().ok_or_else(address)?, authority.port_u16().unwrap_or(80));
        let stream = connect(host.trim_matches(['[', ']']), port).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to another node broke off");
            }
        });
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().map_err(|_| address())?;
        request.headers_mut().clone_from(&parts.headers);
        request.headers_mut().insert(HOST, HeaderValue::from_str(&format!("{host}:{port}")).map_err(|_| address())?);
        request.headers_mut().insert(RELAYED_BY, HeaderValue::from(self.node.get()));
        Ok(sender.send_request(request).await?)
    }
}

fn refused(reason: &'static str, failure: Failure) -> Response<Body> {
    metrics::counter!("peal_node_relays_refused_total", "reason" => reason).increment(1);
    failure.into_response()
}

/// A connection whose kernel takes little ahead of what its client takes.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let address = lookup_host((host, port)).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(RELAY_UNREAD_BYTES)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// A socket's place among those that are relayed.
struct Seat {
    _permit: OwnedSemaphorePermit,
    sockets: Gauge,
}

impl Seat {
    fn new(permit: OwnedSemaphorePermit, sockets: &Gauge) -> Self {
        sockets.increment(1);
        Self { _permit: permit, sockets: sockets.clone() }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sockets.decrement(1);
    }
}

/// Carries bytes until both sides have ended, or one has and the other does not follow.
async fn carried(ours: OnUpgrade, theirs: OnUpgrade, seat: Seat, stop: CancellationToken) {
    let (ours, theirs) = match tokio::try_join!(ours, theirs) {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a relayed socket was gone before it was open"),
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = both_ways(ours, theirs) => {}
    }
    drop(seat);
}

async fn both_ways(client: Upgraded, owner: Upgraded) {
    let ((from_client, to_client), (from_owner, to_owner)) = (split(TokioIo::new(client)), split(TokioIo::new(owner)));
    let mut up = pin!(one_way(from_client, to_owner, RELAY_UP_BYTES));
    let mut down = pin!(one_way(from_owner, to_client, RELAY_DOWN_BYTES));
    // Who has gone without a word ends nothing by itself; the other side is given the time of a close.
    let followed: Result<(), _> = tokio::select! {
        () = &mut up => timeout(CLOSING, down).await,
        () = &mut down => timeout(CLOSING, up).await,
    };
    tracing::trace!(?followed, "a relayed socket is closed");
}

/// An owner waits so long for the answer to its close, and then a little for the network.
const CLOSING: Duration = CLOSE_TIMEOUT.saturating_mul(2);

/// Carries bytes from one to the other, as fast as that takes them, and then its end.
async fn one_way(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, buffer_bytes: usize) {
    let mut from = BufReader::with_capacity(buffer_bytes, from);
    let copied = copy_buf(&mut from, &mut to).await;
    let ended = to.shutdown().await;
    tracing::trace!(?copied, ?ended, "one way of a relayed socket has ended");
}
