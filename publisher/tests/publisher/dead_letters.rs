//! Dead letters over HTTP: listed, shown, and put back where they came from.

use std::time::Duration;

use bytes::Bytes;
use peal_proto::{DeadLetter, Offset, Partition, Position, Timestamp, Topic};
use peal_publisher::limits::LETTERS_INFLIGHT_REQUESTS_MAX;
use peal_store::Stores;
use peal_store::inbox::Retention;
use peal_store::log::{Commit, Headers, NewRecord, Source};
use peal_store::simulated::{Outage, Simulation, Store};
use serde_json::{Value, json};

use crate::bench::{Bench, PARTITIONS, records, simulation, told};

const PATH: &str = "/v1/dead-letters";

/// Community 0 is of partition 0, however many there are.
const EVENT: &str = r#"{"version":1,"event":"e1","kind":"k","community":0,"at":"2026-11-22T10:00:00.000Z","data":{}}"#;

fn record(partition: u32, key: u64, value: impl Into<Bytes>) -> NewRecord {
    NewRecord { partition: Partition::new(partition), key, headers: Headers::default(), value: value.into() }
}

/// A letter in a partition of the dead letters, from the same partition of another topic.
fn letter(partition: u32, topic: Topic, key: Option<u64>, value: &[u8]) -> NewRecord {
    let reason = "the test says so".to_owned();
    let letter = DeadLetter::new(reason, topic, Partition::new(partition), Offset::new(5), key, value);
    record(partition, 0, letter.to_json())
}

async fn append(stores: &Stores, records: Vec<NewRecord>) {
    stores.log.append(Topic::DeadLetters, records).await.unwrap();
}

/// The ids on a page, and where it says to go on.
async fn page(bench: &Bench, query: &str) -> (Vec<String>, Option<String>) {
    let (status, page) = bench.get(&format!("{PATH}?{query}")).await;
    assert_eq!(status, 200, "{page}");
    let id = |letter: &Value| letter["letter"].as_str().unwrap().to_owned();
    let ids = page["letters"].as_array().unwrap().iter().map(id).collect();
    (ids, page["next"].as_str().map(str::to_owned))
}

/// The ids of all letters, page by page.
async fn walk(bench: &Bench, limit: usize) -> Vec<String> {
    let (mut ids, mut next) = page(bench, &format!("limit={limit}")).await;
    while let Some(from) = next {
        let (more, behind) = page(bench, &format!("limit={limit}&from={from}")).await;
        assert!(more.len() <= limit);
        assert_ne!(behind.as_deref(), Some(&*from), "it does not get on");
        ids.extend(more);
        next = behind;
    }
    ids
}

async fn replay(bench: &Bench, id: &str) -> (u16, Value) {
    bench.post(&format!("{PATH}/{id}/replay"), "").await
}

async fn replay_again(bench: &Bench, id: &str) -> (u16, Value) {
    bench.post(&format!("{PATH}/{id}/replay?again=true"), "").await
}

#[track_caller]
fn is_refused((status, problem): &(u16, Value), expected: u16, part: &str) {
    let detail = problem["detail"].as_str().unwrap();
    assert!(*status == expected && detail.contains(part), "{status}: {detail}");
}

#[tokio::test(start_paused = true)]
async fn letters_are_listed_by_their_ids_each_once_whatever_a_page_holds() {
    let bench = Bench::start(simulation().stores());
    assert_eq!(bench.get(PATH).await, (200, json!({ "letters": [], "next": null })));
    for partition in [5, 0, 11, 5, 5, 0] {
        append(&bench.stores, vec![letter(partition, Topic::Events, Some(7), b"rubbish")]).await;
    }
    let expected = ["0-0", "0-1", "5-0", "5-1", "5-2", "11-0"];
    for limit in 1..=7 {
        assert_eq!(walk(&bench, limit).await, expected, "{limit} a page");
    }
    let (_, first) = bench.get(&format!("{PATH}?limit=1&from=5-1")).await;
    let listed = json!({ "letter": "5-1", "replayed": false, "reason": "the test says so", "attempt": 1,
        "topic": "peal.events", "partition": 5,
        "offset": 5, "key": 7, "bytes": 7 });
    assert_eq!(first, json!({ "letters": [listed], "next": "5-2" }));
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_shown_with_its_value_and_listed_without() {
    let bench = Bench::start(simulation().stores());
    let letters = [(Topic::Events, None, &b"say \"hi\""[..]), (Topic::Notifications, Some(2), b"\xff\x00")];
    append(&bench.stores, letters.map(|(topic, key, value)| letter(3, topic, key, value)).to_vec()).await;
    let shown = json!({ "letter": "3-0", "replayed": false, "reason": "the test says so", "attempt": 1,
        "topic": "peal.events", "partition": 3, "offset": 5,
        "key": null, "value": "say \"hi\"" });
    assert_eq!(bench.get(&format!("{PATH}/3-0")).await, (200, shown));
    let (_, bytes) = bench.get(&format!("{PATH}/3-1")).await;
    assert_eq!((&bytes["value_hex"], &bytes["value"], &bytes["key"]), (&json!("ff00"), &Value::Null, &json!(2)));
    let (_, list) = bench.get(PATH).await;
    assert_eq!((&list["letters"][0]["bytes"], &list["letters"][0]["value"]), (&json!(8), &Value::Null));
    assert_eq!(list["letters"][1]["bytes"], 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_replayed_is_told_once_however_often() {
    let bench = Bench::start(simulation().stores());
    bench.fill(0, 3).await;
    append(&bench.stores, vec![letter(0, Topic::Events, Some(0), EVENT.as_bytes())]).await;
    for offset in 0..3 {
        let stands = json!({ "letter": "0-0", "topic": "peal.events", "partition": 0, "offset": offset });
        assert_eq!(replay_again(&bench, "0-0").await, (202, stands));
    }
    bench.say(0, "behind").await;
    bench.published("behind").await;
    assert_eq!(told(&bench.stores, "e1").await, [0, 1, 2]);
    assert_eq!(bench.published("e1").await.duplicates, 2);
}

#[tokio::test(start_paused = true)]
async fn what_still_is_no_event_becomes_another_letter() {
    let bench = Bench::start(simulation().stores());
    bench.stores.log.append(Topic::Events, vec![record(0, 7, "rubbish")]).await.unwrap();
    bench.say(0, "first").await;
    bench.published("first").await;
    assert_eq!(walk(&bench, 10).await, ["0-0"]);
    let (status, stands) = replay(&bench, "0-0").await;
    assert_eq!((status, &stands["topic"]), (202, &json!("peal.events")));
    bench.say(0, "second").await;
    bench.published("second").await;
    assert_eq!(walk(&bench, 10).await, ["0-0", "0-1"]);
    let (_, mut again) = bench.get(&format!("{PATH}/0-1")).await;
    assert_eq!(again["offset"], stands["offset"], "it is not the letter of the replay");
    let (_, before) = bench.get(&format!("{PATH}/0-0")).await;
    assert_eq!((&before["replayed"], &before["attempt"], &again["attempt"]), (&json!(true), &json!(1), &json!(2)));
    let headers = json!([{ "name": "attempt", "value": "2" }, { "name": "replayed-from", "value": "0-0" }]);
    assert_eq!(again["headers"], headers);
    again.as_object_mut().unwrap().remove("headers");
    for field in ["letter", "offset", "replayed", "attempt"] {
        again[field] = before[field].clone();
    }
    assert_eq!(again, before);
}

/// A letter that was replayed stays so for all publishers, and is not replayed again unasked.
#[tokio::test(start_paused = true)]
async fn a_letter_is_replayed_twice_only_when_asked() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    append(&bench.stores, vec![letter(2, Topic::Notifications, Some(2), b"{}"); 3]).await;
    assert_eq!(replay(&bench, "2-1").await.0, 202);
    bench.crash().await;
    let bench = Bench::start(simulation.stores());
    is_refused(&replay(&bench, "2-1").await, 409, "dead letter 2-1 was replayed before; with ?again=true it is");
    let (_, page) = bench.get(PATH).await;
    let replayed: Vec<_> =
        page["letters"].as_array().unwrap().iter().map(|letter| letter["replayed"].clone()).collect();
    assert_eq!(replayed, [false, true, false]);
    assert_eq!(replay_again(&bench, "2-1").await.0, 202);
    assert_eq!(replay(&bench, "2-0").await.0, 202);
    assert_eq!(records(&bench.stores, Topic::Notifications).await.len(), 3);
}

/// What stood beside the value is as much of a record as the value is.
#[tokio::test(start_paused = true)]
async fn a_record_is_buried_with_its_headers_and_replayed_with_them() {
    let bench = Bench::start(simulation().stores());
    let expires = Some(Timestamp::from_millis(1_795_341_600_123));
    let others = vec![("x-trace".into(), Bytes::from_static(b"\xff")), ("shop".into(), "7".into())];
    let headers = Headers { expires, traceparent: Some("00-0af7".into()), others, ..Headers::default() };
    let buried = NewRecord { headers: headers.clone(), ..record(0, 7, "rubbish") };
    bench.stores.log.append(Topic::Events, vec![buried]).await.unwrap();
    bench.say(0, "behind").await;
    bench.published("behind").await;
    let letters = records(&bench.stores, Topic::DeadLetters).await;
    let said = |name| letters[0].headers.other(name).unwrap().to_owned();
    assert_eq!(said("__connect.errors.topic"), "peal.events");
    assert_eq!((said("__connect.errors.partition"), said("__connect.errors.offset")), ("0".to_owned(), "0".to_owned()));
    assert_eq!((said("__connect.errors.exception.class.name"), said("attempt")), ("not-an-event".into(), "1".into()));
    assert!(said("__connect.errors.exception.message").starts_with("it is not an event: expected"));

    assert_eq!(replay(&bench, "0-0").await.0, 202);
    let stand = records(&bench.stores, Topic::Events).await;
    let mut replayed = stand.last().unwrap().headers.clone();
    assert_eq!((replayed.other("attempt"), replayed.other("replayed-from")), (Some("2"), Some("0-0")));
    replayed.others.truncate(2);
    assert_eq!(replayed, headers);
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_replayed_as_it_was_into_its_partition() {
    let bench = Bench::start(simulation().stores());
    append(&bench.stores, vec![letter(2, Topic::Notifications, Some(14), b"\xff\x00 rubbish")]).await;
    for offset in 0..2 {
        assert_eq!(replay_again(&bench, "2-0").await.1["offset"], offset);
    }
    let stand = records(&bench.stores, Topic::Notifications).await;
    let stand: Vec<_> = stand.iter().map(|record| (record.key, &record.value[..])).collect();
    assert_eq!(stand, [(Some(14), &b"\xff\x00 rubbish"[..]); 2]);
    let mut reader = bench.stores.log.reader(Topic::Notifications, Partition::new(2), Position::START).await.unwrap();
    assert_eq!(reader.next().await.unwrap()[0].offset, Offset::new(0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_found_or_replayed_is_refused_with_why() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    let of = |topic, key| letter(0, topic, key, b"v");
    let letters = vec![of(Topic::Events, Some(0)), of(Topic::Events, None), of(Topic::Receipts, Some(1))];
    append(&bench.stores, letters).await;
    append(&bench.stores, vec![record(0, 1, "no letter"), letter(1, Topic::Events, Some(1), &[b'x'; 200_000])]).await;
    simulation.expire_log(Topic::DeadLetters, Partition::new(0), Position::at(Offset::new(1)));
    append(&bench.stores, vec![of(Topic::Events, Some(0)); 2]).await;

    let beyond = format!("{PARTITIONS}-0");
    for (id, status, part) in [
        ("7", 400, "the id of a dead letter is <partition>-<offset>, such as 7-0"),
        ("0-x", 400, "not \"0-x\""),
        ("0-6", 404, "there is no dead letter 0-6, or it is older than what the log keeps"),
        ("0-0", 404, "there is no dead letter 0-0"),
        ("5-0", 404, "there is no dead letter 5-0"),
        (&beyond, 404, "there is no dead letter 12-0"),
    ] {
        is_refused(&bench.get(&format!("{PATH}/{id}")).await, status, part);
        is_refused(&replay(&bench, id).await, status, part);
    }
    is_refused(
        &replay(&bench, "0-1").await,
        400,
        "dead letter 0-1 can't be replayed: its record had no number as its key",
    );
    is_refused(&replay(&bench, "0-2").await, 400, "it is of peal.receipts, and only what is of peal.events, ");
    is_refused(&replay(&bench, "0-3").await, 400, "it is of peal.dead-letters");
    is_refused(&replay(&bench, "1-0").await, 400, "only the beginning of its 200000 bytes is kept");
    assert_eq!(bench.get(&format!("{PATH}?from=1-0")).await.1["letters"][0]["bytes"], 200_000);
    let (_, foreign) = bench.get(&format!("{PATH}/0-3")).await;
    assert!(foreign["reason"].as_str().unwrap().starts_with("it is not a dead letter: expected"), "{foreign}");
    assert_eq!((&foreign["value"], &foreign["key"]), (&json!("no letter"), &json!(1)));
    for (query, part) in [
        ("limit=0", "limit: it must be an integer from 1 to 1000, not \"0\""),
        ("limit=1001", "from 1 to 1000"),
        ("limit=many", "not \"many\""),
        ("from=x", "from: the id of a dead letter is"),
        ("after=0-1", "unknown field `after`, expected `from` or `limit`"),
    ] {
        is_refused(&bench.get(&format!("{PATH}?{query}")).await, 400, part);
    }
    assert_eq!(records(&bench.stores, Topic::Events).await, []);
}

#[tokio::test(start_paused = true)]
async fn records_past_retention_and_marks_of_transactions_hold_up_a_list_but_hide_nothing() {
    let partitions = 100;
    let simulation = Simulation::new(7, partitions, Retention::default());
    let bench = Bench::start(simulation.stores());
    for partition in 0..partitions {
        append(&bench.stores, vec![letter(partition, Topic::Events, Some(7), b"old"); 2]).await;
        if partition % 10 > 0 {
            simulation.expire_log(Topic::DeadLetters, Partition::new(partition), Position::at(Offset::new(2)));
        }
    }
    let source = Source { group: "test", topic: Topic::DeadLetters, partition: Partition::new(99) };
    let commit = Commit { position: Position::START, metadata: String::new() };
    let marked = vec![letter(99, Topic::Events, Some(7), b"new")];
    let mut writer = bench.stores.log.writer("test").await.unwrap();
    writer.write(vec![(Topic::DeadLetters, marked)], source, commit).await.unwrap();
    let behind = bench.stores.log.end(Topic::DeadLetters, Partition::new(99)).await.unwrap();
    assert_eq!(behind, Position::at(Offset::new(4)), "there is no mark");

    let mut expected: Vec<_> = (0..100).step_by(10).flat_map(|p| [format!("{p}-0"), format!("{p}-1")]).collect();
    expected.push("99-2".to_owned());
    let (ids, next) = page(&bench, "").await; // and not that the log is late
    assert!(next.is_some() && ids.len() >= 2, "{ids:?} and {next:?}");
    assert_eq!(walk(&bench, 1_000).await, expected);
    let end = bench.stores.log.end(Topic::DeadLetters, Partition::new(1)).await.unwrap();
    assert_eq!(page(&bench, "limit=1000").await, (expected, None), "it is waited for in vain again");
    is_refused(&bench.get(&format!("{PATH}/1-2")).await, 404, "there is no dead letter 1-2"); // it is a canary
    assert_eq!(bench.stores.log.end(Topic::DeadLetters, Partition::new(1)).await.unwrap(), end, "another canary");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_hides_no_letter() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    let last = PARTITIONS - 1;
    append(&bench.stores, vec![letter(last, Topic::Events, Some(7), b"rubbish")]).await;
    simulation.delay(Store::Log, Duration::from_millis(700));
    for _ in 0..20 {
        let (status, page) = bench.get(&format!("{PATH}?from={last}-0")).await;
        assert_eq!((status, page["letters"].as_array().unwrap().len()), (200, 1), "a letter is hidden");
        assert_eq!(bench.get(&format!("{PATH}/{last}-0")).await.0, 200, "a letter is hidden");
    }
    let end = bench.stores.log.end(Topic::DeadLetters, Partition::new(last)).await.unwrap();
    assert!(end > Position::at(Offset::new(1)), "it was never so slow that a canary was sent");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_is_said_in_time_and_readers_are_few() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    append(&bench.stores, vec![letter(0, Topic::Events, Some(0), EVENT.as_bytes())]).await;
    let shown = format!("{PATH}/0-0");
    simulation.break_down(Store::Log, Outage::Refuse);
    for answer in [bench.get(PATH).await, bench.get(&shown).await, replay(&bench, "0-0").await] {
        is_refused(&answer, 503, "the log is not available: it is down; try again later");
    }
    simulation.break_down(Store::Log, Outage::Hang);
    is_refused(&bench.get(PATH).await, 503, "no answer in 5000 ms");
    let hanging = futures_util::future::join_all((0..LETTERS_INFLIGHT_REQUESTS_MAX).map(|_| bench.get(&shown)));
    let one_more = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.get(PATH).await
    };
    let (hanging, one_more) = tokio::join!(hanging, one_more);
    is_refused(&one_more, 503, "too many readers of dead letters are in flight");
    hanging.iter().for_each(|answer| is_refused(answer, 503, "no answer in 5000 ms"));
    simulation.heal(Store::Log);
    assert_eq!(bench.get(&shown).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_was_not_answered_is_not_known() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    append(&bench.stores, vec![letter(2, Topic::Notifications, Some(2), b"{}")]).await;
    simulation.lose_answers(Store::Log, 30);
    let (mut replayed, mut not_known) = (0, 0);
    for _ in 0..50 {
        let (status, answer) = replay_again(&bench, "2-0").await;
        let detail = answer["detail"].as_str().unwrap_or_default();
        replayed += usize::from(status == 202);
        not_known += usize::from(detail.contains("it is not known whether dead letter 2-0 was replayed"));
    }
    simulation.lose_answers(Store::Log, 0);
    let stand = records(&bench.stores, Topic::Notifications).await.len();
    assert!(replayed > 0 && not_known > 0);
    assert!((replayed..=replayed + not_known).contains(&stand), "{stand}: {replayed}, perhaps {not_known} more");
}
