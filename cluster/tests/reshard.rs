//! `peal up` that changes its number of nodes under load: 3 → 6 → 4 → 3, with real WebSocket clients that must not notice.
//!
//! Here: the course of the test. Who posts, who listens and what must have been seen is in [`witness`].

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the test")]

#[expect(dead_code, reason = "the failure table uses more of it")]
#[path = "witness/mod.rs"]
mod witness;

use std::path::Path;
use std::time::Duration;

use peal_cluster::api::{Api, ApiError, Change, Shards};
use peal_cluster::child::Recipe;
use tokio::time::{sleep, timeout};

use self::witness::accounts;
use self::witness::audience::Audience;
use self::witness::oracle::{self, Oracle};
use self::witness::poster::{Poster, Posters};
use self::witness::recovery::Recovery;
use self::witness::scene::{Load, NODES, communities, founders, users};

/// Ports are taken for as many as there will ever be.
const NODES_MAX: u16 = 6;

/// So few that the two or three waves of a change take seconds: users who only come in the end have room for 1,000 notifications.
const PARTITIONS: u32 = 24;

/// Posts that are answered between two changes.
const POSTS_BETWEEN: usize = 15;

/// A change is a few waves of a second; a busy machine may take many times as long.
const MOVED_TIMEOUT: Duration = Duration::from_secs(60);

/// For the whole test; it takes about a fifth of it.
const BOUND: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_resharded_under_load_loses_nothing_repeats_nothing_and_keeps_order() {
    oracle::can_fail();
    timeout(BOUND, course()).await.expect("the test takes no longer than its bound");
}

#[expect(clippy::print_stdout, reason = "how long it took is worth knowing when nothing failed, too")]
async fn course() {
    let data = tempfile::tempdir().unwrap();
    let spare = Recipe::new(Path::new(env!("CARGO_BIN_EXE_peal")), NODES_MAX, data.path()).unwrap();
    let recipe = Recipe { nodes: NODES, partitions: Some(PARTITIONS), ..spare };
    let mut cluster = recipe.start().await.unwrap();
    let (api, oracle, recovery) = (recipe.api(), Oracle::default(), Recovery::new());
    for community in communities() {
        let change = Change { add: founders(community), ..Change::default() };
        api.change(community, &change).await.unwrap();
        oracle.founded(community, change.add);
    }
    let refused = api.reshard(7).await.unwrap_err();
    assert!(matches!(&refused, ApiError::Problem(why) if why.detail.contains("7 does not, 6 or 8 would")), "{refused}");

    let audience = Audience::gather(&api, &oracle, &recovery, users());
    let poster = Poster { api: api.clone(), oracle: oracle.clone(), recovery, refused: Default::default() };
    let posters = Posters::start(&poster, &Load::default(), communities());
    for nodes in [6, 4, 3] {
        oracle.more_events(POSTS_BETWEEN).await;
        api.reshard(nodes).await.unwrap();
        let shards = moved(&api, nodes).await;
        let silence = oracle.longest_silence().as_millis();
        println!("{nodes} nodes, epoch {}: the longest that anybody waited was {silence} ms", shards.epoch);
        assert_eq!(shards.members.iter().filter(|member| member.owns > 0).count(), nodes as usize);
    }

    // Killed in the middle: as all of it is one process, it starts with what was asked for.
    api.reshard(6).await.unwrap();
    oracle.more_events(POSTS_BETWEEN).await;
    cluster.kill().await.unwrap();
    cluster = Recipe { nodes: 6, ..recipe }.start().await.unwrap();
    moved(&api, 6).await;
    oracle.more_events(POSTS_BETWEEN).await;
    posters.finish().await;

    let sockets = audience.listens_to_the_end().await;
    let verdict = oracle.judge(&sockets);
    println!("3 → 6 → 4 → 3 → 6: {verdict}");
    assert!(verdict.is_clean(), "{verdict}");
    println!("{}", accounts::hold(&poster.api, &oracle, &sockets).await);
    assert!(cluster.stop().await.unwrap());
}

/// Waits until every partition is where it belongs, and read there.
async fn moved(api: &Api, nodes: u32) -> Shards {
    let mut last = None;
    let moving = async {
        loop {
            last = Some(api.shards(false).await);
            if let Some(Ok(shards)) = &last
                && shards.nodes == nodes
                && shards.is_settled()
            {
                return shards.clone();
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let moved = timeout(MOVED_TIMEOUT, moving).await;
    moved.unwrap_or_else(|_| panic!("not at {nodes} nodes yet: {last:?}"))
}
