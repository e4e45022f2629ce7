//! The line of one process to the stores, which may be down while others are not.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use peal_store::StoreError;
use peal_store::simulated::Outage;
use tokio::sync::Notify;

/// Up, unless it is told otherwise.
#[derive(Debug, Default)]
pub(crate) struct Line {
    outage: Mutex<Option<Outage>>,
    changed: Notify,
}

impl Line {
    pub(crate) fn set(&self, outage: Option<Outage>) {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
        self.changed.notify_waiters();
    }

    /// Lets a call through, or not.
    pub(super) async fn pass(&self) -> Result<(), StoreError> {
        let up = self.until(|outage| outage != Some(Outage::Hang)).await.is_none();
        if up { Ok(()) } else { Err(cut()) }
    }

    /// Waits until calls are refused.
    pub(super) async fn refusing(&self) -> StoreError {
        self.until(|outage| outage == Some(Outage::Refuse)).await;
        cut()
    }

    async fn until(&self, sort: impl Fn(Option<Outage>) -> bool) -> Option<Outage> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable(); // before the look, or a change between the two wakes nobody
            let outage = *self.outage.lock().unwrap_or_else(PoisonError::into_inner);
            if sort(outage) {
                return outage;
            }
            changed.await;
        }
    }
}

fn cut() -> StoreError {
    StoreError::Unavailable { store: "line", reason: "this process does not reach the stores".into() }
}
