//! A real cluster, killed with SIGKILL in mid-load twenty times over, and real WebSocket clients that must not notice.
//!
//! Here: the course of the test. Who posts, who listens and what must have been seen is in [`witness`].

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the test")]

#[expect(dead_code, reason = "the failure table uses more of it")]
#[path = "../witness/mod.rs"]
mod witness;

use std::path::Path;
use std::time::Duration;

use peal_cluster::api::Change;
use peal_cluster::child::Recipe;
use rand::Rng;
use tokio::time::timeout;

use self::witness::accounts;
use self::witness::audience::Audience;
use self::witness::oracle::{self, Oracle};
use self::witness::poster::{Poster, Posters};
use self::witness::recovery::Recovery;
use self::witness::scene::{Load, NODES, communities, founders, users};

const KILLS: u32 = 20;

/// And stopped in order, which must not lose more than a kill does.
const STOPS: u32 = 3;

/// Posts answered between two ends of the cluster. A post is a few milliseconds, so a kill meets every stage of some.
const POSTS_BETWEEN_ENDS: std::ops::Range<usize> = 10..60;

/// One post behind the other.
const PACE: Duration = Duration::from_millis(1);

/// For the whole test; it takes about a third of it.
const BOUND: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_killed_twenty_times_loses_nothing_repeats_nothing_and_keeps_order() {
    oracle::can_fail();
    timeout(BOUND, course()).await.expect("the test takes no longer than its bound");
}

#[expect(clippy::print_stdout, reason = "how many repeats there were is worth knowing when nothing failed, too")]
async fn course() {
    let data = tempfile::tempdir().unwrap();
    let recipe = Recipe::new(Path::new(env!("CARGO_BIN_EXE_peal")), NODES, data.path()).unwrap();
    let mut cluster = recipe.start().await.unwrap();
    let (api, oracle, recovery) = (recipe.api(), Oracle::default(), Recovery::new());
    for community in communities() {
        let change = Change { add: founders(community), ..Change::default() };
        api.change(community, &change).await.unwrap();
        oracle.founded(community, change.add);
    }

    let audience = Audience::gather(&api, &oracle, &recovery, users());
    let poster = Poster { api, oracle: oracle.clone(), recovery, refused: Default::default() };
    let posters = Posters::start(&poster, &Load { pace: PACE, ..Load::default() }, communities());
    for end in 1..=KILLS + STOPS {
        oracle.more_events(rand::rng().random_range(POSTS_BETWEEN_ENDS)).await;
        if end <= KILLS {
            cluster.kill().await.unwrap();
        } else {
            assert!(cluster.stop().await.unwrap(), "a stop in order ends well");
        }
        cluster = recipe.start().await.unwrap_or_else(|error| panic!("start {end}: {error}"));
    }
    oracle.more_events(POSTS_BETWEEN_ENDS.end).await;
    posters.finish().await;

    let sockets = audience.listens_to_the_end().await;
    let verdict = oracle.judge(&sockets);
    println!("{KILLS} kills, {STOPS} stops: {verdict}");
    assert!(verdict.is_clean(), "{verdict}");
    println!("{}", accounts::hold(&poster.api, &oracle, &sockets).await);
}
