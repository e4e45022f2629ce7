//! The fan-out: every event to every member of its community, exactly once into the notification log.
//!
//! One worker a partition of the events log, each on its own task; the publishers [share](crate::share) the partitions.
//! [`machine`] is what happens, [`worker`] does it with the stores; [`agenda`] is what waits, [`work`] one event on its way,
//! [`mod@slice`] what is written at once, [`checkpoint`] how it goes on after a crash, [`letter`] what becomes of a record that
//! is no event, [`invalid`] of a member that is no user.

mod agenda;
mod claims;
mod invalid;
mod letter;
mod work;

mod checkpoint;
mod slice;

mod machine;

mod worker;

#[cfg(test)]
mod model;

use std::sync::Arc;

use peal_proto::Topic;
use peal_proto::name::PUBLISHERS_GROUP;
use peal_serve::Clock;
use peal_store::Stores;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::worker::Worker;
use crate::config::FanoutLimits;
use crate::limits::SLICES_A_CORE;
use crate::share::{Health, Share};

/// The workers of a publisher.
pub(crate) struct Fanout {
    stores: Stores,
    clock: Clock,
    limits: FanoutLimits,
    /// A slice costs by itself, whatever is in it: while few are written at a time, the others grow.
    turns: Arc<Semaphore>,
    share: Share,
}

impl Fanout {
    pub(crate) fn new(stores: Stores, clock: Clock, limits: FanoutLimits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(cores * SLICES_A_CORE));
        let share = Share::new(Arc::clone(&stores.log), PUBLISHERS_GROUP, Topic::Events, clock.clone());
        Self { stores, clock, limits, turns, share }
    }

    /// Fans out this publisher's partitions until `stop`, and then until the slices under way are written.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let work = |partition, pulse, stop| {
            let (stores, clock, turns) = (self.stores.clone(), self.clock.clone(), Arc::clone(&self.turns));
            Worker::new(partition, stores, clock, self.limits, turns, pulse).run(stop)
        };
        self.share.run(stop, work).await;
    }

    pub(crate) fn health(&self) -> Health {
        self.share.health()
    }
}
