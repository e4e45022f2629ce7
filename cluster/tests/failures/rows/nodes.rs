//! Nodes killed, asked to stop, and two of one ordinal.

use std::time::Duration;

use crate::parts::page::metric;
use crate::parts::site::NODES_MAX;
use crate::real::until;
use crate::trial::{Ground, Outcome, Setup, Trial};
use crate::witness::scene::NODES;

const KILLS: u16 = 20;
const BACK_TIMEOUT: Duration = Duration::from_secs(45);

/// Shorter than the default of 5 s, which a killed node's partitions would wait for each of twenty times.
const LEASE: Duration = Duration::from_secs(2);

/// A node parks and commits for at most ten seconds when it leaves, behind waves of closed sockets.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than the default lease.
const FROZEN: Duration = Duration::from_secs(8);

/// Killed and started again at once, in turn.
pub(super) async fn killed(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { lease: Some(LEASE), ..Setup::of("node_killed") }).await;
    for kill in 0..KILLS {
        let node = kill % NODES;
        trial.site.kill_node(node).await;
        trial.fault_ends();
        trial.site.start_node(node);
        trial.is_back(BACK_TIMEOUT).await;
    }
    trial.held(format!("leases of {} s", LEASE.as_secs()));
    trial.end().await
}

/// Asked to stop, and started again, one after the other.
pub(super) async fn stopped(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup::of("node_stopped")).await;
    let mut longest = Duration::ZERO;
    trial.oracle.longest_silence();
    for node in 0..NODES {
        trial.goes_on(Duration::from_secs(2)).await;
        let asked = trial.clock.uptime();
        trial.site.stop_node(node, STOP_TIMEOUT).await;
        longest = longest.max(trial.clock.uptime().saturating_sub(asked));
        trial.fault_ends();
        trial.site.start_node(node);
        trial.is_back(BACK_TIMEOUT).await;
    }
    let silence = trial.oracle.longest_silence().as_secs_f64();
    trial.site.stop_publisher(STOP_TIMEOUT).await;
    trial.fault_ends();
    trial.site.start_publisher();
    trial.is_back(BACK_TIMEOUT).await;
    trial.held(format!(
        "every node drained, within {:.1} s, and nobody waited for more than {silence:.1} s",
        longest.as_secs_f64()
    ));
    trial.end().await
}

/// Three more nodes come and wait; then the number changes to 6, 4 and 3. In the second change one that is to give its partitions
/// away dies, so that they wait for its leases.
pub(super) async fn resharded(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { lease: Some(LEASE), ..Setup::of("resharded") }).await;
    (NODES..NODES_MAX).for_each(|node| trial.site.start_node(node));
    let mut silences = vec![trial.oracle.longest_silence()];
    for (nodes, dies) in [(6, None), (4, Some(5)), (3, None)] {
        trial.goes_on(Duration::from_secs(2)).await;
        trial.site.api.reshard(nodes).await.unwrap();
        if let Some(node) = dies {
            silences.push(trial.oracle.longest_silence());
            trial.site.kill_node(node).await;
        }
        trial.fault_ends();
        is_resharded(&mut trial, nodes).await;
        trial.is_back(BACK_TIMEOUT).await;
        silences.push(trial.oracle.longest_silence());
    }
    for node in [3, 4] {
        trial.site.stop_node(node, STOP_TIMEOUT).await;
    }
    trial.goes_on(Duration::from_secs(2)).await;
    let silences: Vec<_> = silences.iter().map(|silence| format!("{:.1}", silence.as_secs_f64())).collect();
    trial.held(format!(
        "nobody waited for more than {} s: at first, to 6, until a node died, to 4, to 3",
        silences.join(", ")
    ));
    trial.end().await
}

/// Waits until every partition is where it belongs, and read there.
async fn is_resharded(trial: &mut Trial, nodes: u32) {
    let api = trial.site.api.clone();
    let settled = async || api.shards(false).await.is_ok_and(|shards| shards.nodes == nodes && shards.is_settled());
    until("every partition is where it belongs", BACK_TIMEOUT, settled).await;
    trial.site.still_runs();
}

/// A second process claims to be node 0. The first is frozen, so that its leases run out and the second reads; then it
/// thaws, and both believe that the partitions are theirs, until the second is killed.
pub(super) async fn twins(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup::of("node_twins")).await;
    trial.goes_on(Duration::from_secs(2)).await;
    let (mut twin, address) = trial.site.another_node(0);
    trial.is_warned("node 0 is two processes").await;
    trial.goes_on(Duration::from_secs(4)).await;
    trial.site.node(0).freeze();
    trial.goes_on(FROZEN).await;
    let read = metric(address, &["peal_node_records_read_total"]).await;
    assert!(read > 0.0, "the second did not take the partitions of the frozen first");
    trial.held(format!("the second read {read} records while the first was frozen"));
    trial.site.node(0).thaw();
    trial.goes_on(Duration::from_secs(6)).await;
    twin.still_runs();
    twin.kill().await;
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(3)).await;
    trial.end().await
}
