//! Subscriptions in the embedded database: a key each, as JSON.

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{Subscription, SubscriptionId, UserId};

use super::{Named, Subscriptions};
use crate::StoreError;
use crate::embedded::schema;
use crate::embedded::{Durability, Engine, Fault, Stage, Table, View};
use crate::limits::SUBSCRIPTIONS_A_USER_MAX;

/// The subscriptions of an open directory.
pub(crate) struct EmbeddedSubscriptions {
    engine: Engine,
}

impl EmbeddedSubscriptions {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

fn put(stage: &mut Stage<'_>, user: UserId, id: &SubscriptionId, value: Bytes) -> Result<bool, Fault> {
    let key = schema::subscription_key(user, id);
    let is_kept = stage.get(Table::State, &key)?.is_some();
    let beside = stage.range(Table::State, schema::subscriptions(user), SUBSCRIPTIONS_A_USER_MAX)?;
    let fits = is_kept || beside.len() < SUBSCRIPTIONS_A_USER_MAX;
    if fits {
        stage.put(Table::State, key, value);
    }
    Ok(fits)
}

fn remove(
    stage: &mut Stage<'_>,
    user: UserId,
    id: &SubscriptionId,
    only: Option<&Subscription>,
) -> Result<bool, Fault> {
    let key = schema::subscription_key(user, id);
    let Some(kept) = stage.get(Table::State, &key)? else { return Ok(false) };
    let is_it = match only {
        Some(only) => serde_json::from_slice::<Subscription>(&kept)? == *only,
        None => true,
    };
    if is_it {
        stage.delete(Table::State, key);
    }
    Ok(is_it)
}

fn of(view: &View<'_>, user: UserId) -> Result<Named, Fault> {
    let mut named = Named::new();
    for pair in view.range(Table::State, schema::subscriptions(user)) {
        let (key, value) = pair?;
        let id = schema::subscription_of(&key).ok_or_else(|| Fault::Damaged("a subscription has no id".to_owned()))?;
        named.push((id, serde_json::from_slice(&value)?));
    }
    Ok(named)
}

#[async_trait]
impl Subscriptions for EmbeddedSubscriptions {
    async fn put(&self, user: UserId, id: SubscriptionId, subscription: Subscription) -> Result<bool, StoreError> {
        let write = move |stage: &mut Stage<'_>| put(stage, user, &id, serde_json::to_vec(&subscription)?.into());
        self.engine.run(Durability::Synced, 0, write).await
    }

    async fn remove(&self, user: UserId, id: SubscriptionId, only: Option<Subscription>) -> Result<bool, StoreError> {
        let write = move |stage: &mut Stage<'_>| remove(stage, user, &id, only.as_ref());
        self.engine.run(Durability::Synced, 0, write).await
    }

    async fn of(&self, users: Vec<UserId>) -> Result<Vec<Named>, StoreError> {
        self.engine.look(move |view| users.iter().map(|user| of(view, *user)).collect()).await
    }
}
