//! Who waits for an event to change: one map, from the event to those who wait. Nobody asks again and again.
//!
//! Whoever waits enters the map, has the event watched, looks at the account, and then waits to be told; so nothing that
//! happens in between is missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peal_proto::EventId;
use peal_store::status::Changes;
use tokio::sync::watch;

use crate::limits::WAITERS_MAX;

/// All who wait in this process.
#[derive(Clone, Default)]
pub(super) struct Waiters(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    events: HashMap<EventId, watch::Sender<()>>,
    /// How many wait.
    count: usize,
}

/// One who waits for an event.
pub(crate) struct Waiter {
    waiters: Waiters,
    event: EventId,
    told: watch::Receiver<()>,
}

impl Waiters {
    /// Someone who waits from now on; `None` when too many do.
    pub(super) fn enter(&self, event: &EventId) -> Option<Waiter> {
        let mut waiting = self.waiting();
        if waiting.count >= WAITERS_MAX {
            return None;
        }
        waiting.count += 1;
        let sender = waiting.events.entry(event.clone()).or_insert_with(|| watch::Sender::new(()));
        let mut told = sender.subscribe();
        told.mark_unchanged();
        drop(waiting);
        Some(Waiter { waiters: self.clone(), event: event.clone(), told })
    }

    /// Passes on what the store tells, for as long as it is polled.
    pub(super) async fn tell(&self, mut changes: Changes) {
        loop {
            let changed = changes.next().await;
            let waiting = self.waiting();
            match changed {
                Some(event) => waiting.events.get(&event).into_iter().for_each(wake),
                None => waiting.events.values().for_each(wake),
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.waiting().count
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(sender: &watch::Sender<()>) {
    sender.send_replace(());
}

impl Waiter {
    pub(crate) fn event(&self) -> &EventId {
        &self.event
    }

    /// Until the event was told to have changed since the last call ended. Cancel safe.
    pub(crate) async fn told(&mut self) {
        if self.told.changed().await.is_err() {
            std::future::pending::<()>().await; // the map holds the sender for as long as somebody waits
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiters.waiting();
        waiting.count -= 1;
        // This one is still counted among the receivers.
        if waiting.events.get(&self.event).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.events.remove(&self.event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_leaves_nothing_behind_and_too_many_are_not_let_in() {
        let (waiters, event) = (Waiters::default(), "e".parse().unwrap());
        let other = waiters.enter(&"other".parse().unwrap()).unwrap();
        let mut waiting: Vec<_> = (1..WAITERS_MAX).map(|_| waiters.enter(&event).unwrap()).collect();
        assert!(waiters.enter(&event).is_none());
        waiting.truncate(1);
        assert_eq!((waiters.count(), waiters.waiting().events.len()), (2, 2));
        drop(other);
        assert_eq!((waiters.count(), waiters.waiting().events.len()), (1, 1));
        drop(waiting);
        assert_eq!((waiters.count(), waiters.waiting().events.len()), (0, 0));
    }
}
