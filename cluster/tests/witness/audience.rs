//! Who listens: some always, some on and off, some only in the end, some with two sockets.
//!
//! Every client keeps its cursor while it is away, as a browser or a terminal does.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use peal_cluster::api::Api;
use peal_cluster::client::{Client, Happening, Stopped};
use peal_proto::{EventId, UserId};
use peal_serve::Clock;
use rand::Rng;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::oracle::{Oracle, Socket};
use super::recovery::Recovery;
use super::scene::{Habit, habit, sockets};

/// Back-offs would otherwise grow to half a minute, and hide how soon the cluster is back.
const BACKOFF_CAP: Duration = Duration::from_millis(300);

/// How long one who comes and goes stays, and is away, in milliseconds.
const STAY: Range<u64> = 100..3_000;

/// How long the last of them may take, once nothing is broken any more.
const END_TIMEOUT: Duration = Duration::from_secs(45);

pub(crate) struct Audience {
    listeners: JoinSet<Socket>,
    end: watch::Sender<bool>,
}

struct Listener {
    client: Client,
    habit: Habit,
    oracle: Oracle,
    recovery: Recovery,
    /// Of all sockets of the user together, behind which there is nothing to wait for.
    seen_by_user: Arc<watch::Sender<BTreeSet<EventId>>>,
    end: watch::Receiver<bool>,
    socket: Socket,
}

impl Audience {
    pub(crate) fn gather(
        api: &Api,
        oracle: &Oracle,
        recovery: &Recovery,
        users: impl IntoIterator<Item = UserId>,
    ) -> Self {
        let (end, has_ended) = watch::channel(false);
        let mut listeners = JoinSet::new();
        for user in users {
            let seen_by_user = Arc::new(watch::Sender::new(BTreeSet::new()));
            for _ in 0..sockets(user) {
                let client = Client::new(api.clone(), user, None, Clock::system());
                let listener = Listener {
                    client: client.waiting_at_most(BACKOFF_CAP),
                    habit: habit(user),
                    oracle: oracle.clone(),
                    recovery: recovery.clone(),
                    seen_by_user: Arc::clone(&seen_by_user),
                    end: has_ended.clone(),
                    socket: Socket::of(user),
                };
                listeners.spawn(listener.listen());
            }
        }
        Self { listeners, end }
    }

    /// Everybody comes, and stays until nothing is owed any more, or in vain.
    pub(crate) async fn listens_to_the_end(self) -> Vec<Socket> {
        self.end.send_replace(true);
        self.listeners.join_all().await
    }
}

impl Listener {
    async fn listen(mut self) -> Socket {
        let mut end = self.end.clone();
        match self.habit {
            Habit::Always => {}
            Habit::OnAndOff => self.comes_and_goes().await,
            Habit::OnlyInTheEnd => drop(end.wait_for(|end| *end).await.unwrap()),
        }
        self.stays().await;
        self.socket.repeats = self.client.repeats();
        self.socket
    }

    async fn comes_and_goes(&mut self) {
        let mut end = self.end.clone();
        while !*end.borrow() {
            let stop = CancellationToken::new();
            if rand::rng().random_bool(0.5) {
                drop(timeout(a_while(), self.runs(&stop)).await); // a crash, in mid-word
            } else {
                let leave = async {
                    drop(timeout(a_while(), end.wait_for(|end| *end)).await);
                    stop.cancel();
                };
                tokio::join!(self.runs(&stop), leave);
            }
            drop(timeout(a_while(), end.wait_for(|end| *end)).await);
        }
    }

    /// Until the end has come and the user has seen everything that is owed.
    async fn stays(&mut self) {
        let (mut end, mut seen, oracle) = (self.end.clone(), self.seen_by_user.subscribe(), self.oracle.clone());
        let (stop, user) = (CancellationToken::new(), self.socket.user);
        let all_seen = async {
            end.wait_for(|end| *end).await.unwrap();
            let owed = oracle.owed(user);
            drop(timeout(END_TIMEOUT, seen.wait_for(|seen| owed.is_subset(seen))).await);
            stop.cancel();
        };
        tokio::join!(self.runs(&stop), all_seen);
    }

    async fn runs(&mut self, stop: &CancellationToken) {
        let Self { client, socket, seen_by_user, recovery, oracle, habit, .. } = self;
        let mut handler = |happening: Happening<'_>| {
            match happening {
                Happening::Open { .. } => socket.connections += 1,
                Happening::Notification { cursor, notification, .. } => {
                    let Notification { event } = serde_json::from_str(notification.get())?;
                    recovery.saw(socket.user, &event);
                    if *habit == Habit::Always {
                        oracle.shown(&event);
                    }
                    socket.seen.push((cursor, event.clone()));
                    seen_by_user.send_modify(|seen| {
                        seen.insert(event);
                    });
                }
                Happening::Gap { from, to, reason } => socket.gap(from, to, reason),
                Happening::Keep(_) | Happening::Waiting { .. } => {}
            }
            Ok(())
        };
        let stopped = client.run(stop, &mut handler).await;
        assert!(matches!(stopped, Stopped::Asked), "user {}: {stopped}", socket.user);
    }
}

fn a_while() -> Duration {
    Duration::from_millis(rand::rng().random_range(STAY))
}

/// What is read of a notification.
#[derive(Deserialize)]
pub(crate) struct Notification {
    pub(crate) event: EventId,
}
