//! Whether the publisher can do its work: `GET /readyz`.
//!
//! Not ready (503) when it can't take events in, or when its fan-out stands still for a reason of its own. When only the
//! members, the statuses or the accounts are away, the table of members is not followed, or nobody is pushed to, it is degraded and says so, but ready
//! (200): events are still accepted, and to take every publisher out of service would turn a wait into a loss for posters who do
//! not repeat.

use peal_proto::id::InvalidId;
use peal_proto::{CommunityId, Partition, Topic};
use peal_store::{StoreError, Stores};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cdc;
use crate::limits::READY_TIMEOUT;
use crate::share::Health;
use crate::within::within;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PublisherReadiness")]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    degraded: bool,
    log: String,
    members: String,
    statuses: String,
    fanout: Health,
    accounts: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    cdc: Option<cdc::Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<Health>,
}

impl Readiness {
    /// Asks every store something that changes nothing.
    ///
    /// # Errors
    /// When what is asked for were no ids, which they are.
    pub(crate) async fn of(
        stores: &Stores,
        fanout: Health,
        accounts: Health,
        cdc: Option<cdc::Health>,
        push: Option<Health>,
    ) -> Result<Self, InvalidId> {
        let (community, event) = (CommunityId::new(0)?, "readyz".parse()?);
        let (log, members, statuses) = tokio::join!(
            within(READY_TIMEOUT, "log", stores.log.end(Topic::Events, Partition::new(0))),
            within(READY_TIMEOUT, "store of members", stores.members.count(community)),
            within(READY_TIMEOUT, "store of statuses", stores.statuses.get(&event)),
        );
        let waits_for_stores = members.is_err() || statuses.is_err();
        let stands_still = fanout.assigned.is_none() || fanout.stopped > 0 || (fanout.stalled > 0 && !waits_for_stores);
        let ready = log.is_ok() && !stands_still;
        let accounts_wait = accounts.assigned.is_none() || accounts.stalled + accounts.stopped > 0;
        let is_behind = cdc.as_ref().is_some_and(|cdc| cdc.stalled || cdc.assigned.is_none());
        let push_waits = push.is_some_and(|push| push.assigned.is_none() || push.stalled + push.stopped > 0);
        let degraded = waits_for_stores || fanout.stalled > 0 || accounts_wait || is_behind || push_waits || !ready;
        let (log, members, statuses) = (said(log), said(members), said(statuses));
        Ok(Self { ready, degraded, log, members, statuses, fanout, accounts, cdc, push })
    }
}

fn said<T>(answer: Result<T, StoreError>) -> String {
    answer.map_or_else(|error| error.to_string(), |_| "ok".to_owned())
}
