//! The fan-out: every event to every member of its community, exactly once into the notification log.
//!
//! One worker a partition of the events log, each on its own task. [`machine`] is what happens, [`worker`] does it with the
//! stores; [`work`] is one event on its way, [`mod@slice`] what is written at once, [`checkpoint`] how it goes on after a crash,
//! [`letter`] what becomes of a record that is no event. This file starts and ends the workers.

mod letter;
mod work;

mod checkpoint;
mod slice;

mod machine;

mod backoff;
mod pulse;
mod worker;

#[cfg(test)]
mod model;

use std::sync::Arc;

use peal_proto::Partition;
use peal_serve::Clock;
use peal_store::Stores;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::pulse::Health;
use self::pulse::{Beat, Pulse};
pub use self::slice::SliceLimits;
use self::worker::Worker;
use crate::limits::{SLICES_A_CORE, STOP_TIMEOUT};

/// The workers of a publisher.
pub(crate) struct Fanout {
    stores: Stores,
    clock: Clock,
    limits: SliceLimits,
    /// A slice costs by itself, whatever is in it: while few are written at a time, the others grow.
    turns: Arc<Semaphore>,
    pulses: Vec<(Partition, Arc<Pulse>)>,
}

impl Fanout {
    /// One worker for each of these partitions of the events log.
    pub(crate) fn new(stores: Stores, clock: Clock, limits: SliceLimits, partitions: Vec<Partition>) -> Self {
        let pulses = partitions.into_iter().map(|partition| (partition, Arc::new(Pulse::new()))).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { stores, clock, limits, turns: Arc::new(Semaphore::new(cores * SLICES_A_CORE)), pulses }
    }

    /// Runs the workers until `stop`, and then until their slices are written, at most [`STOP_TIMEOUT`].
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let mut workers = JoinSet::new();
        for (partition, pulse) in &self.pulses {
            workers.spawn(self.work(*partition, pulse, stop.clone()));
        }
        let ended = async { while workers.join_next().await.is_some() {} };
        tokio::pin!(ended);
        tokio::select! {
            () = &mut ended => return stop.cancelled().await,
            () = stop.cancelled() => {}
        }
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("slices were not written in time; whoever comes next begins at their commits");
        }
    }

    fn work(
        &self,
        partition: Partition,
        pulse: &Arc<Pulse>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let (stores, clock, turns) = (self.stores.clone(), self.clock.clone(), Arc::clone(&self.turns));
        let worker = Worker::new(partition, stores, clock, self.limits, turns, Arc::clone(pulse));
        let ended = Ended(Arc::clone(pulse));
        async move {
            worker.run(stop).await;
            drop(ended);
        }
    }

    pub(crate) fn health(&self) -> Health {
        Health::of(self.pulses.iter().map(|(_, pulse)| &**pulse), self.clock.uptime())
    }
}

/// Says that a worker has ended, whatever ended it.
struct Ended(Arc<Pulse>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(Beat::Stopped);
    }
}
