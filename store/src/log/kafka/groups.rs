//! How far groups are: commits with metadata, one thread a group, all that waits in one request.
//!
//! The consumers here read nothing and are members of nothing; they only carry the group's name. The calls to Kafka block,
//! so they are made on threads of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peal_proto::Partition;
use peal_proto::{Offset, Position};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList, TopicPartitionListElem};
use tokio::sync::{mpsc, oneshot};

use super::client::{Clients, Place};
use super::limits::{ASK_TIME_MAX, GROUP_CALLS_MAX};
use super::words::Words;
use super::{dismiss, fault};
use crate::StoreError;
use crate::log::{Commit, Source};

type Answer<T> = oneshot::Sender<Result<T, String>>;

enum Call {
    Commit { place: Place, commit: Commit, answer: Answer<()> },
    Look { place: Place, answer: Answer<Option<Commit>> },
}

/// The groups this process commits for, each opened when it is first named.
pub(super) struct Groups {
    clients: Arc<Clients>,
    open: Mutex<BTreeMap<&'static str, Group>>,
}

#[derive(Clone)]
struct Group {
    consumer: Arc<BaseConsumer<Words>>,
    calls: mpsc::Sender<Call>,
}

impl Groups {
    pub(super) fn new(clients: Arc<Clients>) -> Self {
        Self { clients, open: Mutex::default() }
    }

    pub(super) async fn commit(&self, source: Source, commit: Commit) -> Result<(), StoreError> {
        let place = Place { topic: source.topic, partition: source.partition };
        self.call(source.group, |answer| Call::Commit { place, commit, answer }).await
    }

    pub(super) async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError> {
        let place = Place { topic: source.topic, partition: source.partition };
        self.call(source.group, |answer| Call::Look { place, answer }).await
    }

    /// What a transaction has to name to commit for a group.
    pub(super) fn metadata(&self, group: &'static str) -> Result<ConsumerGroupMetadata, StoreError> {
        let metadata = self.group(group)?.consumer.group_metadata();
        metadata.ok_or_else(|| fault::unavailable("the consumer knows no group"))
    }

    async fn call<T>(&self, group: &'static str, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, StoreError> {
        let gone = || fault::unavailable("the commits of the group have stopped");
        let (answer, answered) = oneshot::channel();
        let calls = self.group(group)?.calls;
        calls.send(call(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(fault::unavailable)
    }

    fn group(&self, name: &'static str) -> Result<Group, StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = open.get(name) {
            return Ok(group.clone());
        }
        let consumer = self.clients.consumer(name).map_err(|error| fault::unavailable(fault::words(&error)))?;
        let consumer = Arc::new(consumer);
        let (calls, received) = mpsc::channel(GROUP_CALLS_MAX);
        let worker = Worker { clients: Arc::clone(&self.clients), consumer: Arc::clone(&consumer) };
        let thread = std::thread::Builder::new().name(format!("peal-{name}"));
        thread.spawn(move || worker.run(received)).map_err(fault::unavailable)?;
        Ok(open.entry(name).or_insert(Group { consumer, calls }).clone())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        dismiss(std::mem::take(&mut self.open));
    }
}

struct Worker {
    clients: Arc<Clients>,
    consumer: Arc<BaseConsumer<Words>>,
}

impl Worker {
    fn run(self, mut calls: mpsc::Receiver<Call>) {
        let mut received = Vec::new();
        while calls.blocking_recv_many(&mut received, GROUP_CALLS_MAX) > 0 {
            while self.consumer.poll(Duration::ZERO).is_some() {} // nothing but errors that the calls meet themselves
            let (mut commits, mut looks) = (BTreeMap::new(), BTreeMap::new());
            let mut committers = Vec::new();
            for call in received.drain(..) {
                match call {
                    Call::Commit { place, commit, answer } => {
                        commits.insert(place, commit); // the last one counts
                        committers.push(answer);
                    }
                    Call::Look { place, answer } => looks.entry(place).or_insert_with(Vec::new).push(answer),
                }
            }
            self.commit(&commits, committers);
            self.look(looks);
        }
    }

    fn commit(&self, commits: &BTreeMap<Place, Commit>, committers: Vec<Answer<()>>) {
        if commits.is_empty() {
            return;
        }
        let done = self.try_commit(commits).map_err(|error| fault::words(&error));
        for committer in committers {
            drop(committer.send(done.clone()));
        }
    }

    fn try_commit(&self, commits: &BTreeMap<Place, Commit>) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(commits.len());
        for (place, commit) in commits {
            put(&mut list, self.clients.topic(place.topic), place.partition, commit)?;
        }
        self.consumer.commit(&list, CommitMode::Sync)?;
        list.elements().iter().try_for_each(TopicPartitionListElem::error)
    }

    fn look(&self, looks: BTreeMap<Place, Vec<Answer<Option<Commit>>>>) {
        if looks.is_empty() {
            return;
        }
        let found = self.try_look(looks.keys()).map_err(|error| fault::words(&error));
        for (place, answers) in looks {
            for answer in answers {
                drop(answer.send(found.clone().map(|found| found.get(&place).cloned())));
            }
        }
    }

    fn try_look<'a>(&self, places: impl Iterator<Item = &'a Place>) -> KafkaResult<BTreeMap<Place, Commit>> {
        let mut list = TopicPartitionList::new();
        for place in places {
            list.add_partition(self.clients.topic(place.topic), number(place.partition));
        }
        let mut found = BTreeMap::new();
        for element in self.consumer.committed_offsets(list, ASK_TIME_MAX)?.elements() {
            element.error()?;
            let topic = self.clients.topic_of(element.topic());
            let partition = u32::try_from(element.partition()).map(Partition::new);
            if let (Some(topic), Ok(partition), At::Offset(offset)) = (topic, partition, element.offset()) {
                let position = Position::at(Offset::new(u64::try_from(offset).unwrap_or_default()));
                let commit = Commit { position, metadata: element.metadata().to_owned() };
                found.insert(Place { topic, partition }, commit);
            }
        }
        Ok(found)
    }
}

/// Adds a commit to what is sent to Kafka.
pub(super) fn put(
    list: &mut TopicPartitionList,
    topic: &str,
    partition: Partition,
    commit: &Commit,
) -> Result<(), KafkaError> {
    let mut element = list.add_partition(topic, number(partition));
    element.set_offset(At::Offset(i64::try_from(commit.position.next().get()).unwrap_or(i64::MAX)))?;
    element.set_metadata(&commit.metadata);
    Ok(())
}

/// A partition as Kafka counts them; it was checked against P.
pub(super) fn number(partition: Partition) -> i32 {
    i32::try_from(partition.get()).unwrap_or(i32::MAX)
}
