//! Redis away, wiped, or younger than it was.

use std::time::Duration;

use peal_proto::event::EventRequest;
use peal_proto::shard::partition_of;
use peal_proto::{Audience, Event, Template, Topic, UserId};
use peal_store::log::{Headers, Log, NewRecord};
use tokio::time::timeout;

use crate::parts::redis::Redis;
use crate::parts::site::PARTITIONS;
use crate::real::until;
use crate::trial::{Ground, Outcome, Setup, Trial};
use crate::witness::scene::{Load, community, user};

const AWAY: Duration = Duration::from_secs(60);
const FROZEN: Duration = Duration::from_secs(20);
const BACK_TIMEOUT: Duration = Duration::from_secs(45);

/// How many events have to be accepted in the meantime, joins among them.
const ACCEPTED: usize = 100;

/// What stands in the notification log without a publisher having put it there.
const BY_HAND: u64 = 8;

/// What an append-only file loses of its end.
const TAIL_BYTES: u64 = 2 * 1024 * 1024;

/// Until the owner of the communities has heard that their members were lost.
const HEARD_AFTER: Duration = Duration::from_secs(3);

/// Where Redis goes back in time, nobody joins: see [`Load::joins`].
fn without_joins(name: &'static str) -> Setup {
    Setup { load: Load { joins: false, ..Load::default() }, sockets_stay: true, ..Setup::of(name) }
}

/// Away for a minute: live delivery goes on, joins are accepted, nobody is guessed to be no member.
pub(super) async fn away(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("redis_away") }).await;
    let members = vec![user(4), user(5), user(9)]; // one always there at each node
    trial.found(community(BY_HAND), members).await;
    trial.oracle.by_hand(community(BY_HAND));
    let log = trial.site.log().await;
    told_by_hand(&trial, &*log, "by-hand-1").await;
    trial.goes_on(Duration::from_secs(5)).await;

    trial.redis.kill().await;
    let killed_at = trial.clock.uptime();
    let events_before = trial.oracle.events();
    // By then everybody has noticed.
    trial.goes_on(Duration::from_secs(5)).await;
    let accepted = timeout(Duration::from_secs(30), trial.oracle.more_events(ACCEPTED)).await;
    accepted.expect("events are accepted while Redis is away");
    trial.fault_ends();
    told_by_hand(&trial, &*log, "by-hand-2").await;
    let live = trial.is_back(Duration::from_secs(10)).await;
    trial.forget_back();
    trial.held(format!("live delivery went on: a notification in the log arrived after {} ms", live.as_millis()));
    let left = AWAY.saturating_sub(trial.clock.uptime().saturating_sub(killed_at));
    trial.goes_on(left).await;
    let accepted = trial.oracle.events() - events_before;
    trial.held(format!("{accepted} events, joins among them, were accepted while Redis was away"));

    trial.redis.start_again().await;
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(3)).await;
    trial.end().await
}

async fn told_by_hand(trial: &Trial, log: &dyn Log, id: &str) {
    let request: EventRequest = serde_json::from_str(r#"{"kind":"community.posted","data":{}}"#).unwrap();
    let event = Event::posted(Audience::Community(community(BY_HAND)), id.parse().unwrap(), trial.clock.now(), request)
        .unwrap();
    let template = Template::of(&event);
    let record = |user: UserId| {
        let mut value = Vec::new();
        template.write(user, &mut value);
        let key = user.get();
        NewRecord { partition: partition_of(key, PARTITIONS), key, headers: Headers::default(), value: value.into() }
    };
    let records = trial.oracle.members(community(BY_HAND)).into_iter().map(record).collect();
    trial.poster.recovery.posts(&event.event);
    log.append(Topic::Notifications, records).await.unwrap();
    trial.oracle.answered(community(BY_HAND), None, &event.event);
}

/// Answers nothing for a while, though its connections stay.
pub(super) async fn frozen(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("redis_frozen") }).await;
    trial.goes_on(Duration::from_secs(3)).await;
    trial.redis.freeze();
    trial.goes_on(FROZEN).await;
    trial.redis.thaw();
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(3)).await;
    trial.end().await
}

/// Redis forgets how far events are; nobody says it again.
fn forgetful(setup: Setup) -> Setup {
    Setup { keeps_accounts: false, ..setup }
}

/// Wiped under load, and wiped again.
pub(super) async fn flushall(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, forgetful(Setup { sockets_stay: true, ..Setup::of("redis_flushall") })).await;
    for _ in 0..2 {
        trial.goes_on(Duration::from_secs(8)).await;
        trial.redis.does(&["FLUSHALL"]);
        trial.fault_ends();
        trial.goes_on(HEARD_AFTER).await;
        trial.members_are_put_right();
        trial.is_back(BACK_TIMEOUT).await;
    }
    trial.goes_on(Duration::from_secs(8)).await;
    trial.was_read_again().await;
    trial.end().await
}

/// A new instance at the same address.
pub(super) async fn empty(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, forgetful(Setup { sockets_stay: true, ..Setup::of("redis_empty") })).await;
    trial.goes_on(Duration::from_secs(10)).await;
    trial.redis.kill().await;
    trial.redis.lose_everything();
    trial.goes_on(Duration::from_secs(2)).await;
    trial.redis.start_again().await;
    trial.fault_ends();
    trial.goes_on(HEARD_AFTER).await;
    trial.members_are_put_right();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(8)).await;
    trial.was_read_again().await;
    trial.end().await
}

/// The disk had not written the end of the append-only file.
pub(super) async fn truncated(ground: &mut Ground) -> Outcome {
    let setup = without_joins("redis_truncated");
    let load = Load { data_bytes: 1_000, ..setup.load.clone() };
    let mut trial = Trial::begin(ground, forgetful(Setup { load, ..setup })).await;
    let begun = trial.redis.tail_bytes(); // the members stand there
    let grown = async || trial.redis.tail_bytes() > begun + TAIL_BYTES;
    until("the append-only file grows", Duration::from_secs(90), grown).await;
    trial.redis.kill().await;
    trial.redis.lose_tail(TAIL_BYTES);
    trial.redis.start_again().await;
    trial.fault_ends();
    trial.members_are_put_right();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(5)).await;
    trial.was_read_again().await;
    trial.end().await
}

/// The replica stopped following five seconds before the primary died, and takes its address.
pub(super) async fn promoted(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, forgetful(without_joins("redis_promoted"))).await;
    let mut replica = Redis::following(&trial.redis, &trial.dir.join("replica")).await;
    trial.goes_on(Duration::from_secs(8)).await;
    replica.does(&["REPLICAOF", "NO", "ONE"]);
    trial.goes_on(Duration::from_secs(5)).await;
    trial.redis.kill().await;
    replica.take_the_place_of(&trial.redis);
    trial.fault_ends();
    trial.members_are_put_right();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(8)).await;
    trial.was_read_again().await;
    trial.end().await
}
