//! One consumer and its thread: takes what librdkafka has fetched, and hands it to the readers by partition.
//!
//! Partitions are assigned by hand, one reader each; no group decides who reads what. There is one queue for all partitions
//! (split queues cost twice the memory and have a stall of their own), so a reader that is slow is paused and costs the
//! others nothing. The thread is the only one that talks to the consumer; it decides nothing about records.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use peal_proto::{Partition, Position, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::client::{Clients, Place};
use super::groups::number;
use super::limits::{DISPATCH_RECORDS_MAX, IDLE_PAUSE};
use super::record::Values;
use super::slot::{Batch, Slot};
use super::words::Words;
use super::{fault, record};
use crate::StoreError;
use crate::log::Record;

/// A handle on a consumer; its thread ends when this is dropped.
pub(super) struct Lane {
    desk: Arc<Desk>,
}

/// Where the thread is told what to do. Each reader leaves a few orders at most.
#[derive(Default)]
struct Desk {
    state: Mutex<Orders>,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct Orders {
    waiting: Vec<Order>,
    taken: BTreeSet<Place>,
    closing: bool,
}

enum Order {
    Read { place: Place, from: Position, slot: Arc<Slot> },
    Resume { place: Place },
    Forget { place: Place },
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.thread.get().map(Thread::unpark);
    }
}

impl Lane {
    pub(super) fn start(clients: Arc<Clients>) -> Result<Self, StoreError> {
        let consumer = clients.consumer("peal.readers").map_err(|error| fault::unavailable(fault::words(&error)))?;
        let desk = Arc::new(Desk::default());
        let own = Arc::clone(&desk);
        let worker = move || Worker::new(clients, consumer, own).run();
        let thread = std::thread::Builder::new().name("peal-reader".to_owned()).spawn(worker);
        let handle = thread.map_err(fault::unavailable)?;
        desk.thread.get_or_init(|| handle.thread().clone());
        Ok(Self { desk })
    }

    /// Reads a partition into a slot, unless another reader has the partition.
    pub(super) fn read(&self, place: Place, from: Position, slot: &Arc<Slot>) -> bool {
        let mut orders = self.desk.lock();
        let free = orders.taken.insert(place);
        if free {
            orders.waiting.push(Order::Read { place, from, slot: Arc::clone(slot) });
            self.desk.wake();
        }
        free
    }

    pub(super) fn resume(&self, place: Place) {
        self.desk.lock().waiting.push(Order::Resume { place });
        self.desk.wake();
    }

    pub(super) fn forget(&self, place: Place) {
        let mut orders = self.desk.lock();
        orders.taken.remove(&place);
        orders.waiting.push(Order::Forget { place });
        self.desk.wake();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.desk.lock().closing = true;
        self.desk.wake();
    }
}

/// One partition that is read.
struct Feed {
    slot: Arc<Slot>,
    next: Position,
    /// Taken and not handed over yet.
    taken: Batch,
    /// To be paused: too much waits for its reader.
    full: bool,
    /// The log is not what it was: told, and nothing more is read.
    broken: bool,
}

struct Worker {
    clients: Arc<Clients>,
    consumer: BaseConsumer<Words>,
    desk: Arc<Desk>,
    /// By topic and partition.
    feeds: Vec<Option<Feed>>,
    /// Those that have taken something.
    touched: Vec<Place>,
    values: Values,
}

impl Worker {
    fn new(clients: Arc<Clients>, mut consumer: BaseConsumer<Words>, desk: Arc<Desk>) -> Self {
        let thread = std::thread::current();
        consumer.set_nonempty_callback(move || thread.unpark());
        let places = Topic::ALL.len() * clients.partitions() as usize;
        let feeds = std::iter::repeat_with(|| None).take(places).collect();
        Self { clients, consumer, desk, feeds, touched: Vec::new(), values: Values::default() }
    }

    fn run(mut self) {
        loop {
            let orders = {
                let mut orders = self.desk.lock();
                if orders.closing {
                    return;
                }
                std::mem::take(&mut orders.waiting)
            };
            orders.into_iter().for_each(|order| self.obey(order));
            let taken = self.take();
            self.hand_over();
            if taken == 0 {
                std::thread::park_timeout(IDLE_PAUSE);
            }
        }
    }

    fn index(&self, place: Place) -> usize {
        place.topic as usize * self.clients.partitions() as usize + place.partition.get() as usize
    }

    fn feed(&mut self, place: Place) -> Option<&mut Feed> {
        let index = self.index(place);
        self.feeds.get_mut(index)?.as_mut()
    }

    fn list<'a>(&self, places: impl IntoIterator<Item = &'a Place>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for place in places {
            list.add_partition(self.clients.topic(place.topic), number(place.partition));
        }
        list
    }

    fn obey(&mut self, order: Order) {
        let (place, done) = match order {
            Order::Read { place, from, slot } => {
                let index = self.index(place);
                self.feeds[index] =
                    Some(Feed { slot, next: from, taken: Batch::default(), full: false, broken: false });
                (place, self.assign(place, from))
            }
            Order::Resume { place } => (place, self.consumer.resume(&self.list([&place]))),
            Order::Forget { place } => {
                let index = self.index(place);
                self.feeds[index] = None;
                (place, self.consumer.incremental_unassign(&self.list([&place])))
            }
        };
        if let Err(error) = done {
            self.tell(place, fault::unavailable(fault::words(&error)));
        }
    }

    fn assign(&self, place: Place, from: Position) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(1);
        let offset = At::Offset(i64::try_from(from.next().get()).unwrap_or(i64::MAX));
        list.add_partition_offset(self.clients.topic(place.topic), number(place.partition), offset)?;
        self.consumer.incremental_assign(&list)
    }

    /// Takes what has been fetched; how much it was.
    fn take(&mut self) -> usize {
        let mut run = Run::default();
        for taken in 0..DISPATCH_RECORDS_MAX {
            match self.consumer.poll(Duration::ZERO) {
                None => return taken,
                Some(Ok(message)) => {
                    let place = run.place(&self.clients, &message);
                    let record = record::decode(&message, &mut self.values);
                    drop(message);
                    self.put(place, record);
                }
                Some(Err(error)) => self.failed(&error),
            }
        }
        DISPATCH_RECORDS_MAX
    }

    fn put(&mut self, place: Option<Place>, record: Record) {
        let Some(place) = place else { return };
        let Some(feed) = self.feed(place).filter(|feed| !feed.broken) else { return };
        if feed.next.covers(record.offset) {
            feed.broken = true;
            let (offset, next) = (record.offset, feed.next);
            let Place { topic, partition } = place;
            let reason = format!("{topic}/{partition} has gone back to {offset}, behind {next}; was it made again?");
            self.tell(place, fault::damaged(reason));
            return;
        }
        feed.next = Position::behind(record.offset);
        let is_first = feed.taken.is_empty();
        feed.taken.push(record);
        if feed.taken.is_full() {
            feed.full |= feed.slot.fill(std::mem::take(&mut feed.taken));
        }
        if is_first {
            self.touched.push(place);
        }
    }

    /// Gives each reader what was taken for it, and pauses those that have too much waiting.
    fn hand_over(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let full: Vec<_> = touched.iter().filter(|place| self.fill(**place)).collect();
        if !full.is_empty()
            && let Err(error) = self.consumer.pause(&self.list(full))
        {
            tracing::warn!(error = fault::words(&error), "partitions are not paused");
        }
        self.touched = touched;
        self.touched.clear();
    }

    /// Whether the partition is to be paused.
    fn fill(&mut self, place: Place) -> bool {
        let Some(feed) = self.feed(place) else { return false };
        if !feed.taken.is_empty() {
            feed.full |= feed.slot.fill(std::mem::take(&mut feed.taken));
        }
        std::mem::take(&mut feed.full)
    }

    fn failed(&mut self, error: &KafkaError) {
        let reason = fault::words(error);
        if fault::passes_by_itself(error) {
            return tracing::debug!(reason, "a consumer copes with an error");
        }
        // librdkafka does not say which partition it was; a reader that was not meant opens again and goes on.
        for feed in self.feeds.iter().flatten() {
            feed.slot.fail(fault::unavailable(&reason));
        }
    }

    fn tell(&mut self, place: Place, fault: StoreError) {
        if let Some(feed) = self.feed(place) {
            feed.slot.fail(fault);
        }
    }
}

/// The partition of the message before: messages come in runs, and names of topics are slow to compare. A pointer stands for
/// the same topic as long as nothing is assigned in between.
#[derive(Default)]
struct Run(Option<((*const c_void, i32), Place)>);

impl Run {
    fn place(&mut self, clients: &Clients, message: &BorrowedMessage<'_>) -> Option<Place> {
        let source = (message.topic_ptr().cast_const().cast(), message.partition());
        if let Some((last, place)) = self.0
            && last == source
        {
            return Some(place);
        }
        let topic = clients.topic_of(message.topic())?;
        let place = Place { topic, partition: Partition::new(u32::try_from(message.partition()).ok()?) };
        self.0 = Some((source, place));
        Some(place)
    }
}
