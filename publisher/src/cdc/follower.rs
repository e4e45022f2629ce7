//! The task that follows a table: does what the machine says, with the topic and the store of members. It decides nothing but
//! when to try again, and whatever fails, it begins again where the sets are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peal_proto::{Partition, Position, Topic};
use peal_serve::Clock;
use peal_store::log::Member;
use peal_store::members::{Followed, Step};
use peal_store::table::{Keeping, RowRecord, TableReader};
use peal_store::{StoreError, Stores, Table};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::batch::Work;
use super::health::Pulse;
use super::letter::Letter;
use super::machine::{Look, Machine, Told};
use crate::backoff::Backoff;
use crate::config::Columns;
use crate::limits::{CDC_LOOK_INTERVAL, CDC_LOOKS_AN_END, CDC_MOVED_PAUSE, CDC_STILL_INTERVAL};

/// Follows the partitions that are this publisher's.
pub(super) struct Follower {
    stores: Stores,
    clock: Clock,
    table: Arc<dyn Table>,
    columns: Columns,
    pulse: Arc<Pulse>,
    backoff: Backoff,
    member: Option<Box<dyn Member>>,
    /// This publisher's partitions; `None` until Kafka has said which.
    assigned: Option<Vec<Partition>>,
    /// How the topic keeps its records, once it has said so.
    keeping: Option<Keeping>,
    /// Up to where letters were written: what is tried again is not written again.
    buried: BTreeMap<Partition, Position>,
}

/// Why it begins again.
enum Again {
    /// Partitions have changed hands.
    Assigned,
    /// The sets are not where they were left.
    Moved,
}

impl Follower {
    pub(super) fn new(
        stores: Stores,
        clock: Clock,
        table: Arc<dyn Table>,
        columns: Columns,
        pulse: Arc<Pulse>,
    ) -> Self {
        let backoff = Backoff::new(Partition::new(0));
        let (member, assigned, keeping, buried) = (None, None, None, BTreeMap::new());
        Self { stores, clock, table, columns, pulse, backoff, member, assigned, keeping, buried }
    }

    /// Follows for ever. All errors are tried again.
    pub(super) async fn run(&mut self) {
        loop {
            match self.follow().await {
                Ok(Again::Assigned) => {}
                Ok(Again::Moved) => {
                    tracing::warn!(
                        topic = self.table.topic(),
                        "the members are not where they were left; going on there"
                    );
                    metrics::counter!("peal_cdc_moved_total").increment(1);
                    sleep(CDC_MOVED_PAUSE).await;
                }
                Err(error) => {
                    let wait = self.failed(&error);
                    sleep(wait).await;
                }
            }
        }
    }

    /// Follows until it has to begin again.
    async fn follow(&mut self) -> Result<Again, StoreError> {
        self.check().await?;
        let partitions = self.assigned().await?;
        self.pulse.set_assigned(Some(partitions.len()));
        let found = self.found(&partitions).await?;
        self.look_back(&found).await?;
        let topic = self.table.topic().into();
        let mut machine = Machine::new(topic, self.columns.clone(), found);
        if partitions.is_empty() {
            self.recovered();
            return self.reassigned().await;
        }
        let mut reader = self.table.read(machine.from()).await?;
        let mut looks = interval(CDC_LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut until_end, mut still_at) = (0, self.clock.uptime() + CDC_STILL_INTERVAL);
        loop {
            tokio::select! {
                biased;
                again = self.reassigned() => return again,
                _ = looks.tick() => {
                    if !machine.is_at(&self.found(&partitions).await?) {
                        return Ok(Again::Moved);
                    }
                    if self.clock.uptime() >= still_at {
                        still_at = self.clock.uptime() + CDC_STILL_INTERVAL;
                        self.stay(&machine).await?;
                    }
                    if until_end == 0 && !self.look_ahead(&partitions, &mut machine, &mut reader).await? {
                        return Ok(Again::Moved);
                    }
                    until_end = (until_end + 1) % CDC_LOOKS_AN_END;
                    self.recovered();
                }
                records = reader.next() => {
                    if !self.apply(&mut machine, &records?).await? {
                        return Ok(Again::Moved);
                    }
                    self.recovered();
                }
            }
        }
    }

    /// Looks at the topic, once.
    async fn check(&mut self) -> Result<(), StoreError> {
        if self.keeping.is_some() {
            return Ok(());
        }
        let topic = self.table.topic();
        if self.table.partitions().await?.is_none() {
            let reason = format!("there is no topic {topic} yet; Debezium makes it with the first row");
            return Err(StoreError::Unavailable { store: "table of members", reason });
        }
        let keeping = self.table.keeping().await.unwrap_or_else(|error| Keeping {
            concern: Some(format!("it is not known how {topic} keeps its records: {error}")),
            tombstone_age_max: Duration::MAX,
        });
        if let Some(concern) = &keeping.concern {
            tracing::error!(concern, "the table of members is not safe to follow as its topic is configured");
        }
        metrics::gauge!("peal_cdc_concerns").set(f64::from(u8::from(keeping.concern.is_some())));
        self.keeping = Some(keeping);
        Ok(())
    }

    /// This publisher's partitions, as soon as Kafka has said which.
    async fn assigned(&mut self) -> Result<Vec<Partition>, StoreError> {
        if self.member.is_none() {
            (self.member, self.assigned) = (Some(self.table.join().await?), None);
        }
        if self.assigned.is_none() {
            self.reassigned().await?;
        }
        Ok(self.assigned.clone().unwrap_or_default())
    }

    /// Waits until partitions change hands. Cancel safe.
    async fn reassigned(&mut self) -> Result<Again, StoreError> {
        let Some(member) = &mut self.member else { return Ok(Again::Assigned) };
        match member.assigned().await {
            Ok(assigned) => {
                tracing::info!(topic = self.table.topic(), partitions = assigned.len(), "follows the table of members");
                self.assigned = Some(assigned);
                Ok(Again::Assigned)
            }
            Err(error) => {
                self.member = None;
                self.pulse.set_assigned(None);
                Err(error)
            }
        }
    }

    /// Where the sets are.
    async fn found(&mut self, partitions: &[Partition]) -> Result<Vec<(Partition, Option<Followed>)>, StoreError> {
        let found = self.stores.members.followed(self.table.topic(), partitions).await?;
        Ok(partitions.iter().copied().zip(found).collect())
    }

    /// Tells when changes are gone from the topic that were not applied.
    async fn look_back(&mut self, found: &[(Partition, Option<Followed>)]) -> Result<(), StoreError> {
        let age_max = self.keeping.as_ref().map_or(Duration::MAX, |keeping| keeping.tombstone_age_max);
        for (partition, followed) in found {
            let begin = self.table.bounds(*partition).await?.begin;
            let position = followed.map_or(Position::START, |followed| followed.position);
            let was_away = followed.is_some_and(|followed| followed.age > age_max);
            if begin > position || was_away {
                tracing::error!(
                    topic = self.table.topic(),
                    %partition,
                    "changes of the table may be gone from its topic before they were applied; `peal members verify` finds \
                     what differs"
                );
                metrics::counter!("peal_cdc_gaps_total").increment(1);
            }
        }
        Ok(())
    }

    /// Looks how much there is to come, and reads with another consumer when one hears nothing of it. Whether the sets are
    /// where they were left.
    async fn look_ahead(
        &mut self,
        partitions: &[Partition],
        machine: &mut Machine,
        reader: &mut Box<dyn TableReader>,
    ) -> Result<bool, StoreError> {
        for partition in partitions {
            let end = self.table.bounds(*partition).await?.end;
            match machine.handle_end(*partition, end) {
                Look::Behind(behind) => self.pulse.set_lag(*partition, behind),
                Look::Deaf => {
                    tracing::warn!(topic = self.table.topic(), %partition, "deaf to what is in the topic; reading anew");
                    *reader = self.table.read(machine.from()).await?;
                    machine.handle_reopened(*partition, end);
                }
                Look::Whole => {
                    let step = machine.whole(*partition);
                    let stepped = self.stores.members.follow(&step).await?;
                    if !machine.handle_stepped(&step, stepped) {
                        return Ok(false);
                    }
                    tracing::info!(topic = self.table.topic(), %partition, "the members are whole");
                    self.pulse.set_lag(*partition, 0);
                }
            }
        }
        Ok(true)
    }

    /// Says that somebody follows, or a table that is quiet for a day would look like one that nobody followed.
    async fn stay(&mut self, machine: &Machine) -> Result<(), StoreError> {
        for step in machine.still() {
            self.stores.members.follow(&step).await?; // if they are elsewhere, the next look says so
        }
        Ok(())
    }

    /// Applies records; whether the sets were where they were left.
    async fn apply(&mut self, machine: &mut Machine, records: &[RowRecord]) -> Result<bool, StoreError> {
        for (work, told) in machine.handle_records(records) {
            let Work { letters, step, ops } = work;
            self.tell(&step, told);
            for letter in letters {
                self.bury(letter).await?;
            }
            let stepped = self.stores.members.follow(&step).await?;
            if !machine.handle_stepped(&step, stepped) {
                return Ok(false);
            }
            for (op, count) in ops {
                metrics::counter!("peal_cdc_changes_total", "op" => op.name()).increment(count);
            }
        }
        Ok(true)
    }

    fn tell(&mut self, step: &Step, told: Told) {
        let (topic, partition) = (self.table.topic(), step.partition);
        if told.snapshot {
            tracing::warn!(
                topic,
                %partition,
                "a new snapshot of the table of members: it does not say which rows are gone; `peal members verify` finds them"
            );
        }
        if told.made_again {
            tracing::error!(topic, %partition, "the topic of the table of members was made again; following it from its beginning");
            self.buried.remove(&partition);
        }
    }

    async fn bury(&mut self, letter: Letter) -> Result<(), StoreError> {
        let (partition, offset) = (letter.partition, letter.offset);
        if self.buried.get(&partition).is_some_and(|buried| buried.covers(offset)) {
            return Ok(());
        }
        let log = &self.stores.log;
        log.append(Topic::DeadLetters, vec![letter.record(log.partitions())]).await?;
        self.buried.insert(partition, Position::behind(offset));
        let (topic, reason) = (self.table.topic(), &letter.unreadable);
        tracing::error!(topic, %partition, %offset, %reason, "a change can't be followed; it is a dead letter now");
        let topic = topic.to_owned();
        metrics::counter!("peal_dead_letters_total", "topic" => topic, "reason" => reason.name()).increment(1);
        Ok(())
    }

    /// How long to wait. Only the first error in a row is logged.
    fn failed(&mut self, error: &StoreError) -> Duration {
        metrics::counter!("peal_cdc_retries_total").increment(1);
        if !self.backoff.failing() {
            tracing::warn!(topic = self.table.topic(), %error, "the table of members is not followed; trying again");
        }
        self.pulse.fail(self.clock.uptime(), error.to_string());
        self.backoff.next()
    }

    fn recovered(&mut self) {
        let failures = self.backoff.reset();
        if failures > 0 {
            tracing::info!(topic = self.table.topic(), failures, "the table of members is followed again");
        }
        self.pulse.succeed();
    }
}
