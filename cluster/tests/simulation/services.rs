//! The services of the simulated cluster: one set of stores in memory for all processes, each of which sees them through a
//! tap that writes every call into the trace, and lies if it is told to.

mod line;
mod tap;

use std::sync::Arc;

use futures_util::FutureExt;
use peal_proto::name::{FANOUT_GROUP, NODES_GROUP};
use peal_proto::{Generation, Partition, Position, Topic};
use peal_store::Stores;
use peal_store::inbox::Retention;
use peal_store::log::{Record, Source};
use peal_store::simulated::{InboxSnapshot, Simulation, Store};

pub(crate) use self::line::Line;
use self::tap::Tap;
use crate::book::Book;
use crate::tampering::Tamperer;

/// The records of a topic by partition.
pub(crate) type Records = Vec<Vec<Record>>;

/// The services, and those they replaced.
pub(crate) struct Services {
    seed: u64,
    partitions: u32,
    retention: Retention,
    /// One log after another; the last is the one in use.
    eras: Vec<Simulation>,
    snapshot: Option<InboxSnapshot>,
    book: Book,
    tamperer: Option<Arc<Tamperer>>,
    /// Whether two processes may hold a lease at once.
    leases_lapse: bool,
}

impl Services {
    pub(crate) fn new(
        seed: u64,
        partitions: u32,
        retention: Retention,
        book: Book,
        tamperer: Option<Arc<Tamperer>>,
        leases_lapse: bool,
    ) -> Self {
        let eras = vec![Simulation::new(seed, partitions, retention)];
        Self { seed, partitions, retention, eras, snapshot: None, book, tamperer, leases_lapse }
    }

    /// The services in use, for faults.
    pub(crate) fn faults(&self) -> &Simulation {
        self.eras.last().unwrap()
    }

    /// The same, for faults of this store.
    pub(crate) fn faults_of(&self, store: Store) -> &Simulation {
        if store == Store::Members { self.eras.first().unwrap() } else { self.faults() }
    }

    /// Everything but the members is new and empty, the log as well, which says so by its generation.
    pub(crate) fn begin_era(&mut self) {
        self.seed = self.seed.wrapping_add(1);
        self.eras.push(Simulation::new(self.seed, self.partitions, self.retention));
        self.snapshot = None;
    }

    /// The generation of the log of an era.
    pub(crate) fn generation(era: usize) -> Generation {
        Generation::new(u32::try_from(era).unwrap() + 1)
    }

    /// The generation of the log in use.
    pub(crate) fn generation_now(&self) -> Generation {
        Self::generation(self.eras.len() - 1)
    }

    /// What a process holds of the services.
    pub(crate) fn stores(&self, process: &str, line: Arc<Line>) -> Stores {
        let tap = Tap::new(process, line, self.generation_now(), self.book.clone(), self.tamperer.clone());
        tap.leases_lapse(self.leases_lapse).on(self.plain())
    }

    /// Members are the community service's, and outlive a log.
    fn plain(&self) -> Stores {
        Stores { members: self.faults_of(Store::Members).stores().members, ..self.faults().stores() }
    }

    pub(crate) fn snapshot_inbox(&mut self) {
        self.snapshot = Some(self.faults().snapshot_inbox());
    }

    /// Back to the last snapshot, if there is one.
    pub(crate) fn rewind_inbox(&mut self) {
        if let Some(snapshot) = &self.snapshot {
            self.faults().rewind_inbox(snapshot);
        }
    }

    /// All records of a topic in each era. The services must be whole and quick.
    pub(crate) fn records(&self, topic: Topic) -> Vec<Records> {
        let era = |simulation: &Simulation| {
            let stores = simulation.stores();
            (0..topic.partitions(self.partitions))
                .map(|partition| read(&stores, topic, Partition::new(partition)))
                .collect()
        };
        self.eras.iter().map(era).collect()
    }

    /// Whether every event is fanned out as far as its log goes.
    pub(crate) fn is_fanned_out(&self) -> bool {
        let stores = self.faults().stores();
        (0..Topic::Events.partitions(self.partitions)).map(Partition::new).all(|partition| {
            committed(&stores, FANOUT_GROUP, Topic::Events, partition) >= end(&stores, Topic::Events, partition)
        })
    }

    /// What of the partitions is not where it belongs.
    pub(crate) fn is_moving(&self) -> Option<String> {
        let map = at_once(self.faults().stores().shards.load()).unwrap()?;
        let settled = map.placed().is_empty() && map.urls().len() == map.nodes() as usize;
        (!settled).then(|| format!("partitions that have yet to move: {map:?}"))
    }

    /// How far the nodes have committed each partition of the notification log.
    pub(crate) fn settled(&self) -> Vec<Position> {
        let stores = self.faults().stores();
        let settled = |partition| committed(&stores, NODES_GROUP, Topic::Notifications, Partition::new(partition));
        (0..self.partitions).map(settled).collect()
    }
}

/// Behind the last record; what follows it may be a hole.
fn end(stores: &Stores, topic: Topic, partition: Partition) -> Position {
    read(stores, topic, partition).last().map_or(Position::START, |last| Position::behind(last.offset))
}

fn committed(stores: &Stores, group: &'static str, topic: Topic, partition: Partition) -> Position {
    let commit = at_once(stores.log.committed(Source { group, topic, partition })).unwrap();
    commit.map_or(Position::START, |commit| commit.position)
}

fn read(stores: &Stores, topic: Topic, partition: Partition) -> Vec<Record> {
    let mut reader = at_once(stores.log.reader(topic, partition, Position::START)).unwrap();
    let mut records = Vec::new();
    while let Some(batch) = reader.next().now_or_never() {
        records.extend(batch.unwrap());
    }
    records
}

fn at_once<F: Future>(asked: F) -> F::Output {
    asked.now_or_never().unwrap()
}
