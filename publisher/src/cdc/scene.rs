//! The follower's task on simulated stores and a topic in memory, under paused time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{CommunityId, Offset, Partition, Position, Topic};
use peal_serve::Clock;
use peal_store::inbox::Retention;
use peal_store::log::Member;
use peal_store::simulated::{Outage, Simulation, Store};
use peal_store::table::{Bounds, Keeping, RowRecord, TableReader};
use peal_store::{Members, StoreError, Stores, Table};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Cdc, Whole};
use crate::config::Columns;

const TOPIC: &str = "shop.public.memberships";

/// Long after whatever is waited for, in paused time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A topic of one partition.
#[derive(Clone, Default)]
struct Rows {
    records: Arc<Mutex<Option<Vec<RowRecord>>>>,
    told: Arc<Notify>,
}

impl Rows {
    fn tell(&self, key: &str, value: Option<&Value>) {
        let mut records = self.records.lock().unwrap();
        let records = records.get_or_insert_default();
        let offset = Offset::new(records.len() as u64);
        let key = Some(Bytes::from(key.to_owned()));
        let value = value.map(|value| Bytes::from(value.to_string()));
        records.push(RowRecord { partition: Partition::new(0), offset, key, value });
        self.told.notify_waiters();
    }

    fn create(&self, community: u64, user: u64) {
        let row = json!({ "community_id": community, "user_id": user });
        self.tell(&row.to_string(), Some(&json!({ "op": "c", "before": null, "after": row })));
    }

    fn delete(&self, community: u64, user: u64) {
        let row = json!({ "community_id": community, "user_id": user });
        self.tell(&row.to_string(), Some(&json!({ "op": "d", "before": row, "after": null })));
        self.tell(&row.to_string(), None);
    }

    fn len(&self) -> u64 {
        self.records.lock().unwrap().as_ref().map_or(0, |records| records.len() as u64)
    }
}

#[async_trait]
impl Table for Rows {
    fn topic(&self) -> &str {
        TOPIC
    }

    async fn partitions(&self) -> Result<Option<u32>, StoreError> {
        Ok(self.records.lock().unwrap().as_ref().map(|_| 1))
    }

    async fn keeping(&self) -> Result<Keeping, StoreError> {
        Ok(Keeping { concern: None, tombstone_age_max: Duration::MAX })
    }

    async fn join(&self) -> Result<Box<dyn Member>, StoreError> {
        Ok(Box::new(Alone(true)))
    }

    async fn bounds(&self, _: Partition) -> Result<Bounds, StoreError> {
        Ok(Bounds { begin: Position::START, end: Position::at(Offset::new(self.len())) })
    }

    async fn read(&self, from: Vec<(Partition, Position)>) -> Result<Box<dyn TableReader>, StoreError> {
        Ok(Box::new(Reading { rows: self.clone(), next: from[0].1 }))
    }
}

/// Who has all partitions.
struct Alone(bool);

#[async_trait]
impl Member for Alone {
    async fn assigned(&mut self) -> Result<Vec<Partition>, StoreError> {
        if !std::mem::take(&mut self.0) {
            std::future::pending::<()>().await;
        }
        Ok(vec![Partition::new(0)])
    }
}

struct Reading {
    rows: Rows,
    next: Position,
}

#[async_trait]
impl TableReader for Reading {
    async fn next(&mut self) -> Result<Vec<RowRecord>, StoreError> {
        loop {
            let told = self.rows.told.notified();
            let all = self.rows.records.lock().unwrap().clone().unwrap_or_default();
            let next: Vec<_> = all.into_iter().filter(|record| !self.next.covers(record.offset)).take(3).collect();
            if let Some(last) = next.last() {
                self.next = Position::behind(last.offset);
                return Ok(next);
            }
            told.await;
        }
    }
}

struct Scene {
    services: Simulation,
    stores: Stores,
    rows: Rows,
    cdc: Arc<Cdc>,
    following: Option<AbortOnDropHandle<()>>,
}

impl Scene {
    fn new() -> Self {
        let services = Simulation::new(7, 4, Retention::default());
        let (stores, rows) = (services.stores(), Rows::default());
        let cdc = Arc::new(Cdc::new(stores.clone(), Clock::system(), Arc::new(rows.clone()), Columns::default()));
        let mut scene = Self { services, stores, rows, cdc, following: None };
        scene.start();
        scene
    }

    fn start(&mut self) {
        let cdc = Arc::clone(&self.cdc);
        let following = tokio::spawn(async move { cdc.run(&CancellationToken::new()).await });
        self.following = Some(AbortOnDropHandle::new(following));
    }

    async fn until(&self, community: u64, users: &[u64]) {
        let (community, users) = (CommunityId::new(community).unwrap(), users.iter().copied().collect::<BTreeSet<_>>());
        let equal = async {
            loop {
                if let Ok(page) = self.stores.members.scan(community, None).await
                    && page.users.iter().map(|user| user.get()).collect::<BTreeSet<_>>() == users
                {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(PATIENCE, equal).await.is_ok(), "community {community} is not {users:?}");
    }

    async fn letters(&self) -> u64 {
        self.stores.log.end(Topic::DeadLetters, Partition::new(0)).await.unwrap().next().get()
    }
}

#[tokio::test(start_paused = true)]
async fn the_sets_are_what_the_table_is_once_there_is_a_topic() {
    let scene = Scene::new();
    sleep(Duration::from_secs(20)).await;
    assert!(scene.cdc.health().stalled, "{:?}", scene.cdc.health());
    scene.rows.create(7, 1);
    scene.rows.create(7, 2);
    scene.rows.create(8, 1);
    scene.until(7, &[1, 2]).await;
    scene.rows.delete(7, 1);
    scene.until(7, &[2]).await;
    scene.until(8, &[1]).await;
    sleep(Duration::from_secs(10)).await;
    let health = serde_json::to_value(scene.cdc.health()).unwrap();
    assert_eq!(health, json!({ "topic": TOPIC, "assigned": 1, "lag": 0, "stalled": false }));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_skipped_while_the_members_are_away_and_no_letter_is_written_twice() {
    let scene = Scene::new();
    scene.rows.create(7, 1);
    scene.until(7, &[1]).await;
    scene.services.break_down(Store::Members, Outage::Refuse);
    scene.rows.tell("rubbish", Some(&json!({ "op": "c", "after": { "community_id": 7 } })));
    scene.rows.create(7, 2);
    scene.rows.delete(7, 1);
    sleep(Duration::from_secs(30)).await;
    let health = scene.cdc.health();
    assert!(health.stalled, "{health:?}");
    scene.services.heal(Store::Members);
    scene.until(7, &[2]).await;
    assert_eq!(scene.letters().await, 1);
    assert!(!scene.cdc.health().stalled);
}

#[tokio::test(start_paused = true)]
async fn sets_that_were_lost_are_made_again_from_the_beginning_of_the_topic() {
    let mut scene = Scene::new();
    (1..=10).for_each(|user| scene.rows.create(7, user));
    scene.rows.delete(7, 4);
    scene.until(7, &[1, 2, 3, 5, 6, 7, 8, 9, 10]).await;
    scene.services.wipe_members();
    scene.until(7, &[1, 2, 3, 5, 6, 7, 8, 9, 10]).await;
    scene.following = None;
    scene.services.wipe_members();
    scene.rows.delete(7, 5);
    scene.start();
    scene.until(7, &[1, 2, 3, 6, 7, 8, 9, 10]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_from_sets_that_are_being_made_again() {
    let mut scene = Scene::new();
    let fanout = Whole::new(Arc::clone(&scene.stores.members), Arc::new(scene.rows.clone()));
    let community = CommunityId::new(7).unwrap();
    let scanned = async || Some(fanout.scan(community, None).await.ok()?.users.len());
    assert_eq!(scanned().await, None, "there is no topic yet");
    (1..=10).for_each(|user| scene.rows.create(7, user));
    scene.until(7, &(1..=10).collect::<Vec<_>>()).await;
    let whole = async {
        while scanned().await != Some(10) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, whole).await.unwrap();
    scene.following = None;
    scene.services.wipe_members();
    assert_eq!(scanned().await, None);
    scene.start();
    let mut seen = BTreeSet::new();
    while !seen.contains(&Some(10)) {
        seen.insert(scanned().await);
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(seen, BTreeSet::from([None, Some(10)]), "all or nobody");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_change_nothing() {
    let scene = Scene::new();
    scene.services.lose_answers(Store::Members, 40);
    for user in 1..=20 {
        scene.rows.create(7, user);
        scene.rows.delete(7, user.saturating_sub(3));
    }
    scene.until(7, &[18, 19, 20]).await;
}
