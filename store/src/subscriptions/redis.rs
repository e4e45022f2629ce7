//! Subscriptions in Redis: a hash a user, the subscriptions as JSON by their ids.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use peal_proto::name::subscriptions_key;
use peal_proto::{Subscription, SubscriptionId, UserId};

use super::{Named, Subscriptions};
use crate::StoreError;
use crate::limits::SUBSCRIPTIONS_A_USER_MAX;
use crate::redis::{Connection, Script};

const PUT: &str = "
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1";

const REMOVE_ONLY: &str = "
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])";

/// The subscriptions in a Redis.
pub(crate) struct RedisSubscriptions {
    connection: Connection,
    put: Script,
    remove_only: Script,
}

impl RedisSubscriptions {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, put: Script::new(PUT), remove_only: Script::new(REMOVE_ONLY) }
    }

    async fn of_one(&self, user: UserId) -> Result<Named, StoreError> {
        let stored: BTreeMap<String, Vec<u8>> =
            self.connection.run(redis::cmd("HGETALL").arg(subscriptions_key(user))).await?;
        let named = |(id, value): (String, Vec<u8>)| {
            let id = id.parse().map_err(|error| self.connection.damaged(error))?;
            Ok((id, serde_json::from_slice(&value).map_err(|error| self.connection.damaged(error))?))
        };
        stored.into_iter().map(named).collect()
    }

    fn json(&self, subscription: &Subscription) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(subscription).map_err(|error| self.connection.damaged(error))
    }
}

#[async_trait]
impl Subscriptions for RedisSubscriptions {
    async fn put(&self, user: UserId, id: SubscriptionId, subscription: Subscription) -> Result<bool, StoreError> {
        let mut call = self.put.on(&[&subscriptions_key(user)]);
        call.arg(id.as_str()).arg(self.json(&subscription)?).arg(SUBSCRIPTIONS_A_USER_MAX);
        self.connection.call(&self.put, &call).await
    }

    async fn remove(&self, user: UserId, id: SubscriptionId, only: Option<Subscription>) -> Result<bool, StoreError> {
        let key = subscriptions_key(user);
        let Some(only) = only else {
            return self.connection.run(redis::cmd("HDEL").arg(key).arg(id.as_str())).await;
        };
        let mut call = self.remove_only.on(&[&key]);
        call.arg(id.as_str()).arg(self.json(&only)?);
        self.connection.call(&self.remove_only, &call).await
    }

    // One call a user, all on their way at once: in a Redis Cluster they go to different servers.
    async fn of(&self, users: Vec<UserId>) -> Result<Vec<Named>, StoreError> {
        try_join_all(users.into_iter().map(|user| self.of_one(user))).await
    }
}
