//! Nodes killed, asked to stop, and two of one ordinal.

use std::time::Duration;

use crate::parts::page::metric;
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
    for node in 0..NODES {
        trial.goes_on(Duration::from_secs(2)).await;
        let asked = trial.clock.uptime();
        trial.site.stop_node(node, STOP_TIMEOUT).await;
        longest = longest.max(trial.clock.uptime().saturating_sub(asked));
        trial.fault_ends();
        trial.site.start_node(node);
        trial.is_back(BACK_TIMEOUT).await;
    }
    trial.site.stop_publisher(STOP_TIMEOUT).await;
    trial.fault_ends();
    trial.site.start_publisher();
    trial.is_back(BACK_TIMEOUT).await;
    trial.held(format!("every node stopped in order, within {:.1} s", longest.as_secs_f64()));
    trial.end().await
}

/// A second process claims to be node 0. The first is frozen, so that its leases run out and the second reads; then it
/// thaws, and both believe that the partitions are theirs, until the second is killed.
pub(super) async fn twins(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup::of("node_twins")).await;
    trial.goes_on(Duration::from_secs(2)).await;
    let (mut twin, address) = trial.site.another_node(0);
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
