//! One WebSocket of `peal.v1` from the client's side: opened, greeted, acknowledged on, closed.
//!
//! What its end means is [`super::closed`]'s business.

use futures_util::StreamExt;
use peal_proto::frame::{ClientFrame, Hello, NodeFrame};
use peal_proto::name::SUBPROTOCOL;
use peal_proto::{Cursor, ProblemKind, UserId};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::closed::Closed;
use crate::api::Refusal;
use crate::limits::{CONNECT_TIMEOUT, FAREWELL_TIMEOUT, FRAME_BYTES_MAX, SOCKET_READ_BYTES};

/// A client's end of a WebSocket.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// The close code of a client that is done (RFC 6455 §7.4.1).
pub(super) const NORMAL: u16 = 1000;

/// Opens a socket at a node, `ws://host:port`.
///
/// # Errors
/// Why it could not be opened.
pub(super) async fn open(node: &str, user: UserId, cursor: Option<Cursor>) -> Result<Socket, Closed> {
    let request = request(node, user, cursor)?;
    let stream = match timeout(CONNECT_TIMEOUT, connect(request.uri())).await {
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
    let invalid =
        |error: tungstenite::Error| Closed::Final { why: format!("{node} is not the URL of a node: {error}") };
    let mut request = url.into_client_request().map_err(invalid)?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

async fn connect(uri: &Uri) -> std::io::Result<TcpStream> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
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
pub(super) async fn hello(socket: &mut Socket, user: UserId) -> Result<Hello, Closed> {
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
pub(super) fn ack(cursor: Cursor) -> Message {
    // A struct of strings can't fail to be written.
    Message::text(serde_json::to_string(&ClientFrame::Ack { cursor }).unwrap_or_default())
}

/// Says goodbye and waits a moment for the answer, so that what was sent before is not lost with a reset.
pub(super) async fn close(socket: &mut Socket, code: u16) {
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
