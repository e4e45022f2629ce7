//! What the fan-out tells, to whom, and in which order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use peal_proto::shard::partition_of;
use peal_proto::{CommunityId, Partition, Timestamp, Topic};
use peal_store::log::{Headers, NewRecord};
use peal_store::simulated::Store;
use peal_store::status::State;
use serde_json::{Value, json};

use crate::bench::{Bench, PARTITIONS, records, settings, simulation, told, user};
use crate::trap::{At, trapped};

#[tokio::test(start_paused = true)]
async fn a_join_makes_a_member_and_tells_all_members_once() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 25).await;
    let (status, answer) = bench.post("/v1/communities/7/joins", r#"{"user":100,"data":{"name":"Ada"}}"#).await;
    assert_eq!(status, 202);
    let event = answer["event"].as_str().unwrap();
    let status = bench.published(event).await;
    assert_eq!((status.members, status.published, status.duplicates), (26, 26, 0));
    let mut everybody: Vec<_> = (0..25).collect();
    everybody.push(100);
    assert_eq!(told(&bench.stores, event).await, everybody);
    let notification = records(&bench.stores, Topic::Notifications).await.swap_remove(0);
    let value: Value = serde_json::from_slice(&notification.value).unwrap();
    assert_eq!(value["id"], format!("{event}:{}", notification.key.unwrap()));
    assert_eq!((&value["kind"], &value["community"]), (&json!("community.joined"), &json!(7)));
    assert_eq!(value["data"], json!({ "name": "Ada", "user": 100 }));
}

#[tokio::test(start_paused = true)]
async fn a_joiner_who_does_not_want_it_is_not_told_of_the_join_but_of_all_that_follows() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 3).await;
    bench.post("/v1/communities/7/joins", r#"{"user":9,"event":"join","notify_self":false}"#).await;
    bench.say(7, "after").await;
    assert_eq!(bench.published("after").await.members, 4);
    assert_eq!(told(&bench.stores, "join").await, [0, 1, 2]);
    assert_eq!(told(&bench.stores, "after").await, [0, 1, 2, 9]);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_community_without_members_is_published_to_nobody() {
    let bench = Bench::start(simulation().stores());
    bench.say(7, "alone").await;
    let status = bench.published("alone").await;
    assert_eq!((status.members, status.published), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_event_posted_again_is_accepted_again_and_told_once() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 15).await;
    for _ in 0..3 {
        bench.say(7, "again").await;
    }
    bench.say(7, "last").await;
    bench.published("last").await;
    assert_eq!(bench.published("again").await.duplicates, 2);
    assert_eq!(told(&bench.stores, "again").await, (0..15).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_user_is_told_of_the_events_of_a_community_in_their_order() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 12).await;
    for number in 0..40 {
        bench.say(7, &format!("e{number}")).await;
    }
    bench.published("e39").await;
    let mut of_user_3 = records(&bench.stores, Topic::Notifications).await;
    of_user_3.retain(|record| record.key == Some(3));
    let events: Vec<Value> = of_user_3
        .iter()
        .map(|record| serde_json::from_slice::<Value>(&record.value).unwrap()["event"].take())
        .collect();
    assert_eq!(events, (0..40).map(|number| json!(format!("e{number}"))).collect::<Vec<_>>());
}

/// Over HTTP the publisher's clock says when it began; in the log of events the record does, whoever wrote it.
#[tokio::test(start_paused = true)]
async fn each_notification_carries_the_deadline_and_the_collapse_key_of_its_event() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 15).await;
    let body = r#"{"kind":"k","event":"brief","ttl":60,"collapse":"joins.7"}"#;
    bench.post("/v1/communities/7/events", body).await;
    bench.say(7, "plain").await;
    let foreign =
        r#"{"version":1,"event":"foreign","kind":"k","user":3,"at":"2020-01-01T00:00:00.000Z","ttl":1,"data":{}}"#;
    let partition = partition_of(3, Topic::Events.partitions(PARTITIONS));
    let record = NewRecord { partition, key: 3, headers: Headers::default(), value: foreign.into() };
    bench.stores.log.append(Topic::Events, vec![record]).await.unwrap();
    bench.published("foreign").await;
    let accepted = bench.published("brief").await.at;
    bench.published("plain").await;
    for record in records(&bench.stores, Topic::Notifications).await {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        let (expires, key) = match value["event"].as_str().unwrap() {
            "brief" => (Some(accepted.after(Duration::from_secs(60))), Some("joins.7")),
            "foreign" => (Some(Timestamp::from_millis(1_577_836_801_000)), None),
            _ => (None, None),
        };
        assert_eq!((record.headers.expires, value["collapse"].as_str()), (expires, key), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn small_events_share_a_slice() {
    let (stores, count) = trapped(simulation().stores(), At::Never);
    let bench = Bench::start(simulation().stores());
    bench.crash().await;
    let append = |number: u32| {
        let value = format!(
            r#"{{"version":1,"event":"e{number}","kind":"k","community":5,"at":"2026-11-22T10:00:00.000Z","data":{{}}}}"#
        );
        NewRecord { partition: Partition::new(1), key: 5, headers: Headers::default(), value: value.into() }
    };
    stores.log.append(Topic::Events, (0..400).map(append).collect()).await.unwrap();
    stores.members.add(CommunityId::new(5).unwrap(), vec![user(1), user(2)]).await.unwrap();
    let bench = Bench::start_with(stores, peal_publisher::Settings::default());
    bench.published("e399").await;
    assert_eq!(records(&bench.stores, Topic::Notifications).await.len(), 800);
    let writes = count.writes.load(Ordering::Relaxed);
    let reads = count.reads.load(Ordering::Relaxed);
    assert!(writes <= 400 / peal_publisher::limits::SLICE_EVENTS_MAX + reads, "{writes} writes in {reads} reads");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_event_is_kept_with_its_reason_and_does_not_block() {
    let bench = Bench::start(simulation().stores());
    bench.fill(7, 2).await;
    let rubbish = |key, value: &'static str| NewRecord {
        partition: Partition::new(1),
        key,
        headers: Headers::default(),
        value: value.into(),
    };
    let other_key = r#"{"version":1,"event":"e","kind":"k","community":7,"at":"2026-11-22T10:00:00.000Z","data":{}}"#;
    let records_of_others =
        vec![rubbish(7, "rubbish"), rubbish(7, r#"{"version":9,"shape":"of tomorrow"}"#), rubbish(19, other_key)];
    bench.stores.log.append(Topic::Events, records_of_others).await.unwrap();
    bench.say(7, "after").await;
    assert_eq!(bench.published("after").await.members, 2);
    let letters: Vec<Value> = records(&bench.stores, Topic::DeadLetters)
        .await
        .iter()
        .map(|record| serde_json::from_slice(&record.value).unwrap())
        .collect();
    assert_eq!(letters.len(), 3);
    assert_eq!(letters[0]["value"], "rubbish");
    assert!(letters[0]["reason"].as_str().unwrap().starts_with("it is not an event"));
    assert_eq!(letters[1]["reason"], "it is of version 9, and this code reads version 1 only");
    assert_eq!(letters[2]["reason"], "its key is 19, but it is for community 7");
    assert_eq!((&letters[2]["partition"], &letters[2]["topic"]), (&json!(1), &json!("peal.events")));
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_large_event_grows_with_its_slices() {
    let (stores, count) = trapped(simulation().stores(), At::Before(3));
    let bench = Bench::start(stores);
    bench.fill(7, 95).await;
    bench.say(7, "large").await;
    count.sprung.notified().await;
    let (_, status) = bench.get("/v1/events/large").await;
    assert_eq!(status["state"], "expanding");
    assert_eq!((&status["members"], &status["published"]), (&json!(95), &json!(30)));
}

/// Though a second one of the large community waits as well, and all of them are on one partition.
#[tokio::test(start_paused = true)]
async fn small_events_go_ahead_of_large_ones() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(6, 950).await;
    bench.fill(8, 5).await;
    simulation.delay(Store::Log, Duration::from_millis(50));
    bench.say(6, "large").await;
    bench.say(6, "behind-it").await;
    for number in 0..20 {
        let small = format!("small-{number}");
        bench.say(8, &small).await;
        bench.published(&small).await;
    }
    let (_, large) = bench.get("/v1/events/large").await;
    assert_eq!(large["state"], "expanding");
    assert!((1..900).contains(&large["published"].as_u64().unwrap()), "{large}");
    assert_eq!(bench.get("/v1/events/behind-it").await.1["state"], "accepted");
    bench.published("behind-it").await;
    simulation.delay(Store::Log, Duration::ZERO);
    let records = records(&bench.stores, Topic::Notifications).await;
    let of = |event: &'static str| {
        records
            .iter()
            .filter(move |record| String::from_utf8_lossy(&record.value).contains(event))
            .map(|record| record.key)
    };
    assert_eq!((of("large").count(), of("behind-it").count()), (950, 950));
    for user in [0, 1, 949] {
        let of_user = records.iter().filter(|record| record.key == Some(user));
        let events: Vec<_> = of_user.filter_map(|record| serde_json::from_slice::<Value>(&record.value).ok()).collect();
        let of_community: Vec<_> =
            events.iter().filter(|event| event["community"] == 6).map(|event| &event["event"]).collect();
        assert_eq!(of_community, ["large", "behind-it"], "user {user}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_workers_do_nothing() {
    let (stores, count) = trapped(simulation().stores(), At::Never);
    let bench = Bench::start_with(stores, settings());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let readers = [Topic::Events, Topic::Receipts].map(|topic| topic.partitions(PARTITIONS) as usize);
    assert_eq!(count.reads.load(Ordering::Relaxed), readers.iter().sum::<usize>());
    assert_eq!(count.writes.load(Ordering::Relaxed), 0);
    bench.say(7, "hello").await;
    assert_eq!(bench.published("hello").await.state, State::Published);
}
