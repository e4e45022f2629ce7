//! Which events are watched in this process, and whom to tell that one has changed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use peal_proto::EventId;
use tokio::sync::broadcast;

/// Changes that were told and not taken yet; beyond it some are missed, which is told.
const TOLD_MAX: usize = 4_096;

/// Those who listen in this process.
pub(crate) struct Told(broadcast::Sender<Option<EventId>>);

/// What is told of events that are watched.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Option<EventId>>);

impl Changes {
    /// The next event that has changed since it was watched, or `None`: any may have. Waits until there is one. Cancel safe.
    pub async fn next(&mut self) -> Option<EventId> {
        match self.0.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await, // the store is gone
        }
    }
}

impl Told {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(TOLD_MAX))
    }

    pub(crate) fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    /// Tells that this event has changed; `None` when any may have.
    pub(crate) fn tell(&self, event: Option<EventId>) {
        drop(self.0.send(event)); // nobody may listen
    }
}

/// The events that are watched, where the store is in this process.
pub(crate) struct Watching {
    watched: Mutex<HashSet<EventId>>,
    told: Told,
}

impl Watching {
    pub(crate) fn new() -> Self {
        Self { watched: Mutex::default(), told: Told::new() }
    }

    pub(crate) fn changes(&self) -> Changes {
        self.told.changes()
    }

    pub(crate) fn watch(&self, event: &EventId) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(event.clone());
    }

    /// These have changed, and it can be seen.
    pub(crate) fn changed<'a>(&self, events: impl IntoIterator<Item = &'a EventId>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.is_empty() {
            return;
        }
        for event in events {
            if watched.remove(event) {
                self.told.tell(Some(event.clone()));
            }
        }
    }
}
