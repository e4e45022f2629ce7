//! Which events are watched in this process, and whom to tell that one has changed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use peal_proto::EventId;
use tokio::sync::broadcast;

/// Changes that were told and not taken yet; beyond it some are missed, which is told.
const TOLD_MAX: usize = 4_096;

/// Events that are watched at a time. Whoever waited for one that never changed may be gone and says nothing of it: beyond this many
/// all are told that theirs may have changed, and who still waits watches again.
const WATCHED_MAX: usize = 16_384;

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
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= WATCHED_MAX {
            watched.clear();
            self.told.tell(None);
        }
        watched.insert(event.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_that_never_change_are_not_watched_for_ever_and_who_still_waits_is_told() {
        let watching = Watching::new();
        let mut changes = watching.changes();
        let event = |number: usize| format!("event-{number}").parse::<EventId>().unwrap();
        (0..WATCHED_MAX).for_each(|number| watching.watch(&event(number)));
        watching.changed([&event(7)]);
        assert_eq!(changes.next().await, Some(event(7)));
        watching.watch(&event(7));
        watching.watch(&event(WATCHED_MAX));
        assert_eq!(changes.next().await, None, "any may have");
        assert_eq!(watching.watched.lock().unwrap().len(), 1);
    }
}
