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

use crate::oracle::{Oracle, USERS, user};

/// Back-offs would otherwise grow to half a minute: no socket stands for long here.
const BACKOFF_CAP: Duration = Duration::from_millis(300);

/// How long one who comes and goes stays, and is away, in milliseconds.
const STAY: Range<u64> = 20..900;

/// How long the last of them may take, once nothing is killed any more.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// What one client was shown, and how.
pub(crate) struct Socket {
    pub(crate) user: UserId,
    pub(crate) seen: Vec<EventId>,
    pub(crate) connections: u64,
    pub(crate) repeats: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Always,
    OnAndOff,
    OnlyInTheEnd,
}

pub(crate) struct Audience {
    listeners: JoinSet<Socket>,
    end: watch::Sender<bool>,
}

struct Listener {
    client: Client,
    habit: Habit,
    /// Of all sockets of the user together, behind which there is nothing to wait for.
    oracle: Oracle,
    seen_by_user: Arc<watch::Sender<BTreeSet<EventId>>>,
    end: watch::Receiver<bool>,
    socket: Socket,
}

impl Audience {
    pub(crate) fn gather(api: &Api, oracle: &Oracle) -> Self {
        let (end, has_ended) = watch::channel(false);
        let mut listeners = JoinSet::new();
        for number in 1..=USERS {
            let habit = match number % 4 {
                0 | 1 => Habit::Always,
                2 => Habit::OnAndOff,
                _ => Habit::OnlyInTheEnd,
            };
            let sockets = if number % 8 == 1 { 2 } else { 1 };
            let seen_by_user = Arc::new(watch::Sender::new(BTreeSet::new()));
            for _ in 0..sockets {
                let client = Client::new(api.clone(), user(number), None, Clock::system());
                let listener = Listener {
                    client: client.waiting_at_most(BACKOFF_CAP),
                    habit,
                    oracle: oracle.clone(),
                    seen_by_user: Arc::clone(&seen_by_user),
                    end: has_ended.clone(),
                    socket: Socket { user: user(number), seen: Vec::new(), connections: 0, repeats: 0 },
                };
                listeners.spawn(listener.listen());
            }
        }
        Self { listeners, end }
    }

    /// Everybody comes, and stays until nothing is owed any more, or in vain.
    pub(crate) async fn listens_to_the_end(self) -> Vec<Socket> {
        self.end.send(true).unwrap();
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
        let Self { client, socket, seen_by_user, .. } = self;
        let mut handler = |happening: Happening<'_>| {
            match happening {
                Happening::Open { .. } => socket.connections += 1,
                Happening::Notification { notification, .. } => {
                    let Notification { event } = serde_json::from_str(notification.get())?;
                    socket.seen.push(event.clone());
                    seen_by_user.send_modify(|seen| {
                        seen.insert(event);
                    });
                }
                Happening::Gap { from, to, reason } => panic!("a gap from {from} to {to}: {}", reason.name()),
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

#[derive(Deserialize)]
struct Notification {
    event: EventId,
}
