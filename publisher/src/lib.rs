//! The publisher: takes events in and fans them out to the members of their communities.
//!
//! The modules stand in the order of the data: an event is let in ([`admission`]: not too many a second) and taken in
//! ([`ingest`]: durable, then answered), told to the [`members`] of its community by the [`fanout`] (exactly once into the
//! notification log), and its poster can ask how far it is ([`status`]) and what became of it ([`accounts`]). Where the members
//! are a table of another program, [`cdc`] follows it. Users who are away are told by [`push`]. Partitions of users are moved
//! between nodes by [`mod@rebalance`]. What can't be processed is kept, and can be replayed ([`dead_letters`]).
//! Who is online, and how a notification reaches them, is the node's business.

mod admission;
mod ingest;

mod fanout;
mod members;

mod cdc;

mod accounts;
mod dead_letters;
mod status;

mod push;

mod rebalance;

mod backoff;
mod feed;
mod share;

mod http;
mod ready;
mod within;

pub mod config;
pub mod limits;

use std::sync::Arc;

use axum::Router;
use peal_proto::ShardMap;
use peal_serve::Clock;
use peal_store::{Stores, Table};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::admission::Admission;
pub use crate::admission::{Proxy, Rate};
use crate::cdc::{Cdc, Whole};
pub use crate::config::{AdmissionSettings, CdcSettings, Columns, FanoutLimits, Settings};
use crate::fanout::Fanout;
use crate::ingest::{Ingest, Seats};
pub use crate::push::{
    InvalidSecret, InvalidVapidKey, InvalidWebhook, Push, PushFault, PushSettings, VapidKey, WebhookSecret, WebhookUrl,
};

/// One publisher: its HTTP interface and its fan-out.
#[derive(Clone)]
pub struct Publisher {
    app: Arc<App>,
}

/// What the handlers of requests share.
struct App {
    stores: Stores,
    clock: Clock,
    map: watch::Receiver<Arc<ShardMap>>,
    admission: Admission,
    ingest: Ingest,
    /// For requests that change members: not those of events, or members that hang would keep events out.
    members_seats: Seats,
    /// For requests that read dead letters.
    letters_seats: Seats,
    /// Held while a dead letter is replayed.
    replaying: Mutex<()>,
    fanout: Fanout,
    accounts: Accounts,
    /// Where the members are a table of another program.
    cdc: Option<Cdc>,
    /// Where users who are away are pushed to by this process.
    push: Option<Push>,
    /// Whether subscriptions may lead to private addresses.
    private_endpoints: bool,
}

/// What a publisher does only when it is asked to.
#[derive(Default)]
pub struct Extras {
    /// Follows a table of members.
    pub table: Option<(Arc<dyn Table>, Columns)>,
    /// Pushes to users who are away.
    pub push: Option<Push>,
    /// Takes subscriptions whose push service is at a private address or without TLS.
    pub private_endpoints: bool,
}

impl Publisher {
    /// A publisher on these stores. `map` is the shard map that `/v1/locate` answers from.
    #[must_use]
    pub fn new(stores: Stores, map: watch::Receiver<Arc<ShardMap>>, clock: Clock, settings: Settings) -> Self {
        Self::with(stores, map, clock, settings, Extras::default())
    }

    /// The same, and what else it is asked to do.
    #[must_use]
    pub fn with(
        stores: Stores,
        map: watch::Receiver<Arc<ShardMap>>,
        clock: Clock,
        settings: Settings,
        Extras { table, push, private_endpoints }: Extras,
    ) -> Self {
        let admission = Admission::new(&clock, &settings);
        let ingest = Ingest::new(stores.clone(), clock.clone(), &settings);
        let members_seats = Seats::new(limits::MEMBERS_INFLIGHT_REQUESTS_MAX, limits::MEMBERS_INFLIGHT_BYTES_MAX);
        let letters_seats = Seats::new(limits::LETTERS_INFLIGHT_REQUESTS_MAX, 0);
        let members = table.as_ref().map_or_else(
            || Arc::clone(&stores.members),
            |(table, _)| Arc::new(Whole::new(Arc::clone(&stores.members), Arc::clone(table))),
        );
        let fanout = Fanout::new(Stores { members, ..stores.clone() }, clock.clone(), settings.fanout);
        let accounts = Accounts::new(stores.clone(), clock.clone());
        let cdc = table.map(|(table, columns)| Cdc::new(stores.clone(), clock.clone(), table, columns));
        let app = App {
            stores,
            clock,
            map,
            admission,
            ingest,
            members_seats,
            letters_seats,
            replaying: Mutex::new(()),
            fanout,
            accounts,
            cdc,
            push,
            private_endpoints,
        };
        Self { app: Arc::new(app) }
    }

    /// The HTTP interface, to be served by [`peal_serve::serve`].
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.app))
    }

    /// Fans events out and keeps their accounts until `stop`; then ends in order: slices under way are written, events in flight
    /// are in the log.
    /// Dropping the future is a crash, which is survived as well.
    pub async fn run(&self, stop: CancellationToken) {
        let following = async {
            if let Some(cdc) = &self.app.cdc {
                cdc.run(&stop).await;
            }
        };
        let pushing = async {
            if let Some(push) = &self.app.push {
                push.run(&stop).await;
            }
        };
        let App { fanout, accounts, stores, clock, .. } = &*self.app;
        let rebalancing = rebalance::run(stores, clock, &stop);
        tokio::join!(fanout.run(&stop), accounts.run(&stop), following, pushing, rebalancing);
        self.app.ingest.finish().await;
    }
}
