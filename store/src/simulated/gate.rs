//! The way into a simulated store: where its calls are delayed, refused, held up, or robbed of their answer.
//!
//! Owns the faults of one store and the handle that every call of it goes through; what a call does is the model's.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use super::Store;
use crate::StoreError;

/// How a store that is down treats its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Calls fail at once with [`StoreError::Unavailable`] and do nothing.
    Refuse,
    /// Calls do nothing and don't return before the store is healed.
    Hang,
}

/// What becomes of a call that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done and answered.
    Answered,
    /// Done, perhaps, and answered with an error.
    Lost,
}

/// The faults of one store.
pub(crate) struct Gate {
    store: Store,
    outage: Mutex<Option<Outage>>,
    /// Wakes its waiters in the order they came; a watch channel would in an order of its own dice.
    changed: Notify,
    dice: Mutex<Dice>,
}

struct Dice {
    rng: StdRng,
    delay_max: Duration,
    lost_percent: u32,
}

impl Gate {
    fn new(store: Store, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(Store::ALL.len() as u64).wrapping_add(store as u64));
        let dice = Dice { rng, delay_max: Duration::ZERO, lost_percent: 0 };
        Self { store, outage: Mutex::new(None), changed: Notify::new(), dice: Mutex::new(dice) }
    }

    pub(crate) fn set_outage(&self, outage: Option<Outage>) {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
        self.changed.notify_waiters();
    }

    pub(crate) fn set_delay_max(&self, delay_max: Duration) {
        self.dice().delay_max = delay_max;
    }

    pub(crate) fn set_lost_percent(&self, percent: u32) {
        self.dice().lost_percent = percent.min(100);
    }

    /// A number from 0 to `most`.
    pub(crate) fn draw(&self, most: usize) -> usize {
        self.dice().rng.random_range(0..=most)
    }

    /// Lets a call in: after its delay, once the store is up.
    pub(crate) async fn enter(&self) -> Result<Fate, StoreError> {
        self.delay().await;
        if self.until(|outage| outage != Some(Outage::Hang)).await.is_some() {
            return Err(self.unavailable("it is down"));
        }
        let mut dice = self.dice();
        let percent = dice.lost_percent;
        let lost = percent > 0 && dice.rng.random_range(0..100) < percent;
        Ok(if lost { Fate::Lost } else { Fate::Answered })
    }

    /// Lets its answer out.
    pub(crate) async fn leave<T>(&self, fate: Fate, answer: T) -> Result<T, StoreError> {
        self.delay().await;
        match fate {
            Fate::Answered => Ok(answer),
            Fate::Lost => Err(self.unavailable("the answer was lost")),
        }
    }

    /// Waits until calls are refused.
    pub(crate) async fn refusing(&self) {
        self.until(|outage| outage == Some(Outage::Refuse)).await;
    }

    /// Waits for an outage, or none, of this sort.
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

    async fn delay(&self) {
        let delay = {
            let mut dice = self.dice();
            let most = u64::try_from(dice.delay_max.as_micros()).unwrap_or(u64::MAX);
            if most == 0 { 0 } else { dice.rng.random_range(0..=most) }
        };
        if delay > 0 {
            tokio::time::sleep(Duration::from_micros(delay)).await;
        }
    }

    pub(crate) fn unavailable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unavailable { store: self.store.name(), reason: reason.into() }
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle on one simulated store.
pub(crate) struct Handle<M> {
    pub(crate) gate: Arc<Gate>,
    model: Arc<Mutex<M>>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate), model: Arc::clone(&self.model) }
    }
}

impl<M> Handle<M> {
    pub(crate) fn new(store: Store, seed: u64, model: M) -> Self {
        Self { gate: Arc::new(Gate::new(store, seed)), model: Arc::new(Mutex::new(model)) }
    }

    /// One call: in through the gate, one step of the model, out through the gate.
    pub(crate) async fn call<T>(&self, step: impl FnOnce(&mut M) -> T) -> Result<T, StoreError> {
        let fate = self.gate.enter().await?;
        let answer = self.with(step);
        self.gate.leave(fate, answer).await
    }

    /// One step of the model, without faults.
    pub(crate) fn with<T>(&self, step: impl FnOnce(&mut M) -> T) -> T {
        step(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
