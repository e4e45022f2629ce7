//! Publishers killed in mid-fan-out, and two at once.

use std::collections::BTreeSet;
use std::time::Duration;

use peal_cluster::api::ApiError;
use peal_proto::{DeadLetter, EventId, Topic, UserId};
use peal_store::status::{Account, State};
use tokio::time::sleep;

use crate::parts::site::PARTITIONS;
use crate::reading::{copies, everything, one_copy_a_member};
use crate::real::until;
use crate::trial::{Ground, Outcome, Setup, Trial};
use crate::witness::scene::{community, user};

const KILLS: u32 = 10;
const CROWD: u64 = 100_000;
const CROWDED: u64 = 20;

/// Members of the crowd that are no users.
const INVALID: usize = 50;

/// What a publisher gets done at least before it is killed again: several slices.
const PROGRESS: u64 = 3_000;

const LOOK: Duration = Duration::from_millis(5);
const BACK_TIMEOUT: Duration = Duration::from_secs(45);
const FANOUT_TIMEOUT: Duration = Duration::from_secs(90);

/// Killed ten times inside of one fan-out after the other to a hundred thousand members.
pub(super) async fn killed(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup::of("publisher_killed")).await;
    trial.found(community(CROWDED), (1..=CROWD).map(user).collect::<Vec<UserId>>()).await;
    let invalid: Vec<_> = (0..INVALID).map(|number| format!("no user {number}")).collect();
    trial.spoil(community(CROWDED), &invalid);
    let mut events = 0;
    let mut kills = 0;
    while kills < KILLS {
        events += 1;
        let event: EventId = format!("crowd-{events}").parse().unwrap();
        trial.poster.post(community(CROWDED), &event, 100).await;
        let mut published = 0;
        while let Some(more) = under_way(&mut trial, &event, published).await.filter(|_| kills < KILLS) {
            published = more;
            trial.site.kill_publisher().await;
            kills += 1;
            trial.site.start_publisher();
            trial.fault_ends();
            trial.is_back(BACK_TIMEOUT).await;
        }
    }
    for number in 1..=events {
        let event: EventId = format!("crowd-{number}").parse().unwrap();
        until("all are told", FANOUT_TIMEOUT, async || is_published(trial.site.api.account(&event).await)).await;
    }
    trial.held(format!("{KILLS} kills, all of them inside of fan-outs to {CROWD} members ({events} of them)"));
    all_have_one_copy(&mut trial, events).await;
    trial.end().await
}

fn is_published(account: Result<Account, ApiError>) -> bool {
    account.is_ok_and(|account| account.status.state >= State::Published)
}

/// Waits until more have been told than last time; how many. `None` when all are.
async fn under_way(trial: &mut Trial, event: &EventId, before: u64) -> Option<u64> {
    loop {
        trial.site.still_runs();
        if let Ok(Account { status, .. }) = trial.site.api.account(event).await {
            match status.state {
                State::Published | State::Settled | State::Failed => return None,
                State::Expanding if status.published >= before + PROGRESS => return Some(status.published),
                State::Expanding | State::Accepted => {}
            }
        }
        sleep(LOOK).await;
    }
}

async fn all_have_one_copy(trial: &mut Trial, events: u32) {
    let log = trial.site.log().await;
    let copies = copies(&everything(&*log, Topic::Notifications).await);
    for number in 1..=events {
        let event: EventId = format!("crowd-{number}").parse().unwrap();
        assert_eq!(copies[&event].len() as u64, CROWD, "members that have {event}");
    }
    trial.held(one_copy_a_member(&copies));
    let letters = everything(&*log, Topic::DeadLetters).await;
    let letters = letters.iter().map(|letter| serde_json::from_slice::<DeadLetter>(&letter.value).unwrap());
    let letters: Vec<_> = letters.map(|letter| (letter.partition, letter.offset, letter.value)).collect();
    let each: BTreeSet<_> = letters.iter().collect();
    let expected = events as usize * INVALID;
    assert_eq!((letters.len(), each.len()), (expected, expected), "dead letters, and different ones");
    trial.held(format!("each of {INVALID} members that are no users is one dead letter of each event"));
}

/// A second publisher takes its share of the partitions; then it is frozen until the log has given them to the first, wakes up at
/// work on them, and is killed in the end.
pub(super) async fn twins(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("publisher_twins") }).await;
    trial.goes_on(Duration::from_secs(3)).await;
    let (twin, twin_api) = trial.site.another_publisher();
    until("the second publisher is ready", BACK_TIMEOUT, async || twin_api.ready().await.is_ok()).await;
    let all = f64::from(Topic::Events.partitions(PARTITIONS));
    has_workers(&trial, all / 2.0).await;
    trial.held(format!("of {all} partitions the first gave the second half"));
    trial.goes_on(Duration::from_secs(5)).await;
    twin.freeze();
    has_workers(&trial, all).await;
    trial.goes_on(Duration::from_secs(3)).await;
    twin.thaw();
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(8)).await;
    twin.kill().await;
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    has_workers(&trial, all).await;
    trial.held("all again while it was frozen, and once it was killed".to_owned());
    trial.goes_on(Duration::from_secs(3)).await;
    let log = trial.site.log().await;
    trial.held(one_copy_a_member(&copies(&everything(&*log, Topic::Notifications).await)));
    trial.end().await
}

/// Waits until the first publisher fans so many partitions out.
async fn has_workers(trial: &Trial, workers: f64) {
    let running = async || trial.site.publisher_metric(&["peal_fanout_workers", "running"]).await;
    until("the partitions are shared anew", BACK_TIMEOUT, async || (running().await - workers).abs() < 0.5).await;
}
