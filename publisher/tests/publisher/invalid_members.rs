//! Members that are no users: dead letters of the events they could not be told of, each once whatever crashes.

use peal_proto::CommunityId;
use peal_publisher::limits::MEMBER_LETTERS_MAX;
use peal_store::simulated::Simulation;
use peal_store::status::State;
use serde_json::{Value, json};

use crate::bench::{Bench, PATIENCE, published, simulation, told};
use crate::trap::{At, trapped};

const COMMUNITY: u64 = 7;

fn put(simulation: &Simulation, members: impl IntoIterator<Item = String>) {
    let community = CommunityId::new(COMMUNITY).unwrap();
    members.into_iter().for_each(|member| simulation.put_member(community, member.as_bytes()));
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("no-user-{number:03}")).collect()
}

/// The values of all dead letters of an event, in order.
async fn letters(bench: &Bench, event: &str) -> Vec<String> {
    let (status, page) = bench.get("/v1/dead-letters?limit=1000").await;
    assert_eq!((status, &page["next"]), (200, &Value::Null));
    let mut values = Vec::new();
    for listed in page["letters"].as_array().unwrap() {
        let (_, letter) = bench.get(&format!("/v1/dead-letters/{}", listed["letter"].as_str().unwrap())).await;
        if letter["reason"].as_str().unwrap().contains(&format!("event {event} was told to the others only")) {
            values.push(letter["value"].as_str().unwrap().to_owned());
        }
    }
    values.sort_unstable();
    values
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_no_user_is_a_dead_letter_and_the_others_are_told() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(COMMUNITY, 25).await;
    put(&simulation, ["alice".to_owned(), "9007199254740992".to_owned()]);
    bench.say(COMMUNITY, "e1").await;
    let status = published(&bench.stores, "e1").await;
    assert_eq!((status.members, status.published, status.failed), (27, 27, 2));
    assert_eq!(told(&bench.stores, "e1").await, (0..25).collect::<Vec<_>>());
    assert_eq!(letters(&bench, "e1").await, ["9007199254740992", "alice"]);

    let (_, page) = bench.get("/v1/dead-letters").await;
    let alice = &page["letters"][1];
    assert_eq!((&alice["topic"], &alice["key"], &alice["bytes"]), (&json!("peal.events"), &Value::Null, &json!(5)));
    let reason = alice["reason"].as_str().unwrap();
    assert!(reason.contains(r#"SREM the simulated set "alice""#), "{reason}");
    let path = format!("/v1/dead-letters/{}/replay", alice["letter"].as_str().unwrap());
    let (status, problem) = bench.post(&path, "").await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 400 && detail.contains("post what it should have said instead"), "{status}: {detail}");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_community_with_no_user_in_it_is_settled_and_all_of_it_has_failed() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    put(&simulation, texts(3 * MEMBER_LETTERS_MAX));
    bench.say(COMMUNITY, "e1").await;
    published(&bench.stores, "e1").await;
    let (_, account) = bench.get("/v1/events/e1").await;
    let all = json!(3 * MEMBER_LETTERS_MAX);
    assert_eq!((&account["state"], &account["members"], &account["failed"]), (&json!("settled"), &all, &all));
    let letters = letters(&bench, "e1").await;
    assert_eq!(letters, texts(MEMBER_LETTERS_MAX), "a set of texts does not make a letter of each");
}

/// Slices of ten: five for the large event; the letters come with the last.
async fn crash_at(at: At) {
    let simulation = simulation();
    let (stores, count) = trapped(simulation.stores(), at);
    let bench = Bench::start(stores);
    bench.fill(COMMUNITY, 45).await;
    put(&simulation, texts(15));
    bench.say(COMMUNITY, "e1").await;
    bench.say(COMMUNITY, "e2").await;
    tokio::time::timeout(PATIENCE, count.sprung.notified()).await.expect("there are fewer slices");
    bench.crash().await;

    let next = Bench::start(simulation.stores());
    for event in ["e1", "e2"] {
        let status = next.published(event).await;
        assert_eq!((status.members, status.published, status.failed), (60, 60, 15), "{event}, {at:?}");
        assert_eq!(status.state, State::Published);
        assert_eq!(told(&next.stores, event).await, (0..45).collect::<Vec<_>>(), "{event}, {at:?}");
        assert_eq!(letters(&next, event).await, texts(15), "{event}, {at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_or_after_any_slice_leaves_each_one_letter_of_each_event() {
    for slice in 0..10 {
        crash_at(At::Before(slice)).await;
        crash_at(At::After(slice)).await;
    }
}
