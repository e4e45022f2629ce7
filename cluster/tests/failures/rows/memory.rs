//! Nodes that have less memory than what their users do not read.

use std::fs;
use std::time::Duration;

use peal_proto::EventId;

use crate::parts::page::metric;
use crate::real::until;
use crate::silent::{self, Silent};
use crate::trial::{Ground, Outcome, Setup, Trial};
use crate::witness::scene::{NODES, community, owner, user};

/// A node at rest takes a third of it, and what it may hold for those who do not read is more than the rest.
const MEMORY_MAX: u64 = 64 << 20;

/// What is fetched of a node's 40 partitions and waits for them, a megabyte each at most: nobody can shed it, so it is on top.
const FETCHED_MAX: u64 = 40 << 20;

/// Who never reads: 140 at each node, for each of whom it may hold 256 KiB.
const SILENT: u64 = 420;
const FIRST_SILENT: u64 = 2_001;
const HEAVY: u64 = 23;

/// More than a node holds for a socket, less than is kept for a user.
const EVENTS: u64 = 48;
const BYTES: usize = 8 * 1024;

const SHED_TIMEOUT: Duration = Duration::from_secs(40);
/// Who does not read is closed after 30 s; some seconds later their memory is the system's again.
const OVER_TIMEOUT: Duration = Duration::from_secs(180);

/// Until all who were silent have seen everything: they come all at once, and are shed again.
const READ_TIMEOUT: Duration = Duration::from_secs(240);

/// Everybody else goes on; who was silent is told everything in the end.
pub(super) async fn short(ground: &mut Ground) -> Outcome {
    let env = vec![("PEAL_MEMORY_MAX".to_owned(), MEMORY_MAX.to_string())];
    let mut trial = Trial::begin(ground, Setup { env, ..Setup::of("memory_short") }).await;
    let users: Vec<_> = (FIRST_SILENT..FIRST_SILENT + SILENT).map(user).collect();
    trial.found(community(HEAVY), users.clone()).await;
    let mut silent = Vec::new();
    for user in users {
        silent.push(Silent::open(user, trial.site.address(owner(user))).await);
    }
    let begun = trial.clock.uptime();
    for number in 1..=EVENTS {
        let event: EventId = format!("heavy-{number}").parse().unwrap();
        trial.poster.post(community(HEAVY), &event, BYTES).await;
    }
    let shed = |page: f64| page >= 1.0;
    let any = async || shed(trial.site.nodes_metric(&["peal_node_shed{"]).await);
    until("a node sheds", SHED_TIMEOUT, any).await;
    let refused = first_refused(&trial).await;
    trial.held(format!("a new socket was refused: {refused}"));
    let none = async || trial.site.nodes_metric(&["peal_node_shed{"]).await == 0.0;
    until("no node sheds any more", OVER_TIMEOUT, none).await;
    trial.came_back(trial.clock.uptime().saturating_sub(begun));
    trial.fault_ends();
    trial.is_back(SHED_TIMEOUT).await;
    trial.forget_back();
    in_order(&mut trial);

    let (api, oracle) = (trial.site.api.clone(), trial.oracle.clone());
    let mut outcome = trial.end_with(async move || silent::all_read(silent, &api, &oracle, READ_TIMEOUT).await).await;
    let peak = outcome.peaks.node;
    let most = (MEMORY_MAX + FETCHED_MAX) / 1024;
    assert!(peak <= most, "a node had {peak} KiB where {most} is the most");
    outcome.held.push(format!("no node had more than {} MiB where it is to have {}", peak / 1024, MEMORY_MAX >> 20));
    outcome
}

/// What a node that sheds answers to a handshake; empty when none sheds any more.
async fn first_refused(trial: &Trial) -> String {
    for number in 1..=u64::from(NODES) {
        let user = user(number);
        let node = trial.site.address(owner(user));
        if metric(node, &["peal_node_shed{"]).await >= 1.0 {
            // It may have had memory again for a moment.
            if let Some(answer) = silent::refusal(user, node).await {
                assert!(answer.starts_with("503") && answer.contains("no memory for more sockets"), "{answer}");
                return answer;
            }
        }
    }
    String::new()
}

/// What each node says in its log of what it shed: in order, on the way up and on the way down.
fn in_order(trial: &mut Trial) {
    let stages = ["nothing", "sockets", "replays", "live"];
    let mut worst = 0;
    for node in 0..NODES {
        let log = fs::read_to_string(trial.dir.join(format!("node-{node}.log"))).unwrap();
        let mut now = 0;
        for line in log.lines().filter(|line| line.contains("this is shed now")) {
            let word = |key: &str| {
                let said = line.split_whitespace().find_map(|word| word.strip_prefix(key));
                stages.iter().position(|stage| said.is_some_and(|said| said.trim_matches('"') == *stage)).unwrap()
            };
            let (from, to) = (word("from="), word("to="));
            assert_eq!(from, now, "{line}");
            assert_eq!(line.contains("memory runs out"), to > from, "{line}");
            now = to;
            worst = worst.max(to);
        }
        assert_eq!(now, 0, "node {node} still sheds");
    }
    assert!(worst >= 2, "no node shed more than {}", stages[worst]);
    trial.held(format!("they shed up to {}, and nothing in the end", stages[worst]));
}
