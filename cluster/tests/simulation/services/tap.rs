//! The tap: every call of a process to a store passes here.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::limits::INTEGER_MAX;
use peal_proto::name::NODES_GROUP;
use peal_proto::{
    CollapseKey, CommunityId, EventId, Fate, Generation, NodeId, Offset, Partition, Position, Receipt, ShardMap,
    Timestamp, Topic, UserId,
};
use peal_store::inbox::{Entry, Item, Marker, Page, PageRequest, Parked};
use peal_store::leases::{Holder, Lease, Seat};
use peal_store::log::{Commit, Member, NewRecord, Reader, Record, Source, Writer};
use peal_store::members::{MembersPage, ScanCursor};
use peal_store::status::{Change as PartChange, Changes, Claim, Origin, PartKey, Status};
use peal_store::{Inbox, Leases, Log, Members, Shards, Statuses, StoreError, Stores};

use super::Line;
use crate::book::Book;
use crate::tampering::{Act, Tamperer};

/// What is done to the calls of one process.
#[derive(Clone)]
pub(super) struct Tap {
    process: Arc<str>,
    line: Arc<Line>,
    generation: Generation,
    book: Book,
    tamperer: Option<Arc<Tamperer>>,
    leases_lapse: bool,
}

/// A store behind a tap.
struct Tapped<S> {
    tap: Tap,
    store: S,
}

impl Tap {
    pub(super) fn new(
        process: &str,
        line: Arc<Line>,
        generation: Generation,
        book: Book,
        tamperer: Option<Arc<Tamperer>>,
    ) -> Self {
        Self { process: process.into(), line, generation, book, tamperer, leases_lapse: false }
    }

    /// Everybody who asks is told that it holds a lease, as when they were lost and one did not hear of it yet.
    pub(super) fn leases_lapse(self, leases_lapse: bool) -> Self {
        Self { leases_lapse, ..self }
    }

    pub(super) fn on(&self, stores: Stores) -> Stores {
        let Stores { log, members, statuses, inbox, subscriptions, shards, leases } = stores;
        Stores {
            log: Arc::new(self.before(log)),
            members: Arc::new(self.before(members)),
            statuses: Arc::new(self.before(statuses)),
            inbox: Arc::new(self.before(inbox)),
            subscriptions,
            shards: Arc::new(self.before(shards)),
            leases: Arc::new(self.before(leases)),
        }
    }

    fn before<S>(&self, store: S) -> Tapped<S> {
        Tapped { tap: self.clone(), store }
    }

    fn strikes(&self, act: Act) -> bool {
        self.tamperer.as_ref().is_some_and(|tamperer| tamperer.strikes(act))
    }

    fn always(&self, act: Act) -> bool {
        self.tamperer.as_ref().is_some_and(|tamperer| tamperer.always(act))
    }

    fn say(&self, line: impl FnOnce() -> String) {
        self.book.trace(|| format!("{}: {}", self.process, line()));
    }

    /// Both ends of a call, as two lines.
    async fn watch<T: Debug>(
        &self,
        call: impl FnOnce() -> String,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut called = String::new();
        self.say(|| {
            called = call();
            called.clone()
        });
        let answer = match self.line.pass().await {
            Ok(()) => asked.await,
            Err(error) => Err(error),
        };
        self.say(|| match &answer {
            Ok(answer) => format!("{called} -> {answer:?}"),
            Err(error) => format!("{called} -> {error}"),
        });
        answer
    }
}

fn users(entries: &[Entry]) -> Vec<(u64, u64)> {
    entries.iter().map(|entry| (entry.user.get(), entry.offset.get())).collect()
}

#[async_trait]
impl Log for Tapped<Arc<dyn Log>> {
    fn generation(&self) -> Generation {
        self.tap.generation
    }

    fn partitions(&self) -> u32 {
        self.store.partitions()
    }

    async fn append(&self, topic: Topic, mut records: Vec<NewRecord>) -> Result<Vec<Offset>, StoreError> {
        let is_part = topic == Topic::Events && records.len() > 1;
        if is_part && self.tap.strikes(Act::LosePart) {
            return Ok(vec![Offset::new(0); records.len()]);
        }
        if is_part && self.tap.strikes(Act::SwapItems) {
            records.swap(0, 1);
        }
        if topic == Topic::Receipts && self.tap.loses(&records) {
            return Ok(vec![Offset::new(0); records.len()]);
        }
        if topic == Topic::Receipts && self.tap.strikes(Act::RepeatReceipts) {
            records.extend(records.clone());
        }
        let call = || format!("append {topic}");
        self.tap.watch(call, self.store.append(topic, records)).await
    }

    async fn join(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Member>, StoreError> {
        self.store.join(group, topic).await
    }

    async fn writer(&self, name: &str) -> Result<Box<dyn Writer>, StoreError> {
        self.tap.line.pass().await?;
        Ok(Box::new(self.tap.before(self.store.writer(name).await?)))
    }

    async fn reader(&self, topic: Topic, partition: Partition, from: Position) -> Result<Box<dyn Reader>, StoreError> {
        self.tap.say(|| format!("reader {topic} {partition} from {from}"));
        self.tap.line.pass().await?;
        Ok(Box::new(self.tap.before(self.store.reader(topic, partition, from).await?)))
    }

    async fn commit(&self, source: Source, mut commit: Commit) -> Result<(), StoreError> {
        let of_node = source.group == NODES_GROUP;
        if of_node && self.tap.always(Act::CommitEarly) {
            commit.position = self.store.end(source.topic, source.partition).await?.max(commit.position);
        }
        if of_node && self.tap.always(Act::CommitNever) {
            return Ok(());
        }
        let call = || format!("commit {} {} {} {}", source.topic, source.partition, commit.position, commit.metadata);
        self.tap.watch(call, self.store.commit(source, commit.clone())).await
    }

    async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError> {
        let call = || format!("committed {} {}", source.topic, source.partition);
        let committed = self.tap.watch(call, self.store.committed(source)).await;
        if matches!(&committed, Ok(Some(commit)) if commit.metadata.contains("\"part\"")) {
            self.tap.book.count("fan-outs resumed inside an event");
        }
        committed
    }

    async fn end(&self, topic: Topic, partition: Partition) -> Result<Position, StoreError> {
        self.tap.line.pass().await?;
        self.store.end(topic, partition).await
    }
}

#[async_trait]
impl Writer for Tapped<Box<dyn Writer>> {
    async fn write(
        &mut self,
        mut records: Vec<(Topic, Vec<NewRecord>)>,
        source: Source,
        commit: Commit,
    ) -> Result<(), StoreError> {
        records.iter_mut().for_each(|(_, records)| self.tap.tamper(records));
        let call = || {
            let to = |records: &[NewRecord]| records.iter().map(|record| record.key).collect::<Vec<_>>();
            let to: Vec<_> = records.iter().map(|(topic, records)| (topic.name(), to(records))).collect();
            format!("write to {to:?} from {} up to {} {}", source.partition, commit.position, commit.metadata)
        };
        let written = self.store.write(records.clone(), source, commit.clone());
        self.tap.watch(call, written).await
    }
}

impl Tap {
    /// Whether these receipts do not come to stand in their log.
    fn loses(&self, receipts: &[NewRecord]) -> bool {
        let replayed = |record: &NewRecord| match Receipt::from_json(&record.value) {
            Ok(Receipt::Replayed { runs }) => runs.first().map(|run| run.fate),
            Ok(Receipt::Settled { .. }) | Err(_) => None,
        };
        let mut replayed = receipts.iter().filter_map(replayed);
        match replayed.next() {
            Some(Fate::Replaced) if self.strikes(Act::LoseReplaced) => true,
            Some(Fate::Delivered) if self.strikes(Act::LoseReplayed) => true,
            _ => self.strikes(Act::LoseReceipts),
        }
    }

    fn tamper(&self, records: &mut Vec<NewRecord>) {
        let Some(last) = records.last().filter(|_| self.tamperer.is_some()).cloned() else { return };
        if self.strikes(Act::AppendTwice) {
            records.push(last.clone());
        }
        if self.strikes(Act::AppendLess) {
            records.pop();
        }
        if self.strikes(Act::AppendUninvited) {
            let key = last.key + 12_000_000; // in the same partition, whatever their number
            let value = String::from_utf8(last.value.to_vec()).unwrap();
            let value = value.replacen(&format!(":{}\"", last.key), &format!(":{key}\""), 1).into();
            records.push(NewRecord { key, value, ..last.clone() });
        }
        if let Some(direct) = records.iter().find(|record| is_for_one(record)).cloned()
            && self.strikes(Act::TellTwice)
        {
            records.push(direct);
        }
        let same = |record: &NewRecord| record.key == last.key;
        if let Some(other) = records[..records.len() - 1].iter().rposition(same)
            && self.strikes(Act::AppendSwapped)
        {
            let end = records.len() - 1;
            records.swap(other, end);
        }
    }
}

fn is_for_one(notification: &NewRecord) -> bool {
    !String::from_utf8_lossy(&notification.value).contains(r#""community":"#)
}

#[async_trait]
impl Reader for Tapped<Box<dyn Reader>> {
    async fn next(&mut self) -> Result<Vec<Record>, StoreError> {
        self.tap.line.pass().await?;
        let read = tokio::select! {
            biased;
            error = self.tap.line.refusing() => Err(error),
            mut read = self.store.next() => {
                for record in read.iter_mut().flatten().filter(|record| record.headers.expires.is_some()) {
                    if self.tap.always(Act::ForgetDeadlines) {
                        record.headers.expires = None;
                    }
                }
                read
            }
        };
        self.tap.say(|| match &read {
            Ok(records) => {
                let found: Vec<_> = records.iter().map(|record| (record.offset.get(), record.key)).collect();
                format!("reads {found:?}")
            }
            Err(error) => format!("reads nothing: {error}"),
        });
        read
    }
}

#[async_trait]
impl Inbox for Tapped<Arc<dyn Inbox>> {
    fn ttl(&self) -> Duration {
        self.store.ttl()
    }

    async fn park(
        &self,
        partition: Partition,
        expected: Option<Marker>,
        next: Marker,
        mut entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<Parked, StoreError> {
        if self.tap.always(Act::ForgetEntry) {
            entries.pop();
        }
        if self.tap.always(Act::ReplaceOthers) {
            entries.iter_mut().for_each(|entry| entry.collapse = "all".parse().ok());
        }
        let own = |entry: &Entry| (self.tap.generation, entry.user, entry.offset);
        self.tap.book.open().parked.extend(entries.iter().map(own));
        let call = || format!("park {partition} {expected:?} {next:?} {:?}", users(&entries));
        let parked = self.tap.watch(call, self.store.park(partition, expected, next, entries.clone(), now)).await;
        self.tap.book.count(match &parked {
            Ok(Parked::Done { .. }) => "batches parked",
            Ok(Parked::Unexpected { .. }) => "batches refused by the marker",
            Err(_) => "batches not answered",
        });
        parked
    }

    async fn of_keys(
        &self,
        partition: Partition,
        keys: Vec<(UserId, CollapseKey)>,
        now: Timestamp,
    ) -> Result<Vec<Option<(Offset, Bytes)>>, StoreError> {
        let call = || format!("of_keys {partition} {keys:?}");
        self.tap.watch(call, self.store.of_keys(partition, keys.clone(), now)).await
    }

    async fn pages(
        &self,
        partition: Partition,
        requests: Vec<PageRequest>,
        now: Timestamp,
    ) -> Result<Vec<Page>, StoreError> {
        let call = || {
            let asked: Vec<_> = requests.iter().map(|request| (request.user.get(), request.from.to_string())).collect();
            format!("pages {partition} {asked:?}")
        };
        self.tap.line.pass().await?;
        let mut pages = self.store.pages(partition, requests.clone(), now).await;
        if self.tap.always(Act::HideGaps) {
            let gapless = |page: &mut Page| page.items.retain(|item| matches!(item, Item::Notification { .. }));
            pages.iter_mut().flatten().for_each(gapless);
        }
        self.tap.say(|| {
            let shape = |page: &Page| (page.items.len(), page.end);
            let answer = pages.as_ref().map(|pages| pages.iter().map(shape).collect::<Vec<_>>());
            format!("{} -> {answer:?}", call())
        });
        pages
    }

    async fn trim(
        &self,
        partition: Partition,
        mut trims: Vec<(UserId, Position)>,
    ) -> Result<Option<Offset>, StoreError> {
        if self.tap.always(Act::TrimAll) {
            trims.iter_mut().for_each(|(_, below)| *below = Position::at(Offset::new(INTEGER_MAX)));
        }
        let call = || format!("trim {partition} {trims:?}");
        self.tap.watch(call, self.store.trim(partition, trims.clone())).await
    }

    async fn marker(&self, partition: Partition) -> Result<Option<Marker>, StoreError> {
        self.tap.watch(|| format!("marker {partition}"), self.store.marker(partition)).await
    }
}

#[async_trait]
impl Members for Tapped<Arc<dyn Members>> {
    async fn add(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        let call = || format!("add to {community}: {} users", users.len());
        self.tap.watch(call, self.store.add(community, users.clone())).await
    }

    async fn remove(&self, community: CommunityId, users: Vec<UserId>) -> Result<u64, StoreError> {
        let call = || format!("remove from {community}: {users:?}");
        self.tap.watch(call, self.store.remove(community, users.clone())).await
    }

    async fn scan(&self, community: CommunityId, from: Option<ScanCursor>) -> Result<MembersPage, StoreError> {
        self.tap.line.pass().await?;
        self.store.scan(community, from).await
    }

    async fn count(&self, community: CommunityId) -> Result<u64, StoreError> {
        self.tap.line.pass().await?;
        self.store.count(community).await
    }
}

#[async_trait]
impl Statuses for Tapped<Arc<dyn Statuses>> {
    async fn accept(&self, status: Status) -> Result<(), StoreError> {
        self.tap.line.pass().await?;
        self.store.accept(status).await
    }

    async fn claim(&self, event: &EventId, origin: Origin, now: Timestamp) -> Result<Claim, StoreError> {
        let call = || format!("claim {event} for {} {}", origin.partition, origin.offset);
        let claim = self.tap.watch(call, self.store.claim(event, origin, now)).await;
        if matches!(claim, Ok(Claim::Duplicate)) {
            self.tap.book.count("duplicates not told");
        }
        claim
    }

    async fn release(&self, event: &EventId, origin: Origin) -> Result<(), StoreError> {
        let call = || format!("release {event} from {} {}", origin.partition, origin.offset);
        self.tap.watch(call, self.store.release(event, origin)).await
    }

    async fn update(&self, status: Status) -> Result<(), StoreError> {
        self.tap.line.pass().await?;
        self.store.update(status).await
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        self.tap.line.pass().await?;
        self.store.get(event).await
    }

    async fn parts(&self, keys: &[PartKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.tap.line.pass().await?;
        self.store.parts(keys).await
    }

    async fn change(&self, changes: Vec<PartChange>) -> Result<bool, StoreError> {
        if self.tap.strikes(Act::ForgetParts) {
            return Ok(true);
        }
        let call = || format!("change {} parts of accounts", changes.len());
        self.tap.watch(call, self.store.change(changes.clone())).await
    }

    async fn account(&self, event: &EventId) -> Result<Option<(Status, Vec<Bytes>)>, StoreError> {
        self.tap.line.pass().await?;
        let mut account = self.store.account(event).await?;
        if let Some((status, _)) = &mut account
            && status.members > 0
            && self.tap.strikes(Act::Miscount)
        {
            status.members -= 1;
        }
        Ok(account)
    }

    async fn watch(&self, event: &EventId) -> Result<(), StoreError> {
        self.tap.line.pass().await?;
        self.store.watch(event).await
    }

    fn changes(&self) -> Changes {
        self.store.changes()
    }
}

#[async_trait]
impl Shards for Tapped<Arc<dyn Shards>> {
    async fn load(&self) -> Result<Option<ShardMap>, StoreError> {
        self.tap.line.pass().await?;
        let stored = self.store.load().await?;
        let is_hidden =
            |map: &ShardMap| map.epoch() > 1 && &*self.tap.process == "node-0" && self.tap.always(Act::HideMaps);
        Ok(stored.filter(|map| !is_hidden(map)))
    }

    async fn store(&self, map: ShardMap) -> Result<bool, StoreError> {
        self.tap.line.pass().await?;
        let before = self.store.load().await?;
        let moves = before.is_some_and(|before| before.owners().ne(map.owners()));
        if moves && self.tap.always(Act::LoseWaves) {
            return Ok(true);
        }
        self.store.store(map).await
    }

    async fn changed(&self) {
        self.store.changed().await;
    }
}

#[async_trait]
impl Leases for Tapped<Arc<dyn Leases>> {
    async fn claim(
        &self,
        holder: &Holder,
        partitions: &[Partition],
        term: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        if self.tap.leases_lapse {
            return Ok(vec![Lease::Held; partitions.len()]);
        }
        let claimed = self.store.claim(holder, partitions, term, now);
        self.tap.watch(|| format!("claim {partitions:?} for {holder}"), claimed).await
    }

    async fn release(&self, holder: &Holder, partitions: &[Partition]) -> Result<(), StoreError> {
        let released = self.store.release(holder, partitions);
        self.tap.watch(|| format!("release {partitions:?} of {holder}"), released).await
    }

    async fn holders(&self, partitions: &[Partition], now: Timestamp) -> Result<Vec<Option<Holder>>, StoreError> {
        self.tap.watch(|| format!("holders {partitions:?}"), self.store.holders(partitions, now)).await
    }

    async fn sit(&self, seat: &Seat, term: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        if self.tap.leases_lapse {
            return Ok(Lease::Held);
        }
        self.tap.watch(|| format!("sit {seat:?}"), self.store.sit(seat, term, now)).await
    }

    async fn rise(&self, holder: &Holder, node: NodeId) -> Result<(), StoreError> {
        self.tap.watch(|| format!("rise {holder} from {node}"), self.store.rise(holder, node)).await
    }

    async fn seats(&self, now: Timestamp) -> Result<Vec<Seat>, StoreError> {
        self.tap.watch(|| "seats".into(), self.store.seats(now)).await
    }
}
