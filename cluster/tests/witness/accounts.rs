//! What the accounts of events must say once everybody has seen everything: each notification in the log is counted once, as
//! delivered or as parked.
//!
//! A client that leaves says what it has seen, but its last word may be lost with its connection; such a notification is parked,
//! and the account says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use peal_cluster::api::Api;
use peal_proto::{EventId, UserId};
use peal_store::status::{Account, State};
use tokio::time::{sleep, timeout};

use super::oracle::{Oracle, Socket};

/// Events whose accounts are looked at, evenly spread over all.
const EVENTS_MAX: usize = 1_000;

/// Accounts asked for at a time.
const AT_ONCE: usize = 16;

/// Until all are settled: a publisher that was killed is replaced within six seconds, and reads again what it had read.
const SETTLED_TIMEOUT: Duration = Duration::from_secs(40);

const LOOK: Duration = Duration::from_millis(100);

/// Holds the accounts against who has seen what; a sentence of what was found.
pub(crate) async fn hold(api: &Api, oracle: &Oracle, sockets: &[Socket]) -> String {
    let mut seen: BTreeMap<&EventId, BTreeSet<UserId>> = BTreeMap::new();
    for socket in sockets {
        for (_, event) in &socket.seen {
            seen.entry(event).or_default().insert(socket.user);
        }
    }
    seen.retain(|event, _| oracle.has_account(event));
    let step = seen.len().div_ceil(EVENTS_MAX).max(1);
    let sample: Vec<_> = seen.into_iter().step_by(step).collect();
    let accounts =
        stream::iter(&sample).map(async |(event, seen)| account(api, oracle, event, seen.len() as u64).await);
    let accounts: Vec<_> = accounts.buffer_unordered(AT_ONCE).collect().await;
    let sum = |of: fn(&Account) -> u64| accounts.iter().map(of).sum::<u64>();
    let (delivered, parked) = (sum(|account| account.delivered), sum(|account| account.parked));
    let seen: usize = sample.iter().map(|(_, seen)| seen.len()).sum();
    let events = accounts.len();
    format!("the accounts of {events} events add up: delivered {delivered} of {seen} that were seen, parked {parked}")
}

/// The account of an event that so many users have seen, once it is settled.
async fn account(api: &Api, oracle: &Oracle, event: &EventId, seen: u64) -> Account {
    let mut last = None;
    let settled = async {
        loop {
            last = Some(api.account(event).await);
            if let Some(Ok(account)) = &last
                && account.status.state == State::Settled
            {
                return account.clone();
            }
            sleep(LOOK).await;
        }
    };
    let Ok(account) = timeout(SETTLED_TIMEOUT, settled).await else {
        panic!("{event}, seen by {seen}, is not settled: {last:?}")
    };
    let Account { status, delivered, parked, expired, replaced } = &account;
    let (members, failed, fates) = (status.members, oracle.failed(event), [delivered + parked, *expired, *replaced]);
    // Some members of a large community never come: for them it is parked.
    let users = members - failed;
    let adds_up = status.published == members && status.failed == failed && fates == [users, 0, 0] && seen <= users;
    assert!(adds_up && *delivered <= seen, "{event} was seen by {seen}, and its account is {account:?}");
    account
}
