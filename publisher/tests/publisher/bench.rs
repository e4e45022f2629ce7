//! A publisher under test, with what is needed to post to it and to see what it wrote.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::{Request, Response};
use futures_util::FutureExt;
use peal_proto::{EventId, Partition, Position, ShardMap, Timestamp, Topic, UserId};
use peal_publisher::{FanoutLimits, Publisher, Settings};
use peal_serve::Clock;
use peal_store::Stores;
use peal_store::inbox::Retention;
use peal_store::log::Record;
use peal_store::simulated::Simulation;
use peal_store::status::{State, Status};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const PARTITIONS: u32 = 12;

/// How long a test waits for what must happen, in paused time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn simulation() -> Simulation {
    Simulation::new(7, PARTITIONS, Retention::default())
}

/// Slices of ten notifications, so that few members fill many.
pub(crate) fn settings() -> Settings {
    let fanout = FanoutLimits { notifications_max: 10, ..FanoutLimits::default() };
    Settings { fanout, ..Settings::default() }
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

/// A publisher whose fan-out runs.
pub(crate) struct Bench {
    pub(crate) stores: Stores,
    pub(crate) publisher: Publisher,
    router: Router,
    /// What the publisher says of its interface.
    document: Value,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl Bench {
    pub(crate) fn start(stores: Stores) -> Self {
        Self::start_with(stores, settings())
    }

    pub(crate) fn start_with(stores: Stores, settings: Settings) -> Self {
        let urls = vec!["ws://127.0.0.1:7000".to_owned(), "ws://127.0.0.1:7001".to_owned()];
        let (_, map) = watch::channel(Arc::new(ShardMap::new(5, PARTITIONS, urls).unwrap()));
        let clock = Clock::simulated(Timestamp::from_millis(1_795_341_600_000));
        let publisher = Publisher::new(stores.clone(), map, clock, settings);
        let router = publisher.router();
        let document = document(&router);
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (publisher, stop) = (publisher.clone(), stop.clone());
            async move { publisher.run(stop).await }
        });
        Self { stores, publisher, router, document, stop, running }
    }

    /// `kill -9`: nothing of it runs any more.
    pub(crate) async fn crash(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        let (method, path) = (request.method().as_str().to_lowercase(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        self.assert_documented(&method, &path, &response);
        response
    }

    /// Every answer that a test sees has a status, and a media type, that the document has; but those of what is not there.
    fn assert_documented(&self, method: &str, path: &str, response: &Response<Body>) {
        if method == "options" {
            return; // the browsers' question, which the layer of other origins answers
        }
        let (status, headers) = (response.status().as_u16(), response.headers());
        let Some(operation) = operation(&self.document, path).map(|operations| &operations[method]) else {
            return assert_eq!(status, 404, "{path}");
        };
        if operation.is_null() {
            return assert_eq!(status, 405, "{method} {path}");
        }
        let said = &operation["responses"][status.to_string()];
        assert!(!said.is_null(), "{method} {path} answers {status}, which its document does not say: {operation}");
        if let Some(given) = headers.get("content-type") {
            let media_type = given.to_str().unwrap().split(';').next().unwrap();
            assert!(!said["content"][media_type].is_null(), "{method} {path} answers {media_type}: {said}");
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        read(self.ask(Request::get(path).body(Body::empty()).unwrap()).await).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let body: Body = body.into();
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(bytes) = body.size_hint().exact() {
            request = request.header("content-length", bytes);
        }
        read(self.ask(request.body(body).unwrap()).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> (u16, Value) {
        self.send("POST", path, body).await
    }

    /// Posts an event that has to be accepted.
    pub(crate) async fn say(&self, community: u64, event: &str) {
        let body = format!(r#"{{"kind":"k","event":"{event}"}}"#);
        let answer = self.post(&format!("/v1/communities/{community}/events"), body).await;
        assert_eq!(answer, (202, serde_json::json!({ "event": event })));
    }

    /// Makes the users 0 to `count` - 1 members.
    pub(crate) async fn fill(&self, community: u64, count: u64) {
        let users: Vec<_> = (0..count).collect();
        let body = serde_json::json!({ "add": users }).to_string();
        let (status, changed) = self.post(&format!("/v1/communities/{community}/members"), body).await;
        assert_eq!((status, &changed["added"]), (200, &count.into()));
    }

    pub(crate) async fn published(&self, event: &str) -> Status {
        published(&self.stores, event).await
    }
}

fn document(router: &Router) -> Value {
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).now_or_never().unwrap().unwrap();
    let bytes = to_bytes(response.into_body(), 1_000_000).now_or_never().unwrap().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The operations of the first path in the document that this one is of.
fn operation<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let is_of = |template: &str| {
        let (parts, templates) = (path.split('/'), template.split('/'));
        let all_same = parts.zip(templates).all(|(part, of)| of.starts_with('{') || part == of);
        all_same && path.split('/').count() == template.split('/').count()
    };
    document["paths"].as_object()?.iter().find(|(template, _)| is_of(template)).map(|(_, operations)| operations)
}

pub(crate) async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 10_000_000).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The status of an event once it is published.
pub(crate) async fn published(stores: &Stores, event: &str) -> Status {
    reached(stores, event, State::Published).await
}

/// The status of an event once it is in this state.
pub(crate) async fn reached(stores: &Stores, event: &str, state: State) -> Status {
    let event: EventId = event.parse().unwrap();
    let until = async {
        loop {
            match stores.statuses.get(&event).await {
                Ok(Some(status)) if status.state == state => return status,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, until).await.expect("it gets so far")
}

/// Everything in a topic, by partition.
pub(crate) async fn records(stores: &Stores, topic: Topic) -> Vec<Record> {
    let mut records = Vec::new();
    for partition in (0..topic.partitions(PARTITIONS)).map(Partition::new) {
        let mut reader = stores.log.reader(topic, partition, Position::START).await.unwrap();
        while let Ok(batch) = tokio::time::timeout(Duration::from_secs(1), reader.next()).await {
            records.extend(batch.unwrap());
        }
    }
    records
}

/// Who was told of an event, ascending; a user told twice is there twice.
pub(crate) async fn told(stores: &Stores, event: &str) -> Vec<u64> {
    let mut told = Vec::new();
    for record in records(stores, Topic::Notifications).await {
        let notification: Value = serde_json::from_slice(&record.value).unwrap();
        if notification["event"] == event {
            told.push(record.key.unwrap());
        }
    }
    told.sort_unstable();
    told
}
