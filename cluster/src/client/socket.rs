//! One WebSocket of `peal.v1` from the client's side: opened, greeted, acknowledged on, closed; and why it ended.
//!
//! What follows from an end is [`super::retry`]'s business.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use peal_proto::frame::{ClientFrame, Hello, NodeFrame};
use peal_proto::name::SUBPROTOCOL;
use peal_proto::{CloseCode, Cursor, ProblemKind, UserId};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::api::{ApiError, Refusal};
use crate::limits::{CONNECT_TIMEOUT, FAREWELL_TIMEOUT, FRAME_BYTES_MAX, SOCKET_READ_BYTES};

/// A client's end of a WebSocket.
pub type Socket = WebSocketStream<TcpStream>;

/// The close code of a client that is done (RFC 6455 §7.4.1).
pub(super) const NORMAL: u16 = 1000;

/// Why there is no socket, or none any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The node closed it.
    #[error("closed with {code}: {reason}")]
    ByNode {
        /// With this code.
        code: u16,
        /// For this reason.
        reason: String,
    },
    /// The connection broke, or was never made.
    #[error("{why}")]
    Broken {
        /// How.
        why: String,
    },
    /// The node said what it must not.
    #[error("{why}")]
    Breach {
        /// What.
        why: String,
    },
    /// The user has another owner.
    #[error("{why}")]
    Elsewhere {
        /// Its URL.
        url: String,
        /// The words of the one that is not.
        why: String,
    },
    /// Not now.
    #[error("{why}")]
    Later {
        /// Not before this.
        asked: Duration,
        /// Why.
        why: String,
    },
    /// Not ever.
    #[error("{why}")]
    Final {
        /// Why.
        why: String,
    },
}

impl Closed {
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self::Broken { why: why.into() }
    }

    pub(super) fn breach(why: impl Into<String>) -> Self {
        Self::Breach { why: why.into() }
    }

    /// What it means that this came where a text was due.
    pub(super) fn instead_of_text(message: Option<Result<Message, tungstenite::Error>>) -> Self {
        match message {
            Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                Self::ByNode { code: code.into(), reason: reason.to_string() }
            }
            Some(Ok(Message::Close(None))) | None => Self::broken("the node closed the connection"),
            Some(Ok(_)) => Self::breach("frames of a node are texts"),
            Some(Err(error)) => Self::broken(error.to_string()),
        }
    }

    /// Whether there is nobody left to say goodbye to.
    pub(super) fn broke_off(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::ByNode { .. })
    }

    /// The code to say goodbye with.
    pub(super) fn farewell(&self) -> u16 {
        if matches!(self, Self::Breach { .. }) { CloseCode::ProtocolError.number() } else { NORMAL }
    }
}

impl From<ApiError> for Closed {
    fn from(error: ApiError) -> Self {
        let why = error.to_string();
        match error {
            ApiError::Problem(refusal) if refusal.is_final() => Self::Final { why },
            ApiError::Problem(refusal) => Self::Later { asked: refusal.retry_after.unwrap_or_default(), why },
            ApiError::NotRunning { .. } | ApiError::Broken { .. } | ApiError::Foreign { .. } => Self::Broken { why },
        }
    }
}

/// Opens a socket at a node, `ws://host:port`, from an address of this machine or any.
///
/// # Errors
/// Why it could not be opened.
pub async fn open(
    node: &str,
    user: UserId,
    cursor: Option<Cursor>,
    source: Option<IpAddr>,
) -> Result<Socket, Closed> {
    let request = request(node, user, cursor)?;
    let stream = match timeout(CONNECT_TIMEOUT, connect(request.uri(), source)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Closed::broken(format!("no connection to {node}: {error}"))),
        Err(_) => return Err(Closed::broken(format!("no connection to {node} in time"))),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(refused(node, &response)),
        Err(error) => Err(Closed::broken(format!("no WebSocket at {node}: {error}"))),
    }
}

fn request(node: &str, user: UserId, cursor: Option<Cursor>) -> Result<Request, Closed> {
    let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let url = format!("{}/v1/socket?user={user}{from}", node.trim_end_matches('/'));
    let invalid = |error: tungstenite::Error| Closed::Final { why: format!("{node} is not the URL of a node: {error}") };
    let mut request = url.into_client_request().map_err(invalid)?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

async fn connect(uri: &Uri, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    let stream = match source {
        None => TcpStream::connect((host, port)).await?,
        Some(source) => {
            let found = tokio::net::lookup_host((host, port)).await?.find(|to| to.is_ipv4() == source.is_ipv4());
            let to = found.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
            let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.bind(SocketAddr::new(source, 0))?;
            socket.connect(to).await?
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A node that answers a socket with HTTP says why in a problem.
fn refused(node: &str, response: &Response) -> Closed {
    let body = response.body().as_deref().unwrap_or_default();
    let refusal = Refusal::read(response.status(), response.headers(), body);
    let why = format!("{node}: {refusal}");
    match &refusal.url {
        Some(url) if refusal.status == ProblemKind::WrongNode.status() => Closed::Elsewhere { url: url.clone(), why },
        Some(_) | None if refusal.is_final() => Closed::Final { why },
        Some(_) | None => Closed::Later { asked: refusal.retry_after.unwrap_or_default(), why },
    }
}

/// Waits for the hello, which has to be the first frame and for this user.
///
/// # Errors
/// What came instead.
pub async fn hello(socket: &mut Socket, user: UserId) -> Result<Hello, Closed> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match NodeFrame::parse(&text) {
                Ok(NodeFrame::Hello(hello)) if hello.user == user => return Ok(hello),
                Ok(_) | Err(_) => return Err(Closed::breach(format!("the node did not greet user {user} first"))),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return Err(Closed::instead_of_text(other)),
        }
    }
}

/// The message that acknowledges everything up to a cursor.
#[must_use]
pub fn ack(cursor: Cursor) -> Message {
    // A struct of strings can't fail to be written.
    Message::text(serde_json::to_string(&ClientFrame::Ack { cursor }).unwrap_or_default())
}

/// Says goodbye and waits a moment for the answer, so that what was sent before is not lost with a reset.
pub async fn close(socket: &mut Socket, code: u16) {
    let farewell = async {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let mut sent = socket.close(Some(frame)).await;
        while sent.is_ok() {
            match socket.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => sent = Err(error),
                None => break,
            }
        }
    };
    if timeout(FAREWELL_TIMEOUT, farewell).await.is_err() {
        tracing::debug!("the node did not answer the close");
    }
}
