//! The account of every event: how many of its notifications were delivered, are parked, or are gone, and for what reason.
//!
//! Nodes write receipts of what they settled to the log before they commit; an account is the sum of an event's receipts, each
//! counted once whatever crashed. The publishers share the partitions of the receipts log. [`fold`] is what receipts change,
//! [`part`] where it is counted, [`keeper`] does it with the stores.

mod fold;
mod keeper;
mod part;

#[cfg(test)]
mod model;

use std::sync::Arc;

use peal_proto::name::ACCOUNTS_GROUP;
use peal_proto::{EventId, Timestamp, Topic};
use peal_serve::Clock;
use peal_store::status::{Account, State};
use peal_store::{StoreError, Stores};
use tokio_util::sync::CancellationToken;

use self::keeper::Keeper;
use self::part::{Part, Tally};
use crate::share::{Health, Share};

/// The keepers of a publisher.
pub(crate) struct Accounts {
    stores: Stores,
    clock: Clock,
    share: Share,
}

impl Accounts {
    pub(crate) fn new(stores: Stores, clock: Clock) -> Self {
        let share = Share::new(Arc::clone(&stores.log), ACCOUNTS_GROUP, Topic::Receipts, clock.clone());
        Self { stores, clock, share }
    }

    /// Keeps the accounts of this publisher's partitions until `stop`.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let keep =
            |partition, pulse, stop| Keeper::new(partition, self.stores.clone(), self.clock.clone(), pulse).run(stop);
        self.share.run(stop, keep).await;
    }

    pub(crate) fn health(&self) -> Health {
        self.share.health()
    }

    /// The account of an event as it is now; `None` when the event is unknown.
    pub(crate) async fn of(&self, event: &EventId) -> Result<Option<Account>, StoreError> {
        let Some((status, parts)) = self.stores.statuses.account(event).await? else { return Ok(None) };
        let parts: Result<Vec<_>, _> = parts.iter().map(|stored| Part::decode(stored)).collect();
        let parts = parts.map_err(|error| StoreError::Damaged {
            store: "store of statuses",
            reason: format!("a part of the account of event {event} can't be read: {error}"),
        })?;
        Ok(Some(sum(status, &parts, self.clock.now())))
    }
}

fn sum(status: peal_store::status::Status, parts: &[Part], now: Timestamp) -> Account {
    let Tally { delivered, parked, expired } = parts.iter().map(|part| part.tally(now)).sum();
    let mut account = Account { status, delivered, parked, expired, failed: 0 };
    let settled = account.delivered + account.parked + account.expired + account.failed;
    if account.status.state == State::Published && settled >= account.status.published {
        account.status.state = State::Settled;
    }
    account
}
