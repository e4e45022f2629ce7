//! Publishers that die or lose their place: whoever takes over tells everybody who was not told, and nobody again.

use std::time::Duration;

use peal_store::simulated::{Outage, Store};
use peal_store::status::State;

use crate::bench::{Bench, published, reached, simulation, told};
use crate::trap::{At, trapped};

const MEMBERS: u64 = 45;

/// Slices of ten: five for the large event, whose last has the first of the small ones as well.
const SLICES: usize = 6;

async fn crash_at(at: At) {
    let simulation = simulation();
    let (stores, count) = trapped(simulation.stores(), at);
    let bench = Bench::start(stores);
    bench.fill(7, MEMBERS).await;
    bench.post("/v1/communities/7/joins", r#"{"user":1000,"event":"large"}"#).await;
    bench.fill(19, 3).await; // the same partition
    bench.say(19, "small").await;
    bench.say(7, "large").await;
    count.sprung.notified().await;
    bench.crash().await;

    let next = Bench::start(simulation.stores());
    let large = next.published("large").await;
    assert_eq!((large.members, large.published), (MEMBERS + 1, MEMBERS + 1), "{at:?}");
    assert_eq!(next.published("small").await.members, 3, "{at:?}");
    let everybody: Vec<_> = (0..MEMBERS).chain([1000]).collect();
    assert_eq!(told(&next.stores, "large").await, everybody, "{at:?}");
    assert_eq!(told(&next.stores, "small").await, [0, 1, 2], "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_or_after_any_slice_skips_nobody_and_tells_nobody_twice() {
    for slice in 0..SLICES {
        crash_at(At::Before(slice)).await;
        crash_at(At::After(slice)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_every_store_change_nothing_but_the_time_it_takes() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(7, 150).await;
    for store in Store::ALL {
        simulation.lose_answers(store, 30);
    }
    for number in 0..10 {
        let body = format!(r#"{{"kind":"k","event":"e{number}"}}"#);
        // As a poster does: again with the same id until it is accepted.
        while bench.post("/v1/communities/7/events", body.clone()).await.0 != 202 {}
    }
    for number in 0..10 {
        published(&bench.stores, &format!("e{number}")).await;
    }
    for store in Store::ALL {
        simulation.lose_answers(store, 0);
    }
    for number in 0..10 {
        let event = format!("e{number}");
        assert_eq!(told(&bench.stores, &event).await, (0..150).collect::<Vec<_>>(), "{event}");
        let status = bench.published(&event).await;
        assert_eq!((status.members, status.published), (150, 150), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn publishers_share_the_partitions_and_whoever_is_left_has_all() {
    let simulation = simulation();
    let older = Bench::start(simulation.stores());
    for community in [6, 7] {
        older.fill(community, 33).await;
    }
    say_to_both(&older, "before").await;
    assert_eq!(partitions_of(&older).await, 2);
    let newer = Bench::start(simulation.stores());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((partitions_of(&older).await, partitions_of(&newer).await), (1, 1));
    say_to_both(&older, "shared").await;
    older.crash().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(partitions_of(&newer).await, 2);
    say_to_both(&newer, "alone").await;
    for event in ["before", "shared", "alone"] {
        for community in [6, 7] {
            let event = format!("{event}-{community}");
            assert_eq!(told(&newer.stores, &event).await, (0..33).collect::<Vec<_>>(), "{event}");
        }
    }
}

/// To a community of each partition.
async fn say_to_both(bench: &Bench, event: &str) {
    for community in [6, 7] {
        let event = format!("{event}-{community}");
        bench.say(community, &event).await;
        bench.published(&event).await;
    }
}

async fn partitions_of(bench: &Bench) -> u64 {
    let (status, readiness) = bench.get("/readyz").await;
    assert_eq!(status, 200);
    readiness["fanout"]["assigned"].as_u64().unwrap()
}

/// As when a publisher wakes up that was frozen for long: the log has given its partition to another, which is at work.
#[tokio::test(start_paused = true)]
async fn a_worker_whose_place_another_has_taken_does_not_tell_anybody_twice() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(6, 33).await;
    bench.say(6, "before").await;
    bench.published("before").await;
    for round in 0..5 {
        let event = format!("e{round}");
        bench.say(6, &event).await;
        let name = format!("{}.0", peal_proto::name::FANOUT_GROUP);
        drop(bench.stores.log.writer(&name).await.unwrap()); // fences it wherever it is
        bench.published(&event).await;
        assert_eq!(told(&bench.stores, &event).await, (0..33).collect::<Vec<_>>(), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_in_order_and_the_next_publisher_goes_on() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(7, 95).await;
    simulation.delay(Store::Log, Duration::from_millis(50));
    bench.say(7, "large").await;
    reached(&bench.stores, "large", State::Expanding).await;
    bench.stop.cancel();
    bench.running.await.unwrap();
    assert!(told(&bench.stores, "large").await.len() < 95, "it was stopped on the way");
    let next = Bench::start(simulation.stores());
    next.published("large").await;
    simulation.delay(Store::Log, Duration::ZERO);
    assert_eq!(told(&next.stores, "large").await, (0..95).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever_for_a_log_that_hangs() {
    let simulation = simulation();
    let bench = Bench::start(simulation.stores());
    bench.fill(7, 95).await;
    simulation.break_down(Store::Members, Outage::Hang);
    bench.say(7, "large").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    simulation.break_down(Store::Log, Outage::Hang);
    simulation.heal(Store::Members);
    tokio::time::sleep(Duration::from_secs(1)).await; // now at a write
    bench.stop.cancel();
    let within = peal_publisher::limits::STOP_TIMEOUT + Duration::from_secs(1);
    tokio::time::timeout(within, bench.running).await.unwrap().unwrap();
    simulation.heal(Store::Log);
    let next = Bench::start(simulation.stores());
    next.published("large").await;
    assert_eq!(told(&next.stores, "large").await, (0..95).collect::<Vec<_>>());
}
