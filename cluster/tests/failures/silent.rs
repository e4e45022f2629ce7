//! A client that opens its socket and never reads; at last it comes again, having seen nothing, and wants everything.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use peal_cluster::api::Api;
use peal_proto::UserId;
use peal_proto::frame::NodeFrame;
use peal_proto::name::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::latecomer;
use crate::real::LOOK_INTERVAL;
use crate::witness::oracle::{Oracle, Socket};

/// A node may be refusing sockets for a while.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Silent {
    user: UserId,
    /// Open, and full.
    link: WebSocketStream<TcpStream>,
}

impl Silent {
    /// As soon as the node has it.
    pub(crate) async fn open(user: UserId, node: SocketAddr) -> Self {
        let opens = async {
            loop {
                match try_open(user, node).await {
                    Err(Error::Http(answer)) if answer.status() == 503 => sleep(LOOK_INTERVAL).await,
                    opened => return opened.unwrap(),
                }
            }
        };
        let mut link = timeout(OPEN_TIMEOUT, opens).await.expect("a socket");
        let hello = timeout(HELLO_TIMEOUT, link.next()).await.expect("a hello").unwrap().unwrap();
        let Message::Text(text) = hello else { panic!("the first frame is no text: {hello:?}") };
        assert!(matches!(NodeFrame::parse(&text), Ok(NodeFrame::Hello(_))), "{text}");
        Self { user, link }
    }

    /// On a new socket, having seen nothing so far.
    async fn reads_at_last(self, api: Api, oracle: &Oracle, at_most: Duration) -> Socket {
        drop(self.link);
        latecomer::reads(api, oracle, self.user, at_most).await
    }
}

/// All of them read, at once.
pub(crate) async fn all_read(silent: Vec<Silent>, api: &Api, oracle: &Oracle, at_most: Duration) -> Vec<Socket> {
    join_all(silent.into_iter().map(|silent| silent.reads_at_last(api.clone(), oracle, at_most))).await
}

/// What the node answers when it refuses this user's handshake, if it does.
pub(crate) async fn refusal(user: UserId, node: SocketAddr) -> Option<String> {
    match try_open(user, node).await {
        Err(Error::Http(answer)) => {
            let detail = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Some(format!("{} {detail}", answer.status()))
        }
        opened => {
            opened.unwrap();
            None
        }
    }
}

async fn try_open(user: UserId, node: SocketAddr) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(node).await?;
    let mut request = format!("ws://{node}/v1/socket?user={user}").into_client_request()?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let (link, _) = client_async(request, stream).await?;
    Ok(link)
}
