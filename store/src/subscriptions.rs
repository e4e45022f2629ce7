//! Where users who are away are pushed to: their subscriptions to Web Push, a few a user.
//!
//! Clients register them, and a push service says when one is over. They are nobody's to make again: a client that comes back
//! registers its own once more.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "simulated")]
pub(crate) mod simulated;

use async_trait::async_trait;
use peal_proto::{Subscription, SubscriptionId, UserId};

use crate::StoreError;

/// The subscriptions of a user, in the order of their ids.
pub type Named = Vec<(SubscriptionId, Subscription)>;

/// Subscriptions by user.
#[async_trait]
pub trait Subscriptions: Send + Sync + 'static {
    /// Keeps a subscription, in the place of the one of this id; whether there was room for it, at most
    /// [`SUBSCRIPTIONS_A_USER_MAX`](crate::limits::SUBSCRIPTIONS_A_USER_MAX) a user. Durable when answered.
    async fn put(&self, user: UserId, id: SubscriptionId, subscription: Subscription) -> Result<bool, StoreError>;

    /// Forgets the subscription of this id; where `only` is given, only if it is that one. Whether it did.
    async fn remove(&self, user: UserId, id: SubscriptionId, only: Option<Subscription>) -> Result<bool, StoreError>;

    /// The subscriptions of each user, in the order asked.
    async fn of(&self, users: Vec<UserId>) -> Result<Vec<Named>, StoreError>;
}
