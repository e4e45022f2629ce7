//! What is too old is taken away: records of the log, entries of the inbox, statuses and claims. A thread that looks at a
//! few hundred records at a time and rests in between.
//!
//! Owns the ages but the inbox's, which stand with each entry. Never takes the last record of a partition, which is what
//! its end is known by.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use peal_proto::{Offset, Partition, Position, Timestamp, Topic, UserId};

use super::Settings;
use super::engine::{Durability, Engine};
use super::fault::Fault;
use super::schema::{self, Claimed, Kept, Key, Part, Stored, Table};
use super::tails::Slot;
use crate::limits::{SWEEP_ROUND_PAUSE, SWEEP_STEP_PAUSE, SWEEP_STEP_RECORDS};
use crate::status::Status;
use crate::{StoreError, clock, inbox};

/// The thread; stopped when this is dropped.
pub(crate) struct Sweeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    pub(crate) fn start(engine: Engine, settings: Settings) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let mut sweep = Sweep::new(engine, settings);
        let rest = move |pause| matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout));
        let rounds = move || {
            while rest(SWEEP_ROUND_PAUSE) {
                if let Err(error) = sweep.round(clock::now(), &mut || rest(SWEEP_STEP_PAUSE)) {
                    tracing::warn!(%error, "a sweep was left for later");
                }
            }
        };
        let thread = std::thread::Builder::new().name("peal-store-sweep".to_owned()).spawn(rounds)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sweep of the store has panicked");
        }
    }
}

/// What the thread does.
struct Sweep {
    engine: Engine,
    log_age_max: Duration,
    status_age_max: Duration,
    account_age_max: Duration,
    /// Where in each partition nothing is left below; a look from the start would pass all that was taken away.
    swept: BTreeMap<Slot, Position>,
}

type Pairs = Vec<(Bytes, Bytes)>;

impl Sweep {
    fn new(engine: Engine, settings: Settings) -> Self {
        let Settings { partitions: _, retention, log_age_max, status_age_max } = settings;
        // What is parked may be delivered for as long as that.
        let account_age_max = status_age_max.max(retention.ttl);
        Self { engine, log_age_max, status_age_max, account_age_max, swept: BTreeMap::new() }
    }

    /// Sweeps everything once. `rest` is called after each step and says whether to go on.
    fn round(&mut self, now: Timestamp, rest: &mut impl FnMut() -> bool) -> Result<(), StoreError> {
        let slots: Vec<_> = self.engine.shared().tails.all().collect();
        for (slot, topic, partition) in slots {
            while self.sweep_partition(slot, topic, partition, now.before(self.log_age_max))? {
                if !rest() {
                    return Ok(());
                }
            }
        }
        let (claims_before, accounts_before) = (now.before(self.status_age_max), now.before(self.account_age_max));
        self.sweep_range(Table::Inbox, schema::within(b"e".to_vec()), rest, |engine, pairs| {
            expire(engine, pairs, now)
        })?;
        self.sweep_range(Table::State, schema::within(b"E".to_vec()), rest, |engine, pairs| {
            let old = |value: &[u8]| Ok(serde_json::from_slice::<Status>(value)?.at < accounts_before);
            delete_old(engine, Table::State, pairs, old)
        })?;
        self.sweep_range(Table::State, schema::within(b"P".to_vec()), rest, |engine, pairs| {
            delete_old(engine, Table::State, pairs, |value| Ok(Part::decode(value)?.at < accounts_before))
        })?;
        self.sweep_range(Table::State, schema::within(b"K".to_vec()), rest, |engine, pairs| {
            delete_old(engine, Table::State, pairs, |value| Ok(Claimed::decode(value)?.at < claims_before))
        })
    }

    /// Takes away some of a partition's oldest records; whether there may be more of them.
    fn sweep_partition(
        &mut self,
        slot: Slot,
        topic: Topic,
        partition: Partition,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let last = self.engine.shared().tails.end(slot).next().get().saturating_sub(1);
        let from = self.swept.get(&slot).copied().unwrap_or_default();
        let range = schema::records(topic, partition, from..Position::at(Offset::new(last)));
        let mut pairs = self.pairs(Table::Log, range)?;
        let young = |value: &[u8]| Stored::appended(value).is_ok_and(|appended| appended >= before);
        pairs.truncate(pairs.iter().position(|(_, value)| young(value)).unwrap_or(pairs.len()));
        let Some((last, _)) = pairs.last() else { return Ok(false) };
        let last = schema::offset_of(last).map_err(|error| self.engine.error(error.into()))?;
        let full = pairs.len() == SWEEP_STEP_RECORDS;
        delete_old(&self.engine, Table::Log, pairs, |_| Ok(true))?;
        self.swept.insert(slot, Position::behind(last));
        Ok(full)
    }

    fn sweep_range(
        &self,
        table: Table,
        mut range: Range<Key>,
        rest: &mut impl FnMut() -> bool,
        sweep: impl Fn(&Engine, Pairs) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        loop {
            let pairs = self.pairs(table, range.clone())?;
            let Some((last, _)) = pairs.last() else { return Ok(()) };
            range.start = [last, &[0][..]].concat();
            sweep(&self.engine, pairs)?;
            if !rest() {
                return Ok(());
            }
        }
    }

    fn pairs(&self, table: Table, range: Range<Key>) -> Result<Pairs, StoreError> {
        let shared = self.engine.shared();
        let pairs =
            || shared.tables()?.view().range(table, range).take(SWEEP_STEP_RECORDS).collect::<Result<_, Fault>>();
        pairs().map_err(|fault| self.engine.error(fault))
    }
}

/// Turns the expired entries of the users among these into losses.
fn expire(engine: &Engine, pairs: Pairs, now: Timestamp) -> Result<(), StoreError> {
    let is_expired = |value| matches!(Kept::decode(value), Ok(Kept::Entry { until, .. }) if until <= now);
    let expired = pairs.into_iter().filter(|(_, value)| is_expired(value.clone()));
    let mut owners: Vec<_> = expired.filter_map(|(key, _)| schema::owner_of(&key).ok()).collect();
    owners.dedup();
    for (partition, user) in owners {
        let Ok(user) = UserId::new(user) else { continue };
        engine.run_blocking(Durability::Riding, move |stage| inbox::embedded::expire(stage, partition, user, now))?;
    }
    Ok(())
}

fn delete_old(
    engine: &Engine,
    table: Table,
    pairs: Pairs,
    old: impl Fn(&[u8]) -> Result<bool, Fault>,
) -> Result<(), StoreError> {
    let mut keys = Vec::new();
    for (key, value) in pairs {
        if old(&value).map_err(|fault| engine.error(fault))? {
            keys.push(key.to_vec());
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    engine.run_blocking(Durability::Riding, move |stage| {
        keys.into_iter().for_each(|key| stage.delete(table, key));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use peal_proto::frame::GapReason;
    use peal_proto::{Audience, CommunityId, Kind};

    use super::*;
    use crate::Stores;
    use crate::embedded::{Embedded, open};
    use crate::inbox::{Entry, Item, Marker, PageRequest};
    use crate::log::{Headers, NewRecord};
    use crate::status::{Claim, Origin, State};

    const PARTITION: Partition = Partition::new(1);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn opened() -> (tempfile::TempDir, Embedded, Stores, Sweep) {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { partitions: 2, ..Settings::default() };
        let embedded = open(directory.path(), settings).unwrap();
        let (stores, engine) = (embedded.stores(), embedded.engine.clone());
        (directory, embedded, stores, Sweep::new(engine, settings))
    }

    /// A round by itself: the sweep waits for the writer, as its thread may and a runtime may not.
    async fn round(mut sweep: Sweep, now: Timestamp) -> Sweep {
        let swept = tokio::task::spawn_blocking(move || {
            sweep.round(now, &mut || true).unwrap();
            sweep
        });
        swept.await.unwrap()
    }

    async fn append(stores: &Stores, count: usize) {
        let record = |_| NewRecord { partition: PARTITION, key: 1, headers: Headers::default(), value: "v".into() };
        stores.log.append(Topic::Notifications, (0..count).map(record).collect()).await.unwrap();
    }

    async fn first(stores: &Stores) -> Offset {
        let mut reader = stores.log.reader(Topic::Notifications, PARTITION, Position::START).await.unwrap();
        reader.next().await.unwrap()[0].offset
    }

    #[tokio::test]
    async fn records_beyond_the_age_go_but_for_the_last() {
        let (directory, embedded, stores, sweep) = opened();
        append(&stores, 3 * SWEEP_STEP_RECORDS / 2).await;
        let sweep = round(sweep, clock::now().after(7 * DAY)).await;
        let before: usize =
            embedded.engine.shared().tables().unwrap().view().range(Table::Log, schema::within(vec![1])).count();
        assert_eq!(before, 3 * SWEEP_STEP_RECORDS / 2);
        let sweep = round(sweep, clock::now().after(9 * DAY)).await;
        let after: usize =
            embedded.engine.shared().tables().unwrap().view().range(Table::Log, schema::within(vec![1])).count();
        assert_eq!(after, 1);
        let end = stores.log.end(Topic::Notifications, PARTITION).await.unwrap();
        drop((sweep, stores, embedded));
        let embedded = open(directory.path(), Settings { partitions: 2, ..Settings::default() }).unwrap();
        let stores = embedded.stores();
        assert_eq!(stores.log.end(Topic::Notifications, PARTITION).await.unwrap(), end);
        assert_eq!(Position::behind(first(&stores).await), end);
    }

    #[tokio::test]
    async fn a_reader_below_what_was_swept_goes_on_with_what_is_left() {
        let (_directory, _embedded, stores, sweep) = opened();
        append(&stores, 5).await;
        round(sweep, clock::now().after(9 * DAY)).await;
        append(&stores, 1).await;
        let mut reader = stores.log.reader(Topic::Notifications, PARTITION, Position::START).await.unwrap();
        let mut last = reader.next().await.unwrap().pop().unwrap();
        while last.offset != Offset::new(5) {
            last = reader.next().await.unwrap().pop().unwrap();
        }
    }

    #[tokio::test]
    async fn expired_entries_become_gaps_and_hold_the_floor_no_longer() {
        let (_directory, embedded, stores, sweep) = opened();
        let now = clock::now();
        let user = UserId::new(7).unwrap();
        let entry = |offset: u64| Entry {
            user,
            offset: Offset::new(offset),
            expires: (offset % 4 != 3).then(|| now.after(DAY)),
            collapse: None,
            value: "v".into(),
        };
        stores.inbox.park(PARTITION, None, Marker::new(1), (0..200).map(entry).collect(), now).await.unwrap();
        let request = PageRequest { user, from: Position::START, entries_max: 1_000, bytes_max: 100_000 };
        let later = now.after(2 * DAY);
        let before = stores.inbox.pages(PARTITION, vec![request], later).await.unwrap();
        round(sweep, later).await;
        assert_eq!(stores.inbox.pages(PARTITION, vec![request], later).await.unwrap(), before);
        assert_eq!(before[0].items.iter().filter(|item| matches!(item, Item::Gap { .. })).count(), 50);
        let stored = embedded
            .engine
            .shared()
            .tables()
            .unwrap()
            .view()
            .range(Table::Inbox, schema::within(b"e".to_vec()))
            .count();
        assert_eq!(stored, 100, "an entry and a loss in turn");
        assert_eq!(stores.inbox.trim(PARTITION, Vec::new()).await.unwrap(), Some(Offset::new(3)));
    }

    #[tokio::test]
    async fn what_was_swept_and_parked_again_is_never_missing_in_silence() {
        let (_directory, _embedded, stores, sweep) = opened();
        let (now, user) = (clock::now(), UserId::new(7).unwrap());
        let park = |number, offsets: &[u64], expires| {
            let entry =
                |offset: &u64| Entry { user, offset: Offset::new(*offset), expires, collapse: None, value: "v".into() };
            let expected = (number > 1).then(|| Marker::new(number - 1));
            stores.inbox.park(PARTITION, expected, Marker::new(number), offsets.iter().map(entry).collect(), now)
        };
        park(1, &[2, 4, 6], Some(now.after(DAY))).await.unwrap();
        park(2, &[8], None).await.unwrap();
        round(sweep, now.after(2 * DAY)).await;
        park(3, &[4], None).await.unwrap();
        let request = PageRequest { user, from: Position::START, entries_max: 10, bytes_max: 1_000 };
        let pages = stores.inbox.pages(PARTITION, vec![request], now.after(2 * DAY)).await.unwrap();
        let gap = |to| Item::Gap { to: Position::at(Offset::new(to)), reason: GapReason::Expired };
        let given = |offset| Item::Notification { offset: Offset::new(offset), replaced: 0, value: "v".into() };
        assert_eq!(pages[0].items, [gap(4), given(4), gap(7), given(8)]);
    }

    #[tokio::test]
    async fn collapse_keys_go_with_their_entries_however_those_go() {
        let (_directory, embedded, stores, sweep) = opened();
        let (now, user) = (clock::now(), UserId::new(7).unwrap());
        let keys = || {
            let tables = embedded.engine.shared().tables().unwrap();
            tables.view().range(Table::Inbox, schema::within(b"k".to_vec())).count()
        };
        let park = |number, offsets: Range<u64>, expires| {
            let entry = |offset: u64| {
                let collapse = (offset < 20).then(|| format!("k{}", offset % 5).parse().unwrap());
                Entry { user, offset: Offset::new(offset), expires, collapse, value: vec![0; 10_000].into() }
            };
            let expected = (number > 1).then(|| Marker::new(number - 1));
            stores.inbox.park(PARTITION, expected, Marker::new(number), offsets.map(entry).collect(), now)
        };
        park(1, 0..2, Some(now.after(DAY))).await.unwrap();
        park(2, 2..8, None).await.unwrap();
        assert_eq!(keys(), 5);
        stores.inbox.trim(PARTITION, vec![(user, Position::at(Offset::new(4)))]).await.unwrap();
        assert_eq!(keys(), 4);
        park(3, 8..9, Some(now.after(DAY))).await.unwrap();
        assert_eq!(keys(), 5);
        round(sweep, now.after(2 * DAY)).await;
        assert_eq!(keys(), 4);
        park(4, 100..300, None).await.unwrap(); // more than the quota
        assert_eq!(keys(), 0);
    }

    #[tokio::test]
    async fn statuses_and_claims_beyond_their_age_are_forgotten() {
        let (_directory, _embedded, stores, sweep) = opened();
        let now = clock::now();
        let old = |event: &str, at| Status {
            event: event.parse().unwrap(),
            state: State::Accepted,
            kind: Kind::joined(),
            audience: Audience::Community(CommunityId::new(1).unwrap()),
            at,
            members: 0,
            published: 0,
            failed: 0,
            duplicates: 0,
        };
        let origin = |offset| Origin { partition: PARTITION, offset: Offset::new(offset) };
        let claim = |event: &'static str, offset, at| {
            let statuses = stores.statuses.clone();
            async move { statuses.claim(&event.parse().unwrap(), origin(offset), at).await.unwrap() }
        };
        for (event, at) in [("old", now.before(8 * DAY)), ("late", now.before(3 * DAY)), ("new", now.before(DAY))] {
            stores.statuses.accept(old(event, at)).await.unwrap();
            assert_eq!(claim(event, 1, at).await, Claim::Ours);
        }
        round(sweep, now).await;
        assert_eq!(stores.statuses.get(&"old".parse().unwrap()).await.unwrap(), None);
        for kept in ["late", "new"] {
            assert!(stores.statuses.get(&kept.parse().unwrap()).await.unwrap().is_some(), "{kept}");
        }
        assert_eq!(claim("old", 2, now).await, Claim::Ours);
        assert_eq!(claim("late", 2, now).await, Claim::Ours, "its id is free, its account may still change");
        assert_eq!(claim("new", 2, now).await, Claim::Duplicate);
    }
}
