//! A client that opens its socket and never reads; at last it comes again, having seen nothing, and wants everything.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use peal_cluster::api::Api;
use peal_proto::UserId;
use peal_proto::frame::NodeFrame;
use peal_proto::name::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::latecomer;
use crate::witness::oracle::{Oracle, Socket};

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(45);

pub(crate) struct Silent {
    user: UserId,
    /// Open, and full.
    link: WebSocketStream<TcpStream>,
}

impl Silent {
    pub(crate) async fn open(user: UserId, node: SocketAddr) -> Self {
        let stream = TcpStream::connect(node).await.unwrap();
        let mut request = format!("ws://{node}/v1/socket?user={user}").into_client_request().unwrap();
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (mut link, _) = client_async(request, stream).await.unwrap();
        let hello = timeout(HELLO_TIMEOUT, link.next()).await.expect("a hello").unwrap().unwrap();
        let Message::Text(text) = hello else { panic!("the first frame is no text: {hello:?}") };
        assert!(matches!(NodeFrame::parse(&text), Ok(NodeFrame::Hello(_))), "{text}");
        Self { user, link }
    }

    /// On a new socket, having seen nothing so far.
    pub(crate) async fn reads_at_last(self, api: Api, oracle: Oracle) -> Socket {
        drop(self.link);
        latecomer::reads(api, &oracle, self.user, END_TIMEOUT).await
    }
}
