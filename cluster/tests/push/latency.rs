//! Sockets keep their latency while the endpoint hangs: the same posts, measured with an endpoint that answers and with one that
//! does not, in one process, where they share what there is to share.

use std::time::Duration;

use peal_serve::Clock;

use super::endpoint::{Act, Endpoint};
use super::scene::{Client, Scene, settings};

const POSTS: usize = 300;
/// Users who are away and told of each post; the one who is measured is there.
const AWAY: u64 = 20;

/// The time from a post to the socket within which half are there, and that of 99 in 100.
async fn percentiles(scene: &Scene, there: &mut Client, name: &str) -> [Duration; 2] {
    let clock = Clock::system();
    let mut times = Vec::with_capacity(POSTS);
    for number in 0..POSTS {
        let start = clock.uptime();
        scene.say(7, &format!("{name}-{number}")).await;
        assert_eq!(there.take().await, format!("{name}-{number}:100"));
        times.push(clock.uptime() - start);
    }
    times.sort_unstable();
    [50, 99].map(|percent| times[POSTS * percent / 100])
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_keep_their_latency_while_the_endpoint_hangs() {
    let (scene, endpoint) = (Scene::start(Duration::from_millis(50)).await, Endpoint::start([]).await);
    scene.push(&settings(&endpoint.url));
    scene.fill(7, (1..=AWAY).chain([100])).await;
    // One socket for both: another that opens while the last ack of this one is still under way is told of it once more.
    let mut there = scene.connect(100).await;
    let answers = percentiles(&scene, &mut there, "answers").await;
    let pushed = endpoint.received().len();
    endpoint.otherwise(Act::Hang);
    let hangs = percentiles(&scene, &mut there, "hangs").await;
    println!(
        "p50 and p99 of {POSTS} posts to a socket: {answers:?} while {pushed} pushes were answered, {hangs:?} while they hang"
    );
    assert!(pushed > POSTS, "pushes were under way");
    // An endpoint that is waited for costs seconds; a busy machine costs the slowest of a hundred more than the others.
    for ((hangs, answers), noise) in hangs.into_iter().zip(answers).zip([100, 1_000].map(Duration::from_millis)) {
        assert!(hangs < answers * 3 + noise, "{hangs:?}, and {answers:?} before");
    }
}
