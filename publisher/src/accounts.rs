//! The account of every event: how many of its notifications were delivered, are parked, or are gone, and for what reason.
//!
//! Nodes write receipts of what they settled to the log before they commit; an account is the sum of an event's receipts, each
//! counted once whatever crashed. The publishers share the partitions of the receipts log, and each has a [`reader`]. [`fold`] is
//! what receipts change, [`part`] where it is counted; one [`keeper`] changes it in the store. Whoever waits for an event is
//! [told](waiters) when it changes.

mod aging;
mod fold;
mod keeper;
mod part;
mod reader;
mod sheet;
mod waiters;

#[cfg(test)]
mod model;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use peal_proto::name::ACCOUNTS_GROUP;
use peal_proto::{EventId, Timestamp, Topic};
use peal_serve::Clock;
use peal_store::status::{Account, State};
use peal_store::{StoreError, Stores};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::keeper::Keeper;
use self::part::{Part, Tally};
use self::reader::Reader;
pub(crate) use self::waiters::Waiter;
use self::waiters::Waiters;
use crate::share::{Health, Share};

/// The keepers of a publisher.
pub(crate) struct Accounts {
    stores: Stores,
    clock: Clock,
    share: Share,
    waiters: Waiters,
}

impl Accounts {
    pub(crate) fn new(stores: Stores, clock: Clock) -> Self {
        let share = Share::new(Arc::clone(&stores.log), ACCOUNTS_GROUP, Topic::Receipts, clock.clone());
        Self { stores, clock, share, waiters: Waiters::default() }
    }

    /// Keeps the accounts of this publisher's partitions until `stop`.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let (keeper, desk) = Keeper::new(Arc::clone(&self.stores.statuses), self.clock.clone());
        let read = |partition, pulse, stop| {
            let (log, desk, clock) = (Arc::clone(&self.stores.log), desk.clone(), self.clock.clone());
            Reader::new(partition, log, desk, clock, pulse).run(stop)
        };
        tokio::select! {
            () = self.share.run(stop, read) => {}
            () = keeper.run() => {} // which has readers for as long
            () = self.waiters.tell(self.stores.statuses.changes()) => {} // which never ends
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.share.health()
    }

    /// How many requests wait for an event to change.
    pub(crate) fn waiters(&self) -> usize {
        self.waiters.count()
    }

    /// Someone who waits for an event to change; `None` when too many do.
    pub(crate) fn enter(&self, event: &EventId) -> Option<Waiter> {
        self.waiters.enter(event)
    }

    /// The account as it is now; what changes from now on is told to the waiter.
    pub(crate) async fn watched(&self, waiter: &Waiter) -> Result<Option<Account>, StoreError> {
        self.stores.statuses.watch(waiter.event()).await?;
        self.of(waiter.event()).await
    }

    /// The account once the event is in this state, or as it is when the time is up.
    pub(crate) async fn reaches(
        &self,
        mut waiter: Waiter,
        state: State,
        limit: Duration,
    ) -> Result<Option<Account>, StoreError> {
        let mut over = pin!(sleep(limit));
        loop {
            let account = self.watched(&waiter).await?;
            if account.as_ref().is_some_and(|account| account.status.state >= state) {
                return Ok(account);
            }
            tokio::select! {
                biased;
                () = waiter.told() => {}
                () = &mut over => return Ok(account),
            }
        }
    }

    /// The account of an event as it is now; `None` when the event is unknown.
    pub(crate) async fn of(&self, event: &EventId) -> Result<Option<Account>, StoreError> {
        let Some((status, parts)) = self.stores.statuses.account(event).await? else { return Ok(None) };
        let parts: Result<Vec<_>, _> = parts.iter().map(|stored| Part::read(event, Some(stored))).collect();
        Ok(Some(sum(status, &parts?, self.clock.now())))
    }
}

fn sum(status: peal_store::status::Status, parts: &[Part], now: Timestamp) -> Account {
    let Tally { delivered, parked, expired, replaced } = parts.iter().map(|part| part.tally(now)).sum();
    let mut account = Account { status, delivered, parked, expired, replaced };
    let settled = delivered + parked + expired + replaced + account.status.failed;
    if account.status.state == State::Published && settled >= account.status.published {
        account.status.state = State::Settled;
    }
    account
}
