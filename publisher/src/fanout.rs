//! The fan-out: every event to every member of its community, exactly once into the notification log.
//!
//! One worker a partition of the events log, each on its own task; the publishers share the partitions, and the log says whose
//! each is. [`machine`] is what happens, [`worker`] does it with the
//! stores; [`work`] is one event on its way, [`mod@slice`] what is written at once, [`checkpoint`] how it goes on after a crash,
//! [`letter`] what becomes of a record that is no event. This file starts and ends the workers.

mod agenda;
mod letter;
mod work;

mod checkpoint;
mod slice;

mod machine;

pub(crate) mod backoff;
mod feed;
mod pulse;
mod worker;

#[cfg(test)]
mod model;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peal_proto::name::PUBLISHERS_GROUP;
use peal_proto::{Partition, Topic};
use peal_serve::Clock;
use peal_store::log::Member;
use peal_store::{StoreError, Stores};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::pulse::Health;
use self::pulse::{Beat, Pulse};
pub use self::slice::FanoutLimits;
use self::worker::Worker;
use crate::limits::{BACKOFF_MAX, SLICES_A_CORE, STOP_TIMEOUT};

/// The workers of a publisher.
pub(crate) struct Fanout {
    stores: Stores,
    clock: Clock,
    limits: FanoutLimits,
    /// A slice costs by itself, whatever is in it: while few are written at a time, the others grow.
    turns: Arc<Semaphore>,
    /// This publisher's partitions; `None` until the log has said which.
    share: Mutex<Option<BTreeMap<Partition, Seat>>>,
}

/// A partition with a worker.
struct Seat {
    pulse: Arc<Pulse>,
    stop: CancellationToken,
}

impl Fanout {
    pub(crate) fn new(stores: Stores, clock: Clock, limits: FanoutLimits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { stores, clock, limits, turns: Arc::new(Semaphore::new(cores * SLICES_A_CORE)), share: Mutex::default() }
    }

    /// Runs a worker for each partition of this publisher until `stop`, and then until their slices are written, at most
    /// [`STOP_TIMEOUT`]; only then others are told that the partitions are free.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let (mut workers, mut member) = (JoinSet::new(), None);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                assigned = self.assigned(&mut member) => self.take(&assigned, &mut workers, stop),
                Some(_) = workers.join_next() => {} // its pulse says so, if it should not have ended
            }
        }
        let ended = async { while workers.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("slices were not written in time; whoever comes next begins at their commits");
        }
    }

    /// Waits until the partitions of this publisher change.
    async fn assigned(&self, member: &mut Option<Box<dyn Member>>) -> Vec<Partition> {
        loop {
            match self.ask(member).await {
                Ok(assigned) => return assigned,
                Err(error) => {
                    tracing::warn!(%error, "it is not known which partitions are this publisher's; asking again");
                }
            }
            *member = None;
            sleep(BACKOFF_MAX).await;
        }
    }

    async fn ask(&self, member: &mut Option<Box<dyn Member>>) -> Result<Vec<Partition>, StoreError> {
        let member = match member {
            Some(member) => member,
            None => member.insert(self.stores.log.join(PUBLISHERS_GROUP, Topic::Events).await?),
        };
        member.assigned().await
    }

    /// Stops the workers of partitions that are others' now, and starts those of new ones.
    fn take(&self, assigned: &[Partition], workers: &mut JoinSet<()>, stop: &CancellationToken) {
        let mut share = self.share();
        let seats = share.get_or_insert_default();
        tracing::info!(partitions = assigned.len(), before = seats.len(), "partitions of this publisher");
        seats.retain(|partition, seat| {
            let stays = assigned.contains(partition);
            if !stays {
                seat.stop.cancel();
            }
            stays
        });
        for partition in assigned {
            seats.entry(*partition).or_insert_with(|| {
                let seat = Seat { pulse: Arc::new(Pulse::new()), stop: stop.child_token() };
                workers.spawn(self.work(*partition, &seat));
                seat
            });
        }
    }

    fn work(&self, partition: Partition, seat: &Seat) -> impl Future<Output = ()> + use<> {
        let (stores, clock, turns) = (self.stores.clone(), self.clock.clone(), Arc::clone(&self.turns));
        let worker = Worker::new(partition, stores, clock, self.limits, turns, Arc::clone(&seat.pulse));
        let (ended, stop) = (Ended(Arc::clone(&seat.pulse)), seat.stop.clone());
        async move {
            worker.run(stop).await;
            drop(ended);
        }
    }

    pub(crate) fn health(&self) -> Health {
        let share = self.share();
        let Some(seats) = &*share else { return Health::default() };
        Health::of(seats.values().map(|seat| &*seat.pulse), self.clock.uptime())
    }

    fn share(&self) -> MutexGuard<'_, Option<BTreeMap<Partition, Seat>>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a worker has ended, whatever ended it.
struct Ended(Arc<Pulse>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(Beat::Stopped);
    }
}
