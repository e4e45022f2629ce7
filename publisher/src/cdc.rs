//! Members that are a table of another program: its changes are read from the topic that Debezium tells them in, and the sets
//! made equal to it.
//!
//! A record is read by [`change`]; [`batch`] is what some of them come to, [`machine`] what happens with them, and [`follower`]
//! does it with the topic and the store of members. What can't be followed is a [`letter`]. How far the sets are stands beside
//! them in their store ([`peal_store::members::step`]): it is lost when they are lost, and they are made again from the
//! beginning of the topic; until then the fan-out waits for them ([`whole`]). Owns whether this publisher follows, and how well.

mod change;
mod letter;

mod batch;
mod machine;

mod follower;
mod health;
mod whole;

#[cfg(test)]
mod model;
#[cfg(test)]
mod scene;

use std::sync::Arc;

use peal_serve::Clock;
use peal_store::{Stores, Table};
use tokio_util::sync::CancellationToken;

use self::follower::Follower;
pub(crate) use self::health::Health;
use self::health::Pulse;
pub(crate) use self::whole::Whole;
use crate::config::Columns;

/// The follower of a publisher.
pub(crate) struct Cdc {
    stores: Stores,
    clock: Clock,
    table: Arc<dyn Table>,
    columns: Columns,
    pulse: Arc<Pulse>,
}

impl Cdc {
    pub(crate) fn new(stores: Stores, clock: Clock, table: Arc<dyn Table>, columns: Columns) -> Self {
        let pulse = Arc::new(Pulse::new(table.topic()));
        Self { stores, clock, table, columns, pulse }
    }

    /// Follows until `stop`; a step that is under way then is done, or is done again by whoever comes next.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let (stores, table, pulse) = (self.stores.clone(), Arc::clone(&self.table), Arc::clone(&self.pulse));
        let mut follower = Follower::new(stores, self.clock.clone(), table, self.columns.clone(), pulse);
        tokio::select! {
            () = stop.cancelled() => {}
            () = follower.run() => {}
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.pulse.health(self.clock.uptime())
    }
}
