//! The stores in memory, for the seeded simulator and as the reference model of the conformance suite.
//!
//! Naive on purpose: maps, and no cleverness to get wrong. A [`Simulation`] is the services of a whole cluster, and
//! [`Simulation::stores`] is what one process holds of them: to crash a process, drop its futures. Owns the faults that can
//! be ordered; when to order which is the simulator's business. Nothing here spawns a task or reads a clock but through
//! [`tokio::time::sleep`], so it runs under paused time and in several runtimes at once.

mod gate;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peal_proto::{CommunityId, Partition, Position, Timestamp, Topic};

pub use gate::Outage;
pub(crate) use gate::{Fate, Handle};

use crate::inbox::Retention;
use crate::{Stores, inbox, leases, log, members, shards, status, subscriptions};

/// One of the stores, to order a fault for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Store {
    /// Events and notifications.
    Log,
    /// Who is in a community.
    Members,
    /// How far an event is.
    Statuses,
    /// What is parked.
    Inbox,
    /// The shard map.
    Shards,
    /// Which process reads a partition.
    Leases,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Log, Self::Members, Self::Statuses, Self::Inbox, Self::Shards, Self::Leases];

    /// The word in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Members => "store of members",
            Self::Statuses => "store of statuses",
            Self::Inbox => "inbox",
            Self::Shards => "shard map",
            Self::Leases => "store of leases",
        }
    }
}

/// The services of a simulated cluster.
pub struct Simulation {
    log: Handle<log::simulated::Model>,
    members: Handle<members::simulated::Model>,
    statuses: Handle<status::simulated::Model>,
    inbox: Handle<inbox::simulated::Model>,
    subscriptions: Arc<subscriptions::simulated::Model>,
    shards: Handle<shards::simulated::Model>,
    leases: Handle<leases::simulated::Model>,
}

/// An earlier state of the inbox.
pub struct InboxSnapshot(inbox::simulated::Model);

impl Simulation {
    /// Empty services without faults. Every draw follows from the seed and the order of the calls.
    #[must_use]
    pub fn new(seed: u64, partitions: u32, retention: Retention) -> Self {
        Self {
            log: Handle::new(Store::Log, seed, log::simulated::Model::new(partitions)),
            members: Handle::new(Store::Members, seed, members::simulated::Model::new(seed)),
            statuses: Handle::new(Store::Statuses, seed, status::simulated::Model::default()),
            inbox: Handle::new(Store::Inbox, seed, inbox::simulated::Model::new(retention)),
            subscriptions: Arc::default(),
            shards: Handle::new(Store::Shards, seed, shards::simulated::Model::default()),
            leases: Handle::new(Store::Leases, seed, leases::simulated::Model::default()),
        }
    }

    /// What one process holds: handles on the shared services.
    #[must_use]
    pub fn stores(&self) -> Stores {
        Stores {
            log: Arc::new(self.log.clone()),
            members: Arc::new(self.members.clone()),
            statuses: Arc::new(self.statuses.clone()),
            inbox: Arc::new(self.inbox.clone()),
            subscriptions: Arc::<subscriptions::simulated::Model>::clone(&self.subscriptions),
            shards: Arc::new(self.shards.clone()),
            leases: Arc::new(self.leases.clone()),
        }
    }

    /// From now on calls of this store fail or hang.
    pub fn break_down(&self, store: Store, outage: Outage) {
        self.gate(store).set_outage(Some(outage));
    }

    /// Ends the outage of a store; calls that hang go on.
    pub fn heal(&self, store: Store) {
        self.gate(store).set_outage(None);
    }

    /// From now on every call of this store takes up to twice this long: up to this before it has its effect and up to this
    /// after. Zero, the default, needs no timer.
    pub fn delay(&self, store: Store, delay_max: Duration) {
        self.gate(store).set_delay_max(delay_max);
    }

    /// From now on so many calls of this store in a hundred have their effect and answer
    /// [`Unavailable`](crate::StoreError::Unavailable). Of an append, only the first few records may be there.
    pub fn lose_answers(&self, store: Store, percent: u32) {
        self.gate(store).set_lost_percent(percent);
    }

    /// The inbox comes back empty, as after `FLUSHALL`.
    pub fn wipe_inbox(&self) {
        self.inbox.with(inbox::simulated::Model::wipe);
    }

    /// The inbox as it is now, to go back to.
    #[must_use]
    pub fn snapshot_inbox(&self) -> InboxSnapshot {
        InboxSnapshot(self.inbox.with(|inbox| inbox.clone()))
    }

    /// The inbox goes back to an earlier state, as a replica promoted with lag does.
    pub fn rewind_inbox(&self, snapshot: &InboxSnapshot) {
        self.inbox.with(|inbox| inbox.clone_from(&snapshot.0));
    }

    /// Every community has no members any more.
    pub fn wipe_members(&self) {
        self.members.with(members::simulated::Model::wipe);
    }

    /// The same, and the store knows it: communities without members are [`Missing`](crate::StoreError::Missing) until they
    /// are put back or [given up](Self::give_members_up).
    pub fn lose_members(&self) {
        self.members.with(members::simulated::Model::lose);
    }

    /// Members that were lost and not put back until `at` are waited for no longer.
    pub fn give_members_up(&self, at: Timestamp) {
        self.members.with(|members| members.give_up(at));
    }

    /// Another program adds a member that is no user.
    pub fn put_member(&self, community: CommunityId, member: &[u8]) {
        self.members.with(|members| members.put(community, Bytes::copy_from_slice(member)));
    }

    /// No event has a status or a claim any more.
    pub fn wipe_statuses(&self) {
        self.statuses.with(status::simulated::Model::wipe);
    }

    /// The shard map is gone.
    pub fn wipe_shards(&self) {
        self.shards.with(|shards| *shards = shards::simulated::Model::default());
    }

    /// Every lease is free.
    pub fn wipe_leases(&self) {
        self.leases.with(|leases| *leases = leases::simulated::Model::default());
    }

    /// Commits that no append followed are forgotten, the most that a log may lose in a crash.
    pub fn lose_commits(&self) {
        self.log.with(log::simulated::Model::lose_commits);
    }

    /// Readers that are open hear nothing any more, without an error; those opened later do.
    pub fn deafen_readers(&self) {
        self.log.with(log::simulated::Model::deafen_readers);
    }

    /// The log's retention takes away the records below a position.
    pub fn expire_log(&self, topic: Topic, partition: Partition, below: Position) {
        self.log.with(|log| log.expire(topic, partition, below));
    }

    fn gate(&self, store: Store) -> &gate::Gate {
        match store {
            Store::Log => &self.log.gate,
            Store::Members => &self.members.gate,
            Store::Statuses => &self.statuses.gate,
            Store::Inbox => &self.inbox.gate,
            Store::Shards => &self.shards.gate,
            Store::Leases => &self.leases.gate,
        }
    }
}
