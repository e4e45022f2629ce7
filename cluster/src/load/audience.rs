//! The users' side of a run: who is a member of what, their devices, and where they wait for each other. What was heard is the
//! [`ledger`](super::ledger)'s to judge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use peal_proto::{CommunityId, UserId};
use peal_serve::Clock;
use peal_store::members::MEMBERS_PAGE_MAX;
use serde::Deserialize;
use tokio::sync::{Barrier, Notify, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::record::{Record, micros};
use super::scene::Scene;
use super::silence::Silence;
use crate::api::{Api, Change};
use crate::client::{Client, Happening};

/// Devices that are opened at a time in the beginning, so that no handshake waits for another to time out.
const OPENING: usize = 64;

/// No back-off is longer: what is measured is the cluster.
const BACKOFF_CAP: Duration = Duration::from_secs(2);

/// All users of a run.
pub(super) struct Audience {
    api: Api,
    clock: Clock,
    scene: Scene,
    record: Arc<Record>,
    ledger: Arc<Mutex<Ledger>>,
    devices: Mutex<HashMap<u64, Device>>,
    meetings: Mutex<HashMap<Option<u64>, Arc<Barrier>>>,
    turns: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// A user's device, which keeps its cursor while it has no socket.
enum Device {
    Idle(Box<Client>),
    Open { close: CancellationToken, drop: Arc<Notify>, task: JoinHandle<Client> },
}

/// Of a notification, what is looked at.
#[derive(Deserialize)]
struct Heard<'n> {
    event: &'n str,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    posted: Option<u64>,
}

impl Audience {
    pub(super) fn new(api: Api, clock: Clock, scene: Scene, record: Arc<Record>) -> Self {
        let (devices, meetings, turns) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { api, clock, scene, record, ledger: Arc::default(), devices, meetings, turns }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        held(&self.ledger)
    }

    /// Everybody becomes a member and opens a device, where the plan begins so.
    pub(super) async fn gather(&self) -> Result<(), String> {
        if self.scene.founded {
            let mut communities: HashMap<u64, Vec<u64>> = HashMap::new();
            self.scene.seats().for_each(|seat| communities.entry(seat.community).or_default().push(seat.user));
            let mut founding = iter(communities).map(|(id, users)| self.found(id, users)).buffer_unordered(OPENING);
            while let Some(founded) = founding.next().await {
                founded?;
            }
        }
        if self.scene.sockets {
            let shards = self.api.shards(false).await.map_err(|error| format!("no shard map: {error}"))?;
            self.record.notes().silence = Silence::of(shards.partitions);
            self.open_all(self.scene.seats().map(|seat| seat.user).collect()).await?;
        }
        Ok(())
    }

    async fn found(&self, community: u64, users: Vec<u64>) -> Result<(), String> {
        let id = CommunityId::new(community).map_err(|error| error.to_string())?;
        for page in users.chunks(MEMBERS_PAGE_MAX) {
            let add = page.iter().filter_map(|user| UserId::new(*user).ok()).collect();
            let changed = self.api.change(id, &Change { add, ..Change::default() }).await;
            changed.map_err(|error| format!("community {community} got no members: {error}"))?;
        }
        users.iter().for_each(|user| self.ledger().joined(community, *user, Duration::ZERO));
        Ok(())
    }

    /// Those who are owed something and have no socket come, and hear it.
    pub(super) async fn hears_the_rest(&self) -> Result<(), String> {
        let waiting = self.ledger().waiting();
        self.open_all(waiting.clone()).await?;
        for user in waiting {
            self.hear(user).await?;
        }
        Ok(())
    }

    async fn open_all(&self, users: Vec<u64>) -> Result<(), String> {
        let mut opening = iter(users).map(|user| self.open(user)).buffer_unordered(OPENING);
        while let Some(opened) = opening.next().await {
            opened?;
        }
        Ok(())
    }

    /// The device connects, and again whenever that is lost, until it is dropped or closed.
    pub(super) async fn open(&self, user: u64) -> Result<(), String> {
        let device = held(&self.devices).remove(&user); // not in the match, which would hold the lock to its end
        let client = match device {
            Some(Device::Idle(client)) => *client,
            Some(open @ Device::Open { .. }) => {
                held(&self.devices).insert(user, open);
                return Ok(());
            }
            None => {
                let id = UserId::new(user).map_err(|error| error.to_string())?;
                Client::new(self.api.clone(), id, None, self.clock.clone()).waiting_at_most(BACKOFF_CAP)
            }
        };
        let (close, drop, greeted) = (CancellationToken::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let began = self.clock.uptime();
        let task = tokio::spawn(self.listens(user, client, close.clone(), Arc::clone(&drop), Arc::clone(&greeted)));
        held(&self.devices).insert(user, Device::Open { close, drop, task });
        let late = |_| format!("a user was not greeted after {} s", self.scene.patience.as_secs());
        timeout(self.scene.patience, greeted.notified()).await.map_err(late)?;
        self.record.notes().opens.saturating_record(micros(self.clock.uptime().saturating_sub(began)));
        Ok(())
    }

    fn listens(
        &self,
        user: u64,
        mut client: Client,
        close: CancellationToken,
        drop: Arc<Notify>,
        greeted: Arc<Notify>,
    ) -> impl Future<Output = Client> + 'static {
        let (ledger, record, clock) = (Arc::clone(&self.ledger), Arc::clone(&self.record), self.clock.clone());
        async move {
            let mut handler = |happening: Happening<'_>| {
                match happening {
                    Happening::Open { .. } => greeted.notify_one(),
                    Happening::Notification { notification, .. } => {
                        let Heard { event, data } = serde_json::from_str(notification.get())?;
                        held(&ledger).hears(user, event);
                        if let Some(posted) = data.posted {
                            let (now, posted) = (clock.uptime(), Duration::from_micros(posted));
                            let mut notes = record.notes();
                            notes.deliveries.saturating_record(micros(now.saturating_sub(posted)));
                            notes.silence.ends(user, posted, now);
                        }
                    }
                    Happening::Gap { reason, .. } => held(&ledger).gap(user, reason.name()),
                    Happening::Keep(_) | Happening::Waiting { .. } => {}
                }
                Ok(())
            };
            tokio::select! {
                biased;
                () = drop.notified() => {}
                stopped = client.run(&close, &mut handler) => {
                    if !close.is_cancelled() {
                        record.notes().failed(format!("a device stopped: {stopped}"));
                    }
                }
            }
            client
        }
    }

    /// The link of the device dies: no ack, no farewell.
    pub(super) async fn drop(&self, user: u64) {
        self.ends(user, |_, drop| drop.notify_one()).await;
    }

    /// The device acknowledges what it heard, and says goodbye.
    pub(super) async fn close(&self, user: u64) {
        self.ends(user, |close, _| close.cancel()).await;
    }

    async fn ends(&self, user: u64, how: impl FnOnce(&CancellationToken, &Notify)) {
        let device = held(&self.devices).remove(&user);
        let idle = match device {
            Some(Device::Open { close, drop, task }) => {
                how(&close, &drop);
                task.await.ok().map(|client| Device::Idle(Box::new(client)))
            }
            idle @ Some(Device::Idle(_)) | idle @ None => idle,
        };
        if let Some(idle) = idle {
            held(&self.devices).insert(user, idle);
        }
    }

    /// Waits until a user heard everything it is owed so far.
    pub(super) async fn hear(&self, user: u64) -> Result<(), String> {
        let all = async {
            while let Some(told) = { self.ledger().told(user) } {
                told.notified().await;
            }
        };
        let late = |_| format!("a user has not heard all it is owed after {} s", self.scene.patience.as_secs());
        timeout(self.scene.patience, all).await.map_err(late)
    }

    /// Waits until everybody did.
    pub(super) async fn hear_all(&self) -> Result<(), String> {
        let waiting = self.ledger().waiting();
        for user in waiting {
            self.hear(user).await?;
        }
        Ok(())
    }

    /// Waits until all of a community are here, or all there are.
    pub(super) async fn meet(&self, community: Option<u64>, size: u64) -> Result<(), String> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let meeting = {
            let mut meetings = held(&self.meetings);
            Arc::clone(meetings.entry(community).or_insert_with(|| Arc::new(Barrier::new(size))))
        };
        let late = |_| format!("not all {size} came to meet within {} s", self.scene.patience.as_secs());
        timeout(self.scene.patience, meeting.wait()).await.map(drop).map_err(late)
    }

    /// Waits until nobody else of the community has the turn; it is passed on when it is dropped.
    pub(super) async fn take_turn(&self, community: u64) -> Result<OwnedMutexGuard<()>, String> {
        let turn = Arc::clone(held(&self.turns).entry(community).or_default());
        let late = |_| format!("the turn was not passed on within {} s", self.scene.patience.as_secs());
        timeout(self.scene.patience, turn.lock_owned()).await.map_err(late)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
