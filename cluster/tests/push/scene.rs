//! A node, a publisher that pushes, and a client that connects.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peal_cluster::api::{Api, Change, Post};
use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::frame::NodeFrame;
use peal_proto::name::PUSH_GROUP;
use peal_proto::{NodeId, Partition, ShardMap, Topic, UserId};
use peal_publisher::{Extras, Publisher, Push, PushSettings, Settings};
use peal_serve::{Clock, ConnectionLimits};
use peal_store::Stores;
use peal_store::embedded::{self, Embedded};
use peal_store::leases::{Holder, Seat};
use peal_store::log::Source;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PARTITIONS: u32 = 12;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What pushes to an endpoint.
pub(crate) fn settings(url: &str) -> PushSettings {
    PushSettings {
        push_webhook: Some(url.parse().unwrap()),
        push_webhook_secret: Some(SECRET.parse().unwrap()),
        ..PushSettings::default()
    }
}

/// A cluster on its own data directory.
pub(crate) struct Scene {
    pub(crate) stores: Stores,
    pub(crate) api: Api,
    node: String,
    stop: CancellationToken,
    _store: Option<(Embedded, TempDir)>,
}

impl Scene {
    /// On the embedded stores.
    pub(crate) async fn start(push_after: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = embedded::Settings { partitions: PARTITIONS, ..embedded::Settings::default() };
        let store = embedded::open(directory.path(), settings).unwrap();
        Self::with(store.stores(), Some((store, directory)), push_after).await
    }

    /// On these stores.
    pub(crate) async fn on(stores: Stores, push_after: Duration) -> Self {
        Self::with(stores, None, push_after).await
    }

    async fn with(stores: Stores, store: Option<(Embedded, TempDir)>, push_after: Duration) -> Self {
        let stop = CancellationToken::new();
        let [for_node, for_publisher] = [listen().await, listen().await];
        let [node, publisher] = [&for_node, &for_publisher]
            .map(|listener| axum::serve::Listener::local_addr(listener).unwrap().to_string());
        let (_, map) = watch::channel(Arc::new(ShardMap::new(1, PARTITIONS, vec![format!("ws://{node}")]).unwrap()));
        let limits = Limits { push_after: Some(push_after), ..Limits::default() };
        let seat = Seat::new(NodeId::new(0), format!("ws://{node}"), Holder::new("node"));
        let running = Node::new(seat, stores.clone(), map.clone(), Clock::system(), limits);
        tokio::spawn(peal_serve::serve(for_node, running.router(), ConnectionLimits::default(), stop.clone()));
        tokio::spawn(running.run(stop.clone()));
        let extras = Extras::default();
        let publishing = Publisher::with(stores.clone(), map, Clock::system(), Settings::default(), extras);
        tokio::spawn(peal_serve::serve(for_publisher, publishing.router(), ConnectionLimits::default(), stop.clone()));
        tokio::spawn({
            let stop = stop.clone();
            async move { publishing.run(stop).await }
        });
        let api = Api::new(format!("http://{publisher}").parse().unwrap());
        Self { stores, api, node, stop, _store: store }
    }

    /// Pushes, in a task of its own: to abort it is to kill the process.
    pub(crate) fn push(&self, settings: &PushSettings) -> JoinHandle<()> {
        let push = Push::new(self.stores.clone(), Clock::system(), settings).unwrap();
        let stop = self.stop.clone();
        tokio::spawn(async move { push.run(&stop).await })
    }

    /// These users are the members of a community.
    pub(crate) async fn fill(&self, community: u64, users: impl IntoIterator<Item = u64>) {
        let add = users.into_iter().map(user).collect();
        let change = Change { add, remove: Vec::new() };
        self.api.change(community.try_into().unwrap(), &change).await.unwrap();
    }

    /// Posts an event to a community.
    pub(crate) async fn say(&self, community: u64, event: &str) {
        self.say_for(community, event, None, None).await;
    }

    /// Posts an event that is worth telling for so many seconds, and replaces those of its key.
    pub(crate) async fn say_for(&self, community: u64, event: &str, ttl: Option<u32>, collapse: Option<&str>) {
        let data = serde_json::value::to_raw_value(&serde_json::json!({ "text": event })).unwrap();
        let collapse = collapse.map(|key| key.parse().unwrap());
        let ttl = ttl.map(|seconds| serde_json::from_value(seconds.into()).unwrap());
        let (kind, event) = ("letter".parse().unwrap(), event.parse().unwrap());
        let post = Post { kind: &kind, event: Some(&event), data: Some(&data), ttl, collapse: collapse.as_ref() };
        self.api.post(community.try_into().unwrap(), &post).await.unwrap();
    }

    /// Waits until so many entries are told to those who push.
    pub(crate) async fn push_is_told(&self, entries: u64) {
        let partitions = (0..Topic::Offline.partitions(PARTITIONS)).map(Partition::new);
        loop {
            let mut told = 0;
            for partition in partitions.clone() {
                told += self.stores.log.end(Topic::Offline, partition).await.unwrap().next().get();
            }
            if told >= entries {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until it is committed that so many entries are done: one with nothing before it that is not.
    pub(crate) async fn push_is_done(&self, entries: u64) {
        let partitions = (0..Topic::Offline.partitions(PARTITIONS)).map(Partition::new);
        loop {
            let mut done = 0;
            for partition in partitions.clone() {
                let source = Source { group: PUSH_GROUP, topic: Topic::Offline, partition };
                let commit = self.stores.log.committed(source).await.unwrap();
                done += commit.map_or(0, |commit| commit.position.next().get());
            }
            if done >= entries {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// A socket of a user, which has its hello.
    pub(crate) async fn connect(&self, user: u64) -> Client {
        let mut request = format!("ws://{}/v1/socket?user={user}", self.node).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "peal.v1".parse().unwrap());
        let mut client = Client(connect_async(request).await.unwrap().0);
        let text = client.text().await;
        assert!(matches!(NodeFrame::parse(&text).unwrap(), NodeFrame::Hello(_)), "{text}");
        client
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen() -> peal_serve::accept::Tcp {
    peal_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn text(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.0.next().await.unwrap().unwrap() {
                return text.to_string();
            }
        }
    }

    /// The next notification, which it acknowledges; its id.
    pub(crate) async fn take(&mut self) -> String {
        let text = self.text().await;
        let NodeFrame::Notification { cursor, notification, .. } = NodeFrame::parse(&text).unwrap() else {
            panic!("{text} is no notification")
        };
        self.0.send(format!(r#"{{"type":"ack","cursor":"{cursor}"}}"#).into()).await.unwrap();
        let value: serde_json::Value = serde_json::from_str(notification.get()).unwrap();
        value["id"].as_str().unwrap().to_owned()
    }
}
