//! Subscriptions in memory; without faults to order, as nothing rests on them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use peal_proto::{Subscription, SubscriptionId, UserId};

use super::{Named, Subscriptions};
use crate::StoreError;
use crate::limits::SUBSCRIPTIONS_A_USER_MAX;

/// All subscriptions.
#[derive(Default)]
pub(crate) struct Model(Mutex<BTreeMap<UserId, BTreeMap<SubscriptionId, Subscription>>>);

impl Model {
    fn users(&self) -> MutexGuard<'_, BTreeMap<UserId, BTreeMap<SubscriptionId, Subscription>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Subscriptions for Model {
    async fn put(&self, user: UserId, id: SubscriptionId, subscription: Subscription) -> Result<bool, StoreError> {
        let mut users = self.users();
        let kept = users.entry(user).or_default();
        let fits = kept.len() < SUBSCRIPTIONS_A_USER_MAX || kept.contains_key(&id);
        if fits {
            kept.insert(id, subscription);
        }
        Ok(fits)
    }

    async fn remove(&self, user: UserId, id: SubscriptionId, only: Option<Subscription>) -> Result<bool, StoreError> {
        let mut users = self.users();
        let Some(kept) = users.get_mut(&user) else { return Ok(false) };
        let is_it = kept.get(&id).is_some_and(|found| only.is_none_or(|only| only == *found));
        Ok(is_it && kept.remove(&id).is_some())
    }

    async fn of(&self, asked: Vec<UserId>) -> Result<Vec<Named>, StoreError> {
        let users = self.users();
        let named = |user| users.get(user).into_iter().flatten().map(|(id, kept)| (id.clone(), kept.clone())).collect();
        Ok(asked.iter().map(named).collect())
    }
}
