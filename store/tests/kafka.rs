//! The log in a real Kafka keeps the promises of the trait, and says clearly why it can't be opened.
//!
//! The broker is the one that `PEAL_BROKERS` names. Every case gets topics of its own, which are deleted after it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use peal_proto::name::{FANOUT_GROUP, PUBLISHERS_GROUP};
use peal_proto::{Offset, Partition, Position, Topic};
use peal_store::conformance::{self, Factory, Subject, System};
use peal_store::inbox::Retention;
use peal_store::log::kafka::{self, OpenError, Settings, Storage};
use peal_store::log::{Commit, Headers, NewRecord, Source};
use peal_store::simulated::Simulation;
use peal_store::{Log, StoreError, Stores};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

#[expect(clippy::disallowed_methods, reason = "the one place where the tests are told of the broker")]
fn brokers() -> String {
    std::env::var("PEAL_BROKERS")
        .expect("PEAL_BROKERS names no broker: `make services` starts one and says what to set")
}

/// A log nobody has used.
#[expect(clippy::disallowed_methods, reason = "names that no other run has had")]
fn settings(partitions: u32) -> Settings {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let prefix = format!("test-{run}-{}-{number}.", std::process::id());
    Settings { brokers: brokers(), prefix, partitions: Some(partitions), properties: Vec::new() }
}

fn topics(settings: &Settings) -> Vec<String> {
    let names = Topic::ALL.map(Topic::name).into_iter().chain(["peal.stamp"]);
    names.map(|name| format!("{}{name}", settings.prefix)).collect()
}

async fn delete(settings: &Settings) {
    let config = ClientConfig::new().set("bootstrap.servers", &settings.brokers).clone();
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let names = topics(settings);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &AdminOptions::new()).await.unwrap();
}

/// The log in Kafka, and everything else in memory.
struct Opened {
    settings: Settings,
    stores: Stores,
}

#[async_trait]
impl System for Opened {
    fn stores(&self) -> Stores {
        self.stores.clone()
    }

    async fn reopen(&mut self) {
        self.stores.log = kafka::open(self.settings.clone()).await.unwrap();
    }
}

/// Deletes what the case before has used.
#[derive(Default)]
struct Fresh {
    last: Mutex<Option<Settings>>,
}

impl Fresh {
    async fn clean(&self) {
        let last = self.last.lock().unwrap().take();
        if let Some(settings) = last {
            delete(&settings).await;
        }
    }
}

#[async_trait]
impl Factory for Fresh {
    async fn fresh(&self, partitions: u32, retention: Retention) -> Subject {
        self.clean().await;
        let settings = settings(partitions);
        kafka::create_topics(settings.clone(), Storage::default()).await.unwrap();
        *self.last.lock().unwrap() = Some(settings.clone());
        let stores = Simulation::new(0, partitions, retention).stores();
        let log = kafka::open(settings.clone()).await.unwrap();
        Box::new(Opened { settings, stores: Stores { log, ..stores } })
    }
}

#[tokio::test]
async fn the_log_keeps_its_promises() {
    let fresh = Fresh::default();
    conformance::hold(&fresh, conformance::log()).await;
    fresh.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_promises_on_two_threads() {
    let fresh = Fresh::default();
    conformance::hold(&fresh, conformance::log()).await;
    fresh.clean().await;
}

#[test]
fn it_answers_what_the_model_answers() {
    conformance::model::hold(&Fresh::default(), 6);
}

async fn made(partitions: u32) -> (Settings, Arc<dyn Log>) {
    let settings = settings(partitions);
    kafka::create_topics(settings.clone(), Storage::default()).await.unwrap();
    let log = kafka::open(settings.clone()).await.unwrap();
    (settings, log)
}

async fn refusal(settings: Settings) -> OpenError {
    kafka::open(settings).await.err().expect("should not open")
}

fn record(text: &str) -> NewRecord {
    NewRecord { partition: Partition::new(0), key: 0, headers: Headers::default(), value: text.to_owned().into() }
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_naming_both() {
    let (settings, _log) = made(4).await;
    let given = Settings { partitions: Some(6), ..settings.clone() };
    for refused in [refusal(given.clone()).await, kafka::create_topics(given, Storage::default()).await.unwrap_err()] {
        assert!(refused.to_string().contains("4 partitions, not 6"), "{refused}");
    }
    delete(&settings).await;
}

#[tokio::test]
async fn a_log_that_was_not_made_is_refused_naming_the_topic() {
    let refused = refusal(settings(4)).await;
    assert!(matches!(&refused, OpenError::Missing { topic } if topic.ends_with("peal.stamp")), "{refused}");
}

#[tokio::test]
async fn making_a_log_again_changes_nothing_and_a_lost_topic_changes_the_generation_if_cursors_are_about_it() {
    let (settings, log) = made(2).await;
    let again = kafka::create_topics(settings.clone(), Storage::default()).await.unwrap();
    assert_eq!(again, (2, log.generation()));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let made_again = async |topic: Topic| {
        let lost = format!("{}{topic}", settings.prefix);
        admin.delete_topics(&[&lost], &AdminOptions::new()).await.unwrap();
        assert!(matches!(refusal(settings.clone()).await, OpenError::Missing { .. }));
        kafka::create_topics(settings.clone(), Storage::default()).await.unwrap().1
    };
    assert_eq!(made_again(Topic::Offline).await, log.generation());
    let other = made_again(Topic::Notifications).await;
    assert!(other > log.generation(), "{other} after {}", log.generation());
    delete(&settings).await;
}

#[tokio::test]
async fn a_property_that_promises_rest_on_is_refused_and_so_is_one_that_does_not_exist() {
    for (key, value) in [("acks", "1"), ("no.such.property", "1")] {
        let refused = refusal(Settings { properties: vec![(key.into(), value.into())], ..settings(4) }).await;
        assert!(refused.to_string().contains(key), "{refused}");
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let refused = refusal(Settings { brokers: "127.0.0.1:1".to_owned(), ..settings(4) }).await;
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
}

/// By name and password (SASL's PLAIN, RFC 4616), which librdkafka can do without TLS.
#[expect(clippy::disallowed_methods, reason = "the other place where the tests are told of the broker")]
fn as_peal(settings: &Settings, password: &str) -> Settings {
    let brokers =
        std::env::var("PEAL_BROKERS_GUARDED").expect("PEAL_BROKERS_GUARDED names no broker: see `make services`");
    let properties = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "peal"),
        ("sasl.password", password),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    Settings { brokers, properties, ..settings.clone() }
}

#[tokio::test]
async fn a_broker_that_wants_a_password_is_given_one_by_every_client_of_the_log() {
    let (settings, _open) = made(2).await;
    let log = kafka::open(as_peal(&settings, "secret")).await.unwrap();
    log.append(Topic::Events, vec![record("asked")]).await.unwrap();
    let source = Source { group: FANOUT_GROUP, topic: Topic::Events, partition: Partition::new(0) };
    let commit = Commit { position: Position::at(Offset::new(1)), metadata: "told".to_owned() };
    let mut writer = log.writer("w").await.unwrap();
    writer.write(vec![(Topic::Notifications, vec![record("told")])], source, commit.clone()).await.unwrap();
    let mut reader = log.reader(Topic::Notifications, Partition::new(0), Position::START).await.unwrap();
    assert_eq!(&reader.next().await.unwrap()[0].value[..], b"told");
    log.commit(source, commit.clone()).await.unwrap();
    assert_eq!(log.committed(source).await.unwrap(), Some(commit));
    delete(&settings).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let (settings, _open) = made(2).await;
    let OpenError::Unavailable { reason, .. } = refusal(as_peal(&settings, "guess")).await else {
        panic!("it was let in")
    };
    assert!(reason.contains("Authentication failed") || reason.contains("Invalid username or password"), "{reason}");
    delete(&settings).await;
}

#[tokio::test]
async fn records_of_a_foreign_producer_are_read_without_what_they_lack() {
    let (settings, log) = made(2).await;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let topic = format!("{}{}", settings.prefix, Topic::Notifications);
    producer.send(BaseRecord::to(&topic).partition(1).key("user-7").payload("foreign")).unwrap();
    producer.send(BaseRecord::<(), str>::to(&topic).partition(1).payload("keyless")).unwrap();
    producer.send(BaseRecord::<str, ()>::to(&topic).partition(1).key("7")).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
    let mut reader = log.reader(Topic::Notifications, Partition::new(1), Position::START).await.unwrap();
    let mut read = Vec::new();
    while read.len() < 3 {
        read.extend(reader.next().await.unwrap());
    }
    let read: Vec<_> = read.iter().map(|record| (record.key, &record.value[..])).collect();
    assert_eq!(read, [(None, &b"foreign"[..]), (None, b"keyless"), (Some(7), b"")]);
    delete(&settings).await;
}

/// Whoever comes or goes, every partition is somebody's, and in the end one's alone.
#[tokio::test]
async fn members_of_a_group_share_the_partitions_and_whoever_is_left_has_all() {
    let (settings, log) = made(4).await;
    let all: Vec<_> = (0..4).map(Partition::new).collect();
    let join = || log.join(PUBLISHERS_GROUP, Topic::Notifications);
    let mut first = join().await.unwrap();
    assert_eq!(first.assigned().await.unwrap(), all);
    let mut second = join().await.unwrap();
    let (mut of_first, of_second) = tokio::join!(first.assigned(), second.assigned());
    let of_first = of_first.as_mut().unwrap();
    assert_eq!((of_first.len(), of_second.as_ref().unwrap().len()), (2, 2));
    of_first.extend(of_second.unwrap());
    of_first.sort_unstable();
    assert_eq!(*of_first, all);
    drop(first);
    assert_eq!(second.assigned().await.unwrap(), all);
    delete(&settings).await;
}

#[tokio::test]
async fn a_full_queue_is_not_available_and_nothing_waits_for_it() {
    let (settings, _log) = made(2).await;
    let properties = vec![("queue.buffering.max.messages".to_owned(), "10".to_owned())];
    let log = kafka::open(Settings { properties, ..settings.clone() }).await.unwrap();
    let records = (0..1_000).map(|number| record(&number.to_string())).collect();
    let refused = log.append(Topic::Events, records).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    while log.append(Topic::Events, vec![record("later")]).await.is_err() {
        tokio::task::yield_now().await; // until Kafka has answered for what was let in
    }
    delete(&settings).await;
}

/// What was handed over of a slice that fails is taken back at once, and the writer is of use again.
#[tokio::test]
async fn a_slice_that_fails_half_way_is_rolled_back_without_a_wait() {
    let (settings, log) = made(2).await;
    let mut writer = log.writer("w").await.unwrap();
    let source = Source { group: FANOUT_GROUP, topic: Topic::Events, partition: Partition::new(0) };
    let commit = |next| Commit { position: Position::at(Offset::new(next)), metadata: String::new() };
    let mut records: Vec<_> = (0..1_000).map(|number| record(&number.to_string())).collect();
    records.push(record(&"x".repeat(2_000_000))); // beyond message.max.bytes
    let failing = tokio::time::timeout(
        Duration::from_secs(10),
        writer.write(vec![(Topic::Notifications, records)], source, commit(1)),
    );
    let refused = failing.await.expect("rolling back waits for nobody");
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(log.committed(source).await.unwrap(), None);
    writer.write(vec![(Topic::Notifications, vec![record("whole")])], source, commit(2)).await.unwrap();
    let mut reader = log.reader(Topic::Notifications, Partition::new(0), Position::START).await.unwrap();
    assert_eq!(&reader.next().await.unwrap()[0].value[..], b"whole");
    delete(&settings).await;
}

/// A slice that was begun and not ended holds up the readers until the writer's successor is there.
#[tokio::test]
async fn a_reader_sees_nothing_of_a_slice_that_was_not_committed() {
    let (settings, log) = made(2).await;
    let unfinished: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &settings.brokers)
        .set("transactional.id", format!("{}w", settings.prefix))
        .create()
        .unwrap();
    unfinished.init_transactions(Duration::from_secs(10)).unwrap();
    unfinished.begin_transaction().unwrap();
    let topic = format!("{}{}", settings.prefix, Topic::Notifications);
    unfinished.send(BaseRecord::to(&topic).partition(0).key("0").payload("never")).unwrap();
    unfinished.flush(Duration::from_secs(10)).unwrap();
    let end = log.end(Topic::Notifications, Partition::new(0)).await.unwrap();
    assert_eq!(end, Position::START);

    let mut writer = log.writer("w").await.unwrap();
    let source = Source { group: FANOUT_GROUP, topic: Topic::Events, partition: Partition::new(0) };
    let commit = Commit { position: Position::at(Offset::new(1)), metadata: "user 1".to_owned() };
    writer.write(vec![(Topic::Notifications, vec![record("whole")])], source, commit.clone()).await.unwrap();
    let mut reader = log.reader(Topic::Notifications, Partition::new(0), Position::START).await.unwrap();
    let read = reader.next().await.unwrap();
    assert_eq!(read.iter().map(|record| &record.value[..]).collect::<Vec<_>>(), [b"whole"]);
    assert_eq!(log.committed(source).await.unwrap(), Some(commit));
    delete(&settings).await;
}

/// The position of a reader lies behind the end: the log is not the one it was taken from.
#[tokio::test]
async fn a_log_that_went_back_is_damaged_and_not_read_from_the_start() {
    let (settings, log) = made(2).await;
    log.append(Topic::Events, vec![record("a"), record("b")]).await.unwrap();
    let beyond = Position::at(Offset::new(1_000));
    let mut reader = log.reader(Topic::Events, Partition::new(0), beyond).await.unwrap();
    let refused = reader.next().await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    delete(&settings).await;
}
