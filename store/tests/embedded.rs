//! The embedded stores keep the promises of the traits, and say clearly why a directory can't be opened.
#![cfg(all(feature = "embedded", feature = "conformance"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;

use async_trait::async_trait;
use peal_proto::{Partition, Topic};
use peal_store::conformance::{self, Factory, Subject, System};
use peal_store::embedded::{self, Embedded, OpenError, Settings};
use peal_store::inbox::Retention;
use peal_store::log::{Headers, NewRecord};
use peal_store::{StoreError, Stores};

struct Directory {
    path: tempfile::TempDir,
    settings: Settings,
    embedded: Option<Embedded>,
}

#[async_trait]
impl System for Directory {
    fn stores(&self) -> Stores {
        self.embedded.as_ref().unwrap().stores()
    }

    async fn reopen(&mut self) {
        self.embedded = None;
        self.embedded = Some(embedded::open(self.path.path(), self.settings).unwrap());
    }
}

struct Fresh;

#[async_trait]
impl Factory for Fresh {
    async fn fresh(&self, partitions: u32, retention: Retention) -> Subject {
        let path = tempfile::tempdir().unwrap();
        let settings = Settings { partitions, retention, ..Settings::default() };
        let embedded = embedded::open(path.path(), settings).unwrap();
        Box::new(Directory { path, settings, embedded: Some(embedded) })
    }
}

#[tokio::test]
async fn the_log_keeps_its_promises() {
    conformance::hold(&Fresh, conformance::log()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_promises_on_two_threads() {
    conformance::hold(&Fresh, conformance::log()).await;
}

#[tokio::test]
async fn the_inbox_keeps_its_promises() {
    conformance::hold(&Fresh, conformance::inbox()).await;
}

#[tokio::test]
async fn members_statuses_subscriptions_shards_and_leases_keep_their_promises() {
    let cases = [
        conformance::members(),
        conformance::statuses(),
        conformance::subscriptions(),
        conformance::shards(),
        conformance::leases(),
    ];
    conformance::hold(&Fresh, cases.concat()).await;
}

#[test]
fn it_answers_what_the_model_answers() {
    conformance::model::hold(&Fresh, 40);
}

fn settings(partitions: u32) -> Settings {
    Settings { partitions, ..Settings::default() }
}

fn refusal(directory: &Path, settings: Settings) -> OpenError {
    embedded::open(directory, settings).err().expect("should not open")
}

fn record(text: &'static str) -> NewRecord {
    NewRecord { partition: Partition::new(0), key: 0, headers: Headers::default(), value: text.into() }
}

#[test]
fn a_directory_in_use_is_refused_naming_it_and_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let _held = embedded::open(directory.path(), settings(4)).unwrap();
    let refused = refusal(directory.path(), settings(4)).to_string();
    assert!(refused.contains(directory.path().to_str().unwrap()), "{refused}");
    assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
}

#[test]
fn another_number_of_partitions_is_refused_naming_both() {
    let directory = tempfile::tempdir().unwrap();
    drop(embedded::open(directory.path(), settings(120)).unwrap());
    let refused = refusal(directory.path(), settings(60)).to_string();
    assert!(refused.ends_with("has 120 partitions, not 60"), "{refused}");
    embedded::open(directory.path(), settings(120)).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_naming_it_and_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let refused = refusal(&file.join("data"), settings(4)).to_string();
    assert!(refused.contains("file/data: Not a directory"), "{refused}");
}

#[test]
fn a_database_that_was_not_finished_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    drop(embedded::open(directory.path(), settings(4)).unwrap());
    let (database, unfinished) = (directory.path().join("database"), directory.path().join("database.new"));
    std::fs::rename(database, &unfinished).unwrap();
    std::fs::remove_file(unfinished.join("version")).unwrap();
    embedded::open(directory.path(), settings(4)).unwrap();
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn calls_after_the_store_was_closed_are_refused_and_waiting_readers_woken() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = embedded::open(directory.path(), settings(4)).unwrap();
    let log = embedded.stores().log;
    let mut reader = log.reader(Topic::Events, Partition::new(0), Default::default()).await.unwrap();
    let reading = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    drop(embedded);
    assert!(matches!(reading.await.unwrap(), Err(StoreError::Unavailable { store: "log", .. })));
    let refused = log.append(Topic::Events, vec![record("late")]).await.unwrap_err().to_string();
    assert!(refused.contains("the store is closed"), "{refused}");
    assert!(
        log.committed(peal_store::log::Source { group: "g", topic: Topic::Events, partition: Partition::new(0) })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_refused_and_nothing_of_the_call_is_appended() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = embedded::open(directory.path(), settings(4)).unwrap();
    let log = embedded.stores().log;
    let beyond = NewRecord { partition: Partition::new(4), ..record("beyond") };
    let refused = log.append(Topic::Notifications, vec![record("within"), beyond]).await.unwrap_err().to_string();
    assert!(refused.ends_with("peal.notifications has no partition 4 of 4"), "{refused}");
    assert_eq!(log.end(Topic::Notifications, Partition::new(0)).await.unwrap(), Default::default());
    assert!(log.reader(Topic::Notifications, Partition::new(4), Default::default()).await.is_err());
    let refused = log.reader(Topic::Events, Partition::new(2), Default::default()).await.err().unwrap().to_string();
    assert!(refused.ends_with("peal.events has no partition 2 of 2"), "{refused}");
}
