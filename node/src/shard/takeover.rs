//! Taking a partition over: from what was committed, and from what the inbox still has of it.

use peal_proto::Settled;
use peal_store::StoreError;
use peal_store::log::Commit;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Shard;
use super::calls::source;
use crate::core::Core;

impl Shard {
    /// The core of the partition as it was left; tries until the stores answer. `None` when stopped before.
    pub(super) async fn take_over(&mut self, stop: &CancellationToken) -> Option<Core> {
        let mut wait = self.limits.retry_min;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                taken = self.try_take_over() => match taken {
                    Ok(core) => return Some(core),
                    Err(error) => self.set_waiting(&error),
                },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep(wait) => wait = (wait * 2).min(self.limits.retry_max),
            }
        }
    }

    async fn try_take_over(&mut self) -> Result<Core, StoreError> {
        let committed = self.stores.log.committed(source(self.partition)).await?;
        let settled = match &committed {
            Some(Commit { position, metadata }) => {
                Settled::of(*position, metadata).map_err(|error| StoreError::Damaged {
                    store: "log",
                    reason: format!("the commit of partition {} is not a node's: {error}", self.partition),
                })?
            }
            None => Settled::default(),
        };
        let found = self.stores.inbox.marker(self.partition).await?;
        Ok(Core::new(self.stores.log.generation(), self.limits, settled, found))
    }
}
