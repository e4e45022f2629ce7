//! A bare handler around a bare producer: the least that taking joins in and writing a record for each member cost, to hold a
//! publisher's processor time against. Used by `peal bench --services --publisher`.
//!
//! `publisher_floor BROKERS EVENTS NOTIFICATIONS`, the names of two topics, until it is killed. Says its port.
//! `POST /v1/communities/{c}/joins` is answered with 202 once Kafka has it; `POST /records` writes a record for each of so many
//! users, to the partition of the user, whose values differ in the user, and is answered once Kafka has them all.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "whoever started it waits for a line; a full queue is waited for as in librdkafka's own examples"
)]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Until everything is written.
const WRITE_TIME_MAX: Duration = Duration::from_secs(300);

/// Until Kafka says how many partitions there are.
const METADATA_TIME_MAX: Duration = Duration::from_secs(10);

/// While the producer's queue is full.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// Tells who waits that a record is in Kafka.
struct Tell;

impl ClientContext for Tell {}

impl ProducerContext for Tell {
    type DeliveryOpaque = Box<oneshot::Sender<bool>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waits: Self::DeliveryOpaque) {
        waits.send(result.is_ok()).ok(); // it may be gone
    }
}

struct Floor {
    producer: ThreadedProducer<Tell>,
    /// Where nobody waits for a single record.
    bulk: ThreadedProducer<DefaultProducerContext>,
    events: String,
    notifications: String,
    taken: AtomicU64,
}

#[derive(Deserialize)]
struct Join {
    user: u64,
    #[serde(default)]
    data: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Records {
    users: u64,
    before: String,
    behind: String,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().collect();
    let [_, brokers, events, notifications] = &words[..] else {
        return Err("usage: publisher_floor BROKERS EVENTS NOTIFICATIONS".into());
    };
    let mut config = ClientConfig::new();
    // As the publisher's own.
    config.set("bootstrap.servers", brokers).set("compression.codec", "lz4").set("linger.ms", "1");
    config.set("enable.idempotence", "true").set("acks", "all");
    config.set("queue.buffering.max.messages", "100000").set("queue.buffering.max.kbytes", "16384");
    let (producer, bulk) = (config.create_with_context(Tell)?, config.create()?);
    let (events, notifications) = (events.clone(), notifications.clone());
    let floor = Arc::new(Floor { producer, bulk, events, notifications, taken: AtomicU64::new(0) });
    let routes = Router::new().route("/v1/communities/{community}/joins", post(join)).route("/records", post(records));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, routes.with_state(floor)).await?)
}

async fn join(
    State(floor): State<Arc<Floor>>,
    Path(community): Path<u64>,
    Json(Join { user, data }): Json<Join>,
) -> (StatusCode, Json<Value>) {
    let id = format!("floor-{}", floor.taken.fetch_add(1, Ordering::Relaxed));
    let event = json!({ "version": 1, "event": id, "kind": "community.joined", "community": community,
        "join": { "user": user, "notify_self": true }, "data": data });
    let (told, written) = oneshot::channel();
    let (key, value) = (community.to_string(), event.to_string());
    let record = BaseRecord::with_opaque_to(&floor.events, Box::new(told)).key(&key).payload(&value);
    let sent = floor.producer.send(record).is_ok();
    if sent && written.await.unwrap_or(false) {
        (StatusCode::ACCEPTED, Json(json!({ "event": id })))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "title": "not written" })))
    }
}

async fn records(State(floor): State<Arc<Floor>>, Json(of): Json<Records>) -> (StatusCode, Json<Value>) {
    let written = tokio::task::spawn_blocking(move || write(&floor, &of)).await;
    let status = if matches!(written, Ok(Ok(()))) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({})))
}

fn write(floor: &Floor, Records { users, before, behind }: &Records) -> Result<(), KafkaError> {
    let topic = floor.notifications.as_str();
    let metadata = floor.bulk.client().fetch_metadata(Some(topic), METADATA_TIME_MAX)?;
    let partitions = metadata.topics().iter().map(|topic| topic.partitions().len()).sum::<usize>().max(1) as u64;
    let mut value = String::new();
    for user in 0..*users {
        let key = user.to_string();
        value.clear();
        value.extend([before.as_str(), &key, behind]);
        let partition = i32::try_from(user % partitions).unwrap_or_default();
        let mut record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
        while let Err((error, again)) = floor.bulk.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            record = again;
            std::thread::sleep(FULL_PAUSE);
        }
    }
    floor.bulk.flush(WRITE_TIME_MAX)
}
