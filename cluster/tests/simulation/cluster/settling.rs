//! The end of a run: the poster asks for the account of every event until all are as they should be, or time is up and the
//! oracle says which is not.

use std::time::Duration;

use peal_proto::EventId;

use super::{Cluster, LOOK_INTERVAL};
use crate::community::Errand;
use crate::oracle::{self, Violation};

/// How long the accounts may take once all is quiet: a client whose acks do not arrive is given up, comes back, and says it
/// again.
const SETTLED_WITHIN: Duration = Duration::from_secs(40);

impl Cluster<'_> {
    pub(super) fn settle_accounts(&mut self) -> Result<(), Violation> {
        self.book.set_now(self.sim.elapsed());
        self.book.trace(|| "--- accounts are asked for".into());
        let begun = self.sim.elapsed();
        let is_late = |cluster: &Self| cluster.sim.elapsed() - begun > SETTLED_WITHIN;
        loop {
            self.desk.put(Errand::Accounts(self.published()));
            while self.book.open().errands > 0 && !is_late(self) {
                self.tick()?;
            }
            if is_late(self) || oracle::accounts_are_right(&self.evidence()) {
                return Ok(());
            }
            self.pass(LOOK_INTERVAL)?;
        }
    }

    /// The events that were told in the log in use: nobody knows those of a log that was lost.
    fn published(&self) -> Vec<EventId> {
        let pages = self.book.open();
        let is_of_this_log = |at: Duration| at >= self.begun;
        let posts = pages.posts.iter();
        let posts = posts.filter(|(_, post)| post.published.is_some_and(|published| is_of_this_log(published.at)));
        posts.map(|(event, _)| event.clone()).collect()
    }
}
