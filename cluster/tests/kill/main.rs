//! A real cluster, killed with SIGKILL in mid-load twenty times over, and real WebSocket clients that must not notice.
//!
//! Here: the course of the test. Who posts is [`poster`]'s business, who listens [`audience`]'s, what must have been seen
//! [`oracle`]'s.

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the test")]

mod audience;
mod oracle;
mod poster;

use std::path::Path;
use std::time::Duration;

use peal_cluster::api::{Api, Change};
use peal_cluster::child::Recipe;
use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::audience::Audience;
use self::oracle::Oracle;
use self::poster::Posters;

const KILLS: u32 = 20;
const NODES: u16 = 3;

/// And stopped in order, which must not lose more than a kill does.
const STOPS: u32 = 3;

/// Posts answered between two ends of the cluster. A post is a few milliseconds, so a kill meets every stage of some.
const POSTS_BETWEEN_ENDS: std::ops::Range<u64> = 10..60;

/// For the whole test; it takes about a third of it.
const BOUND: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_killed_twenty_times_loses_nothing_repeats_nothing_and_keeps_order() {
    timeout(BOUND, course()).await.expect("the test takes no longer than its bound");
}

#[expect(clippy::print_stdout, reason = "how many repeats there were is worth knowing when nothing failed, too")]
async fn course() {
    let data = tempfile::tempdir().unwrap();
    let recipe = Recipe::new(Path::new(env!("CARGO_BIN_EXE_peal")), NODES, data.path()).unwrap();
    let api = recipe.api();
    let mut cluster = recipe.start().await.unwrap();
    let oracle = Oracle::new();
    seed(&api, &oracle).await;

    let (up, is_up) = watch::channel(true);
    let audience = Audience::gather(&api, &oracle);
    let mut posters = Posters::start(&api, &oracle, is_up);
    for end in 1..=KILLS + STOPS {
        posters.answered(rand::rng().random_range(POSTS_BETWEEN_ENDS)).await;
        up.send(false).unwrap();
        if end <= KILLS {
            cluster.kill().await.unwrap();
        } else {
            assert!(cluster.stop().await.unwrap(), "a stop in order ends well");
        }
        cluster = recipe.start().await.unwrap_or_else(|error| panic!("start {end}: {error}"));
        up.send(true).unwrap();
    }
    posters.answered(POSTS_BETWEEN_ENDS.end).await;
    posters.finish().await;

    let sockets = audience.listens_to_the_end().await;
    let report = oracle.judge(&sockets);
    println!("{KILLS} kills, {STOPS} stops: {report}");
    assert!(report.is_clean(), "{report}");
}

/// The members that communities begin with.
async fn seed(api: &Api, oracle: &Oracle) {
    let mut seeded = JoinSet::new();
    for (community, members) in oracle.communities() {
        let api = api.clone();
        let change = Change { add: members, ..Change::default() };
        seeded.spawn(async move { api.change(community, &change).await.unwrap() });
    }
    seeded.join_all().await;
}
