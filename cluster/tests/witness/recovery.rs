//! How long it takes until what is posted after a fault arrives again, at clients of all nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use peal_proto::{EventId, NodeId, UserId};
use peal_serve::Clock;
use tokio::sync::watch;
use tokio::time::timeout;

use super::scene::{NODES, owner};

#[derive(Clone)]
pub(crate) struct Recovery {
    clock: Clock,
    watch: Arc<watch::Sender<Watch>>,
}

/// What is watched for since the end of the last fault.
#[derive(Default)]
struct Watch {
    /// When it ended; `None` before the first.
    since: Option<Duration>,
    /// What was posted since.
    fresh: BTreeSet<EventId>,
    /// When each node's clients saw the first of it, after the end.
    back: BTreeMap<NodeId, Duration>,
}

impl Recovery {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::system(), watch: Arc::default() }
    }

    /// The fault ends now.
    pub(crate) fn begins(&self) {
        let since = Some(self.clock.uptime());
        self.watch.send_replace(Watch { since, ..Watch::default() });
    }

    /// An event is about to be posted for the first time.
    pub(crate) fn posts(&self, event: &EventId) {
        self.watch.send_if_modified(|watch| watch.since.is_some() && watch.fresh.insert(event.clone()));
    }

    /// A client was shown an event.
    pub(crate) fn saw(&self, user: UserId, event: &EventId) {
        let now = self.clock.uptime();
        self.watch.send_if_modified(|Watch { since, fresh, back }| {
            let node = owner(user);
            let Some(since) = since.filter(|_| !back.contains_key(&node) && fresh.contains(event)) else {
                return false;
            };
            back.insert(node, now.saturating_sub(since));
            true
        });
    }

    /// Waits until clients of all nodes have seen something that was posted since; how long that took.
    pub(crate) async fn ends(&self, at_most: Duration) -> Duration {
        let mut watch = self.watch.subscribe();
        let all_back = watch.wait_for(|watch| watch.back.len() == usize::from(NODES));
        let back = timeout(at_most, all_back).await.map(|watch| watch.unwrap().back.clone());
        let back = back.unwrap_or_else(|_| {
            let back: Vec<_> = self.watch.borrow().back.keys().map(ToString::to_string).collect();
            panic!("after {} s notifications arrive again at nodes {back:?} only", at_most.as_secs())
        });
        back.into_values().max().unwrap_or_default()
    }
}
