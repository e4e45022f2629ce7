//! Kafka away, all of it or one broker.

use std::sync::atomic::Ordering;
use std::time::Duration;

use peal_proto::EventId;
use peal_publisher::limits::INFLIGHT_REQUESTS_MAX;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::latecomer;
use crate::parts::site::why_not_ready;
use crate::real::until;
use crate::trial::{Ground, Outcome, Setup, Trial};
use crate::witness::scene::{NODES, community, user};

const AWAY: Duration = Duration::from_secs(60);
const FROZEN: Duration = Duration::from_secs(20);

/// More than the publisher takes at once.
const FLOOD: u64 = INFLIGHT_REQUESTS_MAX as u64 + 400;

/// Where they are posted in turn, and who is told: of those who are always there one at each node. A user is told of a quarter:
/// the inbox keeps 1,000 for him.
const FLOODED: [(u64, [u64; 3]); 4] = [(9, [4, 5, 9]), (10, [8, 12, 13]), (11, [16, 17, 21]), (12, [20, 24, 25])];

/// Who comes while Kafka is away, and what was parked by then.
const LATE: u64 = 201;
const PARKED: u64 = 23;
const PARKED_EVENTS: usize = 10;
const REPLAY_TIMEOUT: Duration = Duration::from_secs(15);

/// Behind which a client of Kafka has found that it is back, and new ones have been elected for everything.
const BACK_TIMEOUT: Duration = Duration::from_secs(60);

/// All of Kafka is away for a minute: sockets stay, the publisher refuses once it is full, nothing accepted is dropped.
pub(super) async fn away(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("kafka_away") }).await;
    for (flooded, members) in FLOODED {
        trial.found(community(flooded), members.map(user).to_vec()).await;
        trial.oracle.unordered(community(flooded)); // several post at once here
    }
    trial.found(community(PARKED), vec![user(LATE)]).await;
    for number in 1..=PARKED_EVENTS {
        let event: EventId = format!("parked-{number}").parse().unwrap();
        trial.poster.post(community(PARKED), &event, 100).await;
    }
    trial.goes_on(Duration::from_secs(5)).await;

    trial.kafka.kill(1);
    let killed_at = trial.clock.uptime();
    let refused_before = trial.poster.refused.load(Ordering::Relaxed);
    let mut flood = JoinSet::new();
    for (number, (flooded, _)) in (0..FLOOD).zip(FLOODED.into_iter().cycle()) {
        let poster = trial.poster.clone();
        let event: EventId = format!("flood-{number}").parse().unwrap();
        flood.spawn(async move { poster.post(community(flooded), &event, 100).await });
    }
    let (site, refused) = (&trial.site, &trial.poster.refused);
    let full = async || {
        let is_full = site.publisher_metric(&["peal_inflight_refused_total", "requests"]).await > 0.0;
        is_full && refused.load(Ordering::Relaxed) > refused_before
    };
    until("the publisher refuses when it is full", Duration::from_secs(10), full).await;
    trial.held("the publisher answered 503 with Retry-After once it was full");
    says_so(&mut trial).await;
    let late = latecomer::reads(trial.site.api.clone(), &trial.oracle, user(LATE), REPLAY_TIMEOUT).await;
    assert_eq!(late.seen.len(), PARKED_EVENTS, "a user who comes while Kafka is away is given what was parked");
    trial.held("a user who came while Kafka was away was given what was parked");

    let left = AWAY.saturating_sub(trial.clock.uptime().saturating_sub(killed_at));
    trial.goes_on(left).await;
    trial.kafka.start_what_is_down().await;
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    timeout(BACK_TIMEOUT, flood.join_all()).await.expect("what was refused is taken when it is posted again");
    trial.end_with(async move || vec![late]).await
}

/// The only broker answers nothing for a while, though its connections stay.
pub(super) async fn frozen(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("kafka_frozen") }).await;
    trial.goes_on(Duration::from_secs(3)).await;
    trial.kafka.freeze(1);
    trial.goes_on(FROZEN).await;
    trial.kafka.thaw(1);
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(3)).await;
    trial.end().await
}

async fn says_so(trial: &mut Trial) {
    for node in 0..NODES {
        let api = trial.site.node_api(node);
        let says = async || why_not_ready(&api).await.is_some();
        until("/readyz of a node says that Kafka is away", Duration::from_secs(40), says).await;
    }
    let says = async || why_not_ready(&trial.site.api).await.is_some();
    until("/readyz of the publisher says that Kafka is away", Duration::from_secs(40), says).await;
    trial.held("/readyz of nodes and publisher said that Kafka was away");
}

/// One of three brokers is killed, and comes back.
pub(super) async fn broker_killed(ground: &mut Ground) -> Outcome {
    let setup = Setup { brokers: 3, sockets_stay: true, ..Setup::of("broker_killed") };
    let mut trial = Trial::begin(ground, setup).await;
    trial.goes_on(Duration::from_secs(5)).await;
    trial.kafka.kill(1);
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(10)).await;
    trial.kafka.start_what_is_down().await;
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(5)).await;
    trial.end().await
}
