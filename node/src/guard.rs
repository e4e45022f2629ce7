//! What a node looks at now and then to defend itself: how much memory it has, whether its partitions answer, and whether its clock
//! goes with that of the stores.
//!
//! Owns when to look, and says what changed. What is shed is decided in [`crate::shedding`], and done by each partition.

mod skew;
mod stalls;

use metrics::gauge;
use peal_store::Leases;
use tokio_util::sync::CancellationToken;

use self::skew::Skew;
use self::stalls::Stalls;
use crate::limits::{CLOCK_LOOK_INTERVAL, MEMORY_LOOK_INTERVAL, STALL_LOOK_INTERVAL};
use crate::shedding::{Shed, Shedding};
use crate::state::NodeState;

/// Looks until `left`.
pub(crate) async fn run(state: &NodeState, leases: &dyn Leases, left: &CancellationToken) {
    tokio::join!(watch_memory(state, left), watch_partitions(state, left), watch_clock(state, leases, left));
}

async fn watch_memory(state: &NodeState, left: &CancellationToken) {
    let Some(memory_max) = state.limits.memory_max else { return };
    let node = state.id.to_string();
    gauge!("peal_node_memory_max_bytes", "node" => node.clone()).set(f64_of(memory_max));
    let (resident_gauge, shed_gauge) =
        (gauge!("peal_node_memory_bytes", "node" => node.clone()), gauge!("peal_node_shed", "node" => node));
    let mut shedding = Shedding::new(memory_max);
    while !is_over(left, MEMORY_LOOK_INTERVAL).await {
        let Some(resident) = peal_serve::process::resident_bytes() else {
            return tracing::warn!("how much memory the process has is not told here; its limit is not held");
        };
        resident_gauge.set(f64_of(resident));
        let now = shedding.look(resident);
        shed_gauge.set(now as u8);
        let mut before = now;
        state.shed.send_if_modified(|shed| {
            before = std::mem::replace(shed, now);
            before != now
        });
        if before != now {
            say(before, now, resident, memory_max);
        }
    }
}

fn say(before: Shed, now: Shed, resident: u64, memory_max: u64) {
    let (from, to) = (before.name(), now.name());
    if now > before {
        tracing::warn!(from, to, resident, memory_max, "memory runs out; this is shed now, and all before it");
    } else {
        tracing::info!(from, to, resident, memory_max, "there is memory again; this is shed now, and all before it");
    }
}

/// Exact up to 2^53, which no memory is.
#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn f64_of(bytes: u64) -> f64 {
    bytes as f64
}

async fn watch_partitions(state: &NodeState, left: &CancellationToken) {
    let gauge = gauge!("peal_node_partitions_stalled", "node" => state.id.to_string());
    let mut stalls = Stalls::default();
    while !is_over(left, STALL_LOOK_INTERVAL).await {
        let now = state.clock.uptime();
        for change in stalls.look(&state.stalled(), now) {
            match change {
                stalls::Change::Begun { partition } => {
                    tracing::error!(partition = partition.get(), "a partition's loop stalls; the node is not ready");
                }
                stalls::Change::Over { partition, after } => {
                    tracing::info!(partition = partition.get(), ?after, "a partition's loop goes on");
                }
            }
        }
        gauge.set(stalls.count());
    }
}

async fn watch_clock(state: &NodeState, leases: &dyn Leases, left: &CancellationToken) {
    let gauge = gauge!("peal_node_clock_ahead_seconds", "node" => state.id.to_string());
    let mut skew = Skew::default();
    while !is_over(left, CLOCK_LOOK_INTERVAL).await {
        let (ours, asked) = (state.clock.now(), state.clock.uptime());
        let answer = tokio::select! {
            () = left.cancelled() => return,
            answer = leases.time() => answer,
        };
        match answer {
            Ok(Some(theirs)) => {
                let took = state.clock.uptime().saturating_sub(asked);
                match skew.look(ours, took, theirs) {
                    Some(skew::Change::Off { millis }) => {
                        let ahead_seconds = millis / 1_000;
                        tracing::error!(
                            ahead_seconds,
                            "this clock and that of the store of leases differ; set both (NTP)"
                        );
                    }
                    Some(skew::Change::Right) => {
                        tracing::info!("this clock goes with that of the store of leases again");
                    }
                    None => {}
                }
                let ahead = skew.seconds();
                state.seat.send_if_modified(|seat| std::mem::replace(&mut seat.clock_ahead_seconds, ahead) != ahead);
                gauge.set(skew.ahead_seconds());
            }
            Ok(None) => return, // there is one clock
            Err(error) => tracing::debug!(%error, "the store of leases did not say what time it is"),
        }
    }
}

/// Whether it ended before so much time had passed.
async fn is_over(left: &CancellationToken, pause: std::time::Duration) -> bool {
    tokio::time::timeout(pause, left.cancelled()).await.is_ok()
}
