//! The leases of a node's partitions: taken, renewed, and given back at the end.
//!
//! Tells each partition whether it is the node's to read. When the leases can't be asked for, what is held stays held:
//! deliveries go on, and a second reader costs repeats that cursors hide. Who else wants a partition is nobody's business
//! but the log line's.

use std::collections::BTreeMap;
use std::time::Duration;

use peal_proto::Partition;
use peal_serve::Clock;
use peal_store::leases::{Holder, Lease};
use peal_store::{Leases, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits::LEASE_CLAIMS_PER_TERM;

/// Whether a partition is this node's to read.
pub(crate) type Tenure = watch::Receiver<bool>;

/// Holds the leases of one node.
pub(crate) struct Tenant {
    holder: Holder,
    partitions: Vec<Partition>,
    /// In the order of the partitions.
    tenures: Vec<watch::Sender<bool>>,
    /// Who held up a partition when it was last told.
    told: Vec<Option<Holder>>,
    is_answered: bool,
}

impl Tenant {
    pub(crate) fn new(holder: Holder) -> Self {
        Self { holder, partitions: Vec::new(), tenures: Vec::new(), told: Vec::new(), is_answered: true }
    }

    /// Takes care of one more partition.
    pub(crate) fn add(&mut self, partition: Partition) -> Tenure {
        let (sender, tenure) = watch::channel(false);
        self.partitions.push(partition);
        self.tenures.push(sender);
        self.told.push(None);
        tenure
    }

    /// Claims all leases again and again until `stop`; then gives them back.
    pub(crate) async fn run(mut self, leases: &dyn Leases, clock: &Clock, term: Duration, stop: CancellationToken) {
        let pause = term / LEASE_CLAIMS_PER_TERM;
        loop {
            let claim = leases.claim(&self.holder, &self.partitions, term, clock.now());
            let claimed = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                claimed = claim => claimed,
            };
            match claimed {
                Ok(answers) => self.told(answers),
                Err(error) => self.failed(&error),
            }
            if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
                break;
            }
        }
        let released = tokio::time::timeout(pause, leases.release(&self.holder, &self.partitions)).await;
        tracing::debug!(?released, "leases are given back");
    }

    fn told(&mut self, answers: Vec<Lease>) {
        if !self.is_answered {
            tracing::info!("leases are answered for again");
        }
        self.is_answered = true;
        let mut changed = BTreeMap::<_, Vec<_>>::new();
        for (index, lease) in answers.into_iter().enumerate() {
            let by = match lease {
                Lease::Held => None,
                Lease::Taken { by } => Some(by),
            };
            let held = by.is_none();
            let turned = self.tenures[index].send_if_modified(|now| std::mem::replace(now, held) != held);
            if turned || self.told[index] != by {
                changed.entry(by.clone()).or_default().push(self.partitions[index].get());
                self.told[index] = by;
            }
        }
        for (by, partitions) in changed {
            self.tell(by.as_ref(), &partitions);
        }
    }

    fn tell(&self, by: Option<&Holder>, partitions: &[u32]) {
        match by {
            Some(by) => {
                tracing::warn!(?partitions, holder = %by, "another process reads these partitions; waiting for it");
            }
            None => tracing::info!(?partitions, holder = %self.holder, "reading these partitions"),
        }
    }

    /// Only the first error in a row is logged.
    fn failed(&mut self, error: &StoreError) {
        if std::mem::take(&mut self.is_answered) {
            tracing::warn!(%error, "leases are not answered for; what is held stays held");
        }
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::Timestamp;
    use peal_store::inbox::Retention;
    use peal_store::simulated::{Outage, Simulation, Store};

    use super::*;

    const TERM: Duration = Duration::from_secs(5);

    /// A tenant of one partition that runs, and whether it holds it.
    fn start(simulation: &Simulation, name: &str, stop: &CancellationToken) -> Tenure {
        let mut tenant = Tenant::new(Holder::new(name));
        let tenure = tenant.add(Partition::new(0));
        let (leases, stop) = (simulation.stores().leases, stop.clone());
        let clock = Clock::simulated(Timestamp::from_millis(1_000_000));
        tokio::spawn(async move { tenant.run(&*leases, &clock, TERM, stop).await });
        tenure
    }

    async fn holds(tenure: &mut Tenure, held: bool) {
        tokio::time::timeout(TERM * 2, tenure.wait_for(|now| *now == held)).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_until_the_first_leaves_or_its_lease_has_run_out() {
        let simulation = Simulation::new(1, 1, Retention::default());
        let (first_stop, second_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut first = start(&simulation, "first", &first_stop);
        holds(&mut first, true).await;
        let mut second = start(&simulation, "second", &second_stop);
        tokio::time::sleep(TERM * 3).await;
        assert!(!*second.borrow());
        first_stop.cancel();
        holds(&mut second, true).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_stays_held_while_nobody_answers_and_is_lost_once_another_was_quicker() {
        let simulation = Simulation::new(1, 1, Retention::default());
        let stop = CancellationToken::new();
        let mut first = start(&simulation, "first", &stop);
        holds(&mut first, true).await;
        simulation.break_down(Store::Leases, Outage::Refuse);
        tokio::time::sleep(TERM * 3).await;
        assert!(*first.borrow());
        simulation.wipe_leases();
        simulation.heal(Store::Leases);
        let (leases, second) = (simulation.stores().leases, Holder::new("second"));
        let now = Timestamp::from_millis(1_000_000).after(TERM * 9);
        leases.claim(&second, &[Partition::new(0)], TERM * 99, now).await.unwrap();
        holds(&mut first, false).await;
    }
}
