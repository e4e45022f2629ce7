//! A publisher's share of a topic: publishers share its partitions, and each partition of this one's has a worker.
//!
//! Whose a partition is, the log says. Owns when workers begin and end; what they do is not its business.

mod pulse;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peal_proto::{Partition, Topic};
use peal_serve::Clock;
use peal_store::log::Member;
use peal_store::{Log, StoreError};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::pulse::{Beat, Health, Pulse};
use crate::limits::{BACKOFF_MAX, STOP_TIMEOUT};

/// The partitions of this publisher.
pub(crate) struct Share {
    log: Arc<dyn Log>,
    group: &'static str,
    topic: Topic,
    clock: Clock,
    /// `None` until the log has said which they are.
    staffed: Mutex<Option<BTreeMap<Partition, Staffed>>>,
}

/// A partition with a worker.
struct Staffed {
    pulse: Arc<Pulse>,
    stop: CancellationToken,
}

impl Share {
    pub(crate) fn new(log: Arc<dyn Log>, group: &'static str, topic: Topic, clock: Clock) -> Self {
        Self { log, group, topic, clock, staffed: Mutex::default() }
    }

    /// Runs a worker for each partition of this publisher until `stop`, and then until they have ended, at most
    /// [`STOP_TIMEOUT`]; only then others are told that the partitions are free.
    pub(crate) async fn run<W>(
        &self,
        stop: &CancellationToken,
        work: impl Fn(Partition, Arc<Pulse>, CancellationToken) -> W,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        let (mut workers, mut member) = (JoinSet::new(), None);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                assigned = self.assigned(&mut member) => {
                    for (partition, pulse, stop) in self.take(&assigned, stop) {
                        let (ended, working) = (Ended(Arc::clone(&pulse)), work(partition, pulse, stop));
                        workers.spawn(async move {
                            working.await;
                            drop(ended);
                        });
                    }
                }
                Some(_) = workers.join_next() => {} // its pulse says so, if it should not have ended
            }
        }
        let ended = async { while workers.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!(topic = %self.topic, "not all was done in time; whoever comes next begins at the commits");
        }
    }

    /// Waits until the partitions of this publisher change.
    async fn assigned(&self, member: &mut Option<Box<dyn Member>>) -> Vec<Partition> {
        loop {
            match self.ask(member).await {
                Ok(assigned) => return assigned,
                Err(error) => {
                    let topic = self.topic;
                    tracing::warn!(%topic, %error, "it is not known which partitions are this publisher's; asking again");
                }
            }
            *member = None;
            sleep(BACKOFF_MAX).await;
        }
    }

    async fn ask(&self, member: &mut Option<Box<dyn Member>>) -> Result<Vec<Partition>, StoreError> {
        let member = match member {
            Some(member) => member,
            None => member.insert(self.log.join(self.group, self.topic).await?),
        };
        member.assigned().await
    }

    /// Stops the workers of partitions that are others' now; those that are new and have none yet.
    fn take(
        &self,
        assigned: &[Partition],
        stop: &CancellationToken,
    ) -> Vec<(Partition, Arc<Pulse>, CancellationToken)> {
        let mut staffed = self.staffed();
        let staffed = staffed.get_or_insert_default();
        tracing::info!(topic = %self.topic, partitions = assigned.len(), before = staffed.len(), "partitions of this publisher");
        staffed.retain(|partition, staffed| {
            let stays = assigned.contains(partition);
            if !stays {
                staffed.stop.cancel();
            }
            stays
        });
        let mut fresh = Vec::new();
        for partition in assigned {
            staffed.entry(*partition).or_insert_with(|| {
                let (pulse, stop) = (Arc::new(Pulse::new()), stop.child_token());
                fresh.push((*partition, Arc::clone(&pulse), stop.clone()));
                Staffed { pulse, stop }
            });
        }
        fresh
    }

    pub(crate) fn health(&self) -> Health {
        let staffed = self.staffed();
        let Some(staffed) = &*staffed else { return Health::default() };
        Health::of(staffed.values().map(|staffed| &*staffed.pulse), self.clock.uptime())
    }

    fn staffed(&self) -> MutexGuard<'_, Option<BTreeMap<Partition, Staffed>>> {
        self.staffed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a worker has ended, whatever ended it.
struct Ended(Arc<Pulse>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.set(Beat::Stopped);
    }
}
