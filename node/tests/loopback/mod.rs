//! A real node on loopback, and a client that speaks to it.

#![allow(dead_code, reason = "each test uses its part of it")]
#![expect(clippy::wildcard_enum_match_arm, reason = "anything but what is expected fails the test")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::frame::NodeFrame;
use peal_proto::{CloseCode, NodeId, Partition, ShardMap, Topic};
use peal_serve::{Clock, ConnectionLimits};
use peal_store::Stores;
use peal_store::inbox::Retention;
use peal_store::leases::{Holder, Seat};
use peal_store::log::{Headers, NewRecord};
use peal_store::simulated::Simulation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u32 = 4;

/// Node 0 of two, which owns the even users.
pub(crate) struct Bench {
    pub(crate) services: Simulation,
    pub(crate) address: String,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

pub(crate) async fn node(limits: Limits) -> Bench {
    peal_serve::telemetry::install_metrics();
    start(Simulation::new(1, PARTITIONS, Retention::default()), limits).await
}

pub(crate) async fn start(services: Simulation, limits: Limits) -> Bench {
    let stores = services.stores();
    start_on(services, stores, limits).await
}

/// The same with stores that are not quite the services'.
pub(crate) async fn start_on(services: Simulation, stores: Stores, limits: Limits) -> Bench {
    let listener = peal_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = axum::serve::Listener::local_addr(&listener).unwrap().to_string();
    let urls = vec![format!("ws://{address}"), "ws://127.0.0.1:9".to_owned()];
    let (_, map) = watch::channel(Arc::new(ShardMap::new(5, PARTITIONS, urls).unwrap()));
    let seat = Seat::new(NodeId::new(0), format!("ws://{address}"), Holder::new("node 0"));
    let node = Node::new(seat, stores, map, Clock::system(), limits);
    let stop = CancellationToken::new();
    tokio::spawn(peal_serve::serve(listener, node.router(), ConnectionLimits::default(), stop.clone()));
    let running = tokio::spawn(node.run(stop.clone()));
    let bench = Bench { services, address, stop, running };
    while !bench.get("/readyz").await.starts_with("HTTP/1.1 200") {}
    bench
}

impl Bench {
    /// Appends a notification for each user.
    pub(crate) async fn notify(&self, users: impl IntoIterator<Item = u64>, text: &str) {
        let record = |user: u64| NewRecord {
            partition: Partition::new(u32::try_from(user % u64::from(PARTITIONS)).unwrap()),
            key: user,
            headers: Headers::default(),
            value: format!("{{\"id\":\"{text}:{user}\"}}").into(),
        };
        let records = users.into_iter().map(record).collect();
        self.services.stores().log.append(Topic::Notifications, records).await.unwrap();
    }

    pub(crate) async fn connect(&self, query: &str) -> Client {
        Client::over(self.try_connect(query).await.unwrap())
    }

    pub(crate) async fn try_connect(&self, query: &str) -> Result<Socket, Error> {
        let mut request = format!("ws://{}/v1/socket?{query}", self.address).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "peal.v1".parse().unwrap());
        connect_async(request).await.map(|(socket, _)| socket)
    }

    /// A plain HTTP request; head and body of the answer.
    pub(crate) async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct Client {
    pub(crate) socket: Socket,
}

impl Client {
    pub(crate) fn over(socket: Socket) -> Self {
        Self { socket }
    }

    pub(crate) async fn text(&mut self) -> String {
        loop {
            match tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("expected text, not {other:?}"),
            }
        }
    }

    pub(crate) async fn hello(&mut self) -> String {
        let text = self.text().await;
        match NodeFrame::parse(&text).unwrap() {
            NodeFrame::Hello(hello) => hello.cursor.to_string(),
            other => panic!("expected a hello, not {other:?}"),
        }
    }

    /// The next notification's id and the cursor behind it.
    pub(crate) async fn notification(&mut self) -> (String, String) {
        let text = self.text().await;
        match NodeFrame::parse(&text).unwrap() {
            NodeFrame::Notification { cursor, notification, .. } => {
                let value: serde_json::Value = serde_json::from_str(notification.get()).unwrap();
                (value["id"].as_str().unwrap().to_owned(), cursor.to_string())
            }
            other => panic!("expected a notification, not {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        self.socket.send(message.into()).await.unwrap();
    }

    pub(crate) async fn ack(&mut self, cursor: &str) {
        self.send(format!("{{\"type\":\"ack\",\"cursor\":\"{cursor}\"}}")).await;
    }

    /// Reads up to the close; its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Text(_) | Message::Ping(_) => {}
                other => panic!("expected a close, not {other:?}"),
            }
        }
    }

    pub(crate) async fn refused(&mut self, part: &str) {
        let (code, reason) = self.closed().await;
        assert_eq!(code, CloseCode::ProtocolError.number(), "{reason}");
        assert!(reason.contains(part), "{reason:?} must contain {part:?}");
    }
}
