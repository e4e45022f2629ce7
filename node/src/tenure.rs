//! The leases of a node: the seat of its ordinal, and its partitions, each taken, renewed, and given back at the end.
//!
//! Tells each partition whether it is the node's to read. When the leases can't be asked for, what is held stays held:
//! deliveries go on, and a second reader costs repeats that cursors hide. Who else wants a partition is nobody's business
//! but the log line's. A partition that is no longer the node's is given back at once, as its next owner waits for that; and a
//! process that finds another one in its seat takes nothing more, as clients are sent to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peal_proto::Partition;
use peal_serve::Clock;
use peal_store::leases::{Holder, Lease, Seat};
use peal_store::{Leases, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits::{LEASE_CLAIMS_PER_TERM, LEASE_WAIT_INTERVAL};
use crate::shard::Shards;

/// Holds the leases of one node.
pub(crate) struct Tenant<'n> {
    pub(crate) leases: &'n dyn Leases,
    pub(crate) clock: &'n Clock,
    pub(crate) term: Duration,
    pub(crate) seat: watch::Receiver<Seat>,
    pub(crate) shards: watch::Receiver<Shards>,
    pub(crate) known: Known,
}

/// What a tenant was last told.
#[derive(Default)]
pub(crate) struct Known {
    /// Partitions whose leases may be this node's.
    asked: BTreeSet<Partition>,
    /// Who held up a partition.
    held_up: BTreeMap<Partition, Holder>,
    /// Who else has the seat.
    rival: Option<Holder>,
    is_unanswered: bool,
}

impl<'n> Tenant<'n> {
    /// Claims all leases again and again until `stop`; then gives them back.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let pause = self.term / LEASE_CLAIMS_PER_TERM;
        let mut renew_at = Duration::ZERO;
        loop {
            let renews = self.clock.uptime() >= renew_at || self.seat.has_changed().unwrap_or(false);
            let answered = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                answered = self.round(renews) => answered,
            };
            match answered {
                Ok(()) => self.answered(),
                Err(error) => self.failed(&error),
            }
            if renews {
                renew_at = self.clock.uptime() + pause;
            }
            let renews_in = renew_at.saturating_sub(self.clock.uptime());
            let wait = if self.waits() { renews_in.min(LEASE_WAIT_INTERVAL) } else { renews_in };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = changed(&mut self.shards) => {}
                () = changed(&mut self.seat) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.give_back(pause).await;
    }

    /// Whether a partition waits for its lease, or a lease to be given back.
    fn waits(&self) -> bool {
        let shards = self.shards.borrow();
        let waits = shards.values().any(|shard| !shard.is_held() && !shard.is_given_up());
        waits || self.known.asked.iter().any(|partition| !shards.contains_key(partition))
    }

    /// Gives back what is no longer the node's, and asks for what is; for all of it when that `renews` the leases.
    async fn round(&mut self, renews: bool) -> Result<(), StoreError> {
        let shards = self.shards.borrow_and_update().clone();
        let seat = self.seat.borrow_and_update().clone();
        let gone: Vec<_> =
            self.known.asked.iter().filter(|partition| !shards.contains_key(partition)).copied().collect();
        if !gone.is_empty() {
            self.leases.release(&seat.holder, &gone).await?;
            self.known.asked.retain(|partition| !gone.contains(partition));
        }
        if renews {
            let lease = self.leases.sit(&seat, self.term, self.clock.now()).await?;
            self.seated(lease, &seat);
        }
        let has_rival = self.known.rival.is_some();
        let is_due = |held: bool| if held { renews } else { !has_rival };
        let due = shards.iter().filter(|(_, shard)| is_due(shard.is_held())).map(|(partition, _)| *partition);
        let due: Vec<_> = due.collect();
        if due.is_empty() {
            return Ok(());
        }
        self.known.asked.extend(&due);
        let answers = self.leases.claim(&seat.holder, &due, self.term, self.clock.now()).await?;
        self.told(&shards, due.into_iter().zip(answers), &seat.holder);
        Ok(())
    }

    fn seated(&mut self, lease: Lease, seat: &Seat) {
        let rival = match lease {
            Lease::Held => None,
            Lease::Taken { by } => Some(by),
        };
        if rival == self.known.rival {
            return;
        }
        match &rival {
            Some(by) => {
                tracing::warn!(node = %seat.node, holder = %by, "another process is this node; waiting for it to end");
            }
            None => tracing::info!(node = %seat.node, holder = %seat.holder, "this process is the node now"),
        }
        self.known.rival = rival;
    }

    fn told(&mut self, shards: &Shards, answers: impl Iterator<Item = (Partition, Lease)>, holder: &Holder) {
        let mut changed = BTreeMap::<_, Vec<_>>::new();
        for (partition, lease) in answers {
            let Some(shard) = shards.get(&partition) else { continue };
            let by = match lease {
                Lease::Held => None,
                Lease::Taken { by } => Some(by),
            };
            let held = by.is_none();
            let turned = shard.holds(held) != held;
            let before = match &by {
                Some(by) => self.known.held_up.insert(partition, by.clone()),
                None => self.known.held_up.remove(&partition),
            };
            if turned || before != by {
                changed.entry(by).or_default().push(partition.get());
            }
        }
        for (by, partitions) in changed {
            match by {
                Some(by) => {
                    tracing::info!(?partitions, holder = %by, "another process reads these partitions; waiting for it");
                }
                None => tracing::info!(?partitions, %holder, "reading these partitions"),
            }
        }
    }

    fn answered(&mut self) {
        if std::mem::take(&mut self.known.is_unanswered) {
            tracing::info!("leases are answered for again");
        }
    }

    /// Only the first error in a row is logged.
    fn failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.known.is_unanswered, true) {
            tracing::warn!(%error, "leases are not answered for; what is held stays held");
        }
    }

    async fn give_back(&mut self, within: Duration) {
        let (seat, asked) = (self.seat.borrow().clone(), self.known.asked.iter().copied().collect::<Vec<_>>());
        let all = async {
            self.leases.release(&seat.holder, &asked).await?;
            self.leases.rise(&seat.holder, seat.node).await
        };
        let released = tokio::time::timeout(within, all).await;
        tracing::debug!(?released, "leases are given back");
    }
}

/// Waits for a change; for ever where whoever would tell is gone.
async fn changed<T>(watch: &mut watch::Receiver<T>) {
    if watch.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::{NodeId, Timestamp};
    use peal_store::Stores;
    use peal_store::inbox::Retention;
    use peal_store::simulated::{Outage, Simulation, Store};

    use super::*;
    use crate::limits::Limits;
    use crate::shard::{Shard, ShardHandle};
    use crate::shedding::Shed;

    const TERM: Duration = Duration::from_secs(5);

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    /// The tenant of one node that runs.
    struct Bench {
        shards: watch::Sender<Shards>,
        _seat: watch::Sender<Seat>,
        stop: CancellationToken,
        stores: Stores,
    }

    impl Bench {
        fn start(simulation: &Simulation, name: &str) -> Self {
            let seat = Seat::new(NodeId::new(u32::from(name == "other")), "ws://here", Holder::new(name));
            let (seat, shards) = (watch::Sender::new(seat), watch::Sender::new(Shards::new()));
            let (heard, given, stop) = (seat.subscribe(), shards.subscribe(), CancellationToken::new());
            let (leases, stopped) = (simulation.stores().leases, stop.clone());
            tokio::spawn(async move {
                let (clock, known) = (Clock::simulated(NOW), Known::default());
                Tenant { leases: &*leases, clock: &clock, term: TERM, seat: heard, shards: given, known }
                    .run(stopped)
                    .await;
            });
            Self { shards, _seat: seat, stop, stores: simulation.stores() }
        }

        /// Gives it a partition.
        fn give(&self, partition: u32) -> ShardHandle {
            let (partition, stores) = (Partition::new(partition), self.stores.clone());
            let (clock, shed) = (Clock::simulated(NOW), watch::Sender::new(Shed::Nothing).subscribe());
            let (shard, handle) = Shard::new(NodeId::new(0), partition, stores, clock, Limits::default(), shed);
            drop(shard);
            self.shards.send_modify(|shards| drop(shards.insert(partition, handle.clone())));
            handle
        }

        fn take(&self, partition: u32) {
            self.shards.send_modify(|shards| drop(shards.remove(&Partition::new(partition))));
        }
    }

    async fn holds(shard: &ShardHandle, held: bool) {
        let told = async {
            while shard.is_held() != held {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(TERM * 2, told).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_until_the_first_leaves_or_its_lease_has_run_out() {
        let simulation = Simulation::new(1, 1, Retention::default());
        let [first, second] = ["first", "other"].map(|name| Bench::start(&simulation, name));
        let own = first.give(0);
        holds(&own, true).await;
        let others = second.give(0);
        tokio::time::sleep(TERM * 3).await;
        assert!(!others.is_held());
        first.stop.cancel();
        holds(&others, true).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_is_no_longer_the_nodes_is_given_back_at_once_and_taken_at_once() {
        let simulation = Simulation::new(1, 2, Retention::default());
        let [first, second] = ["first", "other"].map(|name| Bench::start(&simulation, name));
        let [moves, stays] = [0, 1].map(|partition| first.give(partition));
        holds(&moves, true).await;
        holds(&stays, true).await;
        let others = second.give(0);
        tokio::time::sleep(TERM).await;
        first.take(0);
        tokio::time::sleep(LEASE_WAIT_INTERVAL * 2).await;
        assert!(others.is_held() && stays.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_whose_seat_another_has_takes_nothing_until_that_one_is_gone() {
        let simulation = Simulation::new(1, 2, Retention::default());
        let first = Bench::start(&simulation, "first");
        let own = first.give(0);
        holds(&own, true).await;
        let second = Bench::start(&simulation, "second");
        let others = second.give(1);
        tokio::time::sleep(TERM * 3).await;
        assert!(!others.is_held(), "clients are sent to the first");
        first.stop.cancel();
        holds(&others, true).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_stays_held_while_nobody_answers_and_is_lost_once_another_was_quicker() {
        let simulation = Simulation::new(1, 1, Retention::default());
        let bench = Bench::start(&simulation, "first");
        let own = bench.give(0);
        holds(&own, true).await;
        simulation.break_down(Store::Leases, Outage::Refuse);
        tokio::time::sleep(TERM * 3).await;
        assert!(own.is_held());
        simulation.wipe_leases();
        simulation.heal(Store::Leases);
        let (leases, second) = (simulation.stores().leases, Holder::new("second"));
        leases.claim(&second, &[Partition::new(0)], TERM * 99, NOW.after(TERM * 9)).await.unwrap();
        holds(&own, false).await;
    }
}
