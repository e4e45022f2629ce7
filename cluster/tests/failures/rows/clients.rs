//! Clients that do not read, and clients whose link dies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use peal_proto::{EventId, UserId};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::flaky::Crowd;
use crate::parts::network::{HOST, Network};
use crate::real::until;
use crate::silent::{self, Silent};
use crate::trial::{Ground, Outcome, Setup, Trial};
use crate::witness::scene::{NODES, community, owner, user};

/// Who never reads: one at each node.
const SILENT: [u64; NODES as usize] = [101, 102, 103];
const STILL: u64 = 21;

/// More than a node holds for one socket (256 KiB) and the system for a connection, and less than is kept for one user (1 MiB).
const STILL_EVENTS: u64 = 100;
const STILL_BYTES: usize = 8 * 1024;

/// A node closes who read nothing for 30 s after it was given more than its socket holds.
const CLOSED_TIMEOUT: Duration = Duration::from_secs(60);

/// Until a client that was silent has seen everything.
const READ_TIMEOUT: Duration = Duration::from_secs(45);

/// Each is sent a megabyte and reads nothing; then it reads, from its cursor, and misses nothing.
pub(super) async fn never_read(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("never_reads") }).await;
    let users = SILENT.map(user);
    trial.found(community(STILL), users.to_vec()).await;
    let mut silent = Vec::new();
    for user in users {
        silent.push(Silent::open(user, trial.site.address(owner(user))).await);
    }
    trial.fault_ends();
    for number in 1..=STILL_EVENTS {
        let event: EventId = format!("still-{number}").parse().unwrap();
        trial.poster.post(community(STILL), &event, STILL_BYTES).await;
    }
    trial.is_back(Duration::from_secs(10)).await; // everybody else
    let full_at = trial.clock.uptime();
    let too_slow = ["peal_node_sessions_closed_total", "too_slow"];
    let closed = async || trial.site.nodes_metric(&too_slow).await >= f64::from(NODES);
    until("nodes close who never reads with 4002", CLOSED_TIMEOUT, closed).await;
    let after = trial.clock.uptime().saturating_sub(full_at).as_secs();
    trial.held(format!("nodes closed them with 4002 after {after} s; nobody else noticed"));

    let (api, oracle) = (trial.site.api.clone(), trial.oracle.clone());
    trial.end_with(async move || silent::all_read(silent, &api, &oracle, READ_TIMEOUT).await).await
}

/// Twenty events a second to 400 clients: 8,000 notifications a second.
const FLAKY: u64 = 400;
const FIRST_FLAKY: u64 = 1_001;
const LINKED: u64 = 22;
const PACE: Duration = Duration::from_millis(50);
const COURSE: Duration = Duration::from_secs(60);

/// Many events are on their way at once, as from many posters.
pub(super) async fn dead_links(ground: &mut Ground) -> Outcome {
    let network = Arc::new(Network::new());
    let mut trial = Trial::begin(ground, Setup { host: HOST, ..Setup::of("dead_links") }).await;
    let users: Vec<UserId> = (FIRST_FLAKY..FIRST_FLAKY + FLAKY).map(user).collect();
    trial.found(community(LINKED), users.clone()).await;
    trial.oracle.unordered(community(LINKED));
    let crowd = Crowd::gather(&network, &trial.oracle, &users, |user| trial.site.address(owner(user)));

    let begun = trial.clock.uptime();
    let mut posts = JoinSet::new();
    let mut pace = interval(PACE);
    let mut number = 0;
    while trial.clock.uptime().saturating_sub(begun) < COURSE {
        pace.tick().await;
        number += 1;
        let event: EventId = format!("linked-{number}").parse().unwrap();
        let poster = trial.poster.clone();
        posts.spawn(async move { poster.post(community(LINKED), &event, 100).await });
    }
    posts.join_all().await;
    let counts = Arc::clone(&crowd.counts);
    let seen = counts.seen.load(Ordering::Relaxed) as f64 / trial.clock.uptime().saturating_sub(begun).as_secs_f64();
    let cuts = counts.cuts.load(Ordering::Relaxed);
    trial.came_back(Duration::from_millis(counts.back_millis.load(Ordering::Relaxed)));
    trial.held(format!("{seen:.0} notifications/s arrived for {} s, over {cuts} cuts; back: from connecting again to the first of them", COURSE.as_secs()));
    let open = trial.site.nodes_metric(&["peal_node_sessions{"]).await;
    assert!(open > FLAKY as f64 * 1.5, "nodes heard of the cuts: they hold {open} sockets only");
    trial.held(format!("nodes held {open} sockets at the end: they had not heard of the cuts"));
    trial.end_with(async move || crowd.listens_to_the_end().await).await
}
