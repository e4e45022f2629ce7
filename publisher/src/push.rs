//! Push: tells users who are away what was parked for them, by a webhook or by Web Push.
//!
//! Nodes write to `peal.offline` what they park; the workers share its partitions as a consumer group. A worker waits until an
//! entry is due, [looks](look) whether its notification is still parked (an ack in the meantime cancels it), and [sends](sender) it
//! to the [webhook], and by [Web Push](web_push) to the user's subscriptions, over a [client] of its own. What waits, what is
//! tried again and what is done is the [`window`]'s, which has the sends by [origins], and its [progress] is what is committed.
//! Sockets are delivered to by other processes and other connections: an endpoint that hangs costs them nothing.

mod client;
mod http;
mod look;
mod origins;
mod progress;
mod sender;
mod settings;
mod vapid;
mod web_push;
mod webhook;
mod window;
mod worker;

#[cfg(test)]
mod model;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use peal_proto::name::PUSH_GROUP;
use peal_proto::{Subscription, Topic};
use peal_serve::Clock;
use peal_store::Stores;
use tokio_util::sync::CancellationToken;

use self::client::{Client, Reach};
use self::sender::Sender;
pub use self::settings::{InvalidWebhook, PushFault, PushSettings, WebhookUrl};
use self::vapid::Vapid;
pub use self::vapid::{InvalidVapidKey, VapidKey};
use self::web_push::{InvalidRecipient, Recipient};
use self::webhook::Webhook;
pub use self::webhook::{InvalidSecret, WebhookSecret};
use self::worker::Worker;
use crate::share::{Health, Share};

/// The workers of a process.
#[derive(Clone)]
pub struct Push {
    sender: Arc<Sender>,
    share: Arc<Share>,
    give_up_after: Duration,
}

impl Push {
    /// Workers on these stores.
    ///
    /// # Errors
    /// [`PushFault`].
    pub fn new(stores: Stores, clock: Clock, settings: &PushSettings) -> Result<Self, PushFault> {
        let to = settings.to()?;
        let share = Share::new(Arc::clone(&stores.log), PUSH_GROUP, Topic::Offline, clock.clone());
        let webhook = to.webhook.map(|(url, secret)| Webhook::new(url, secret));
        let to_webhook = Client::open(Reach::Anywhere).map_err(PushFault::Certificates)?;
        let to_services = Client::open(to.reach).map_err(PushFault::Certificates)?;
        let vapid = to.vapid.map(|(key, contact)| Vapid::new(&key, contact)).transpose()?;
        let sender = Sender { stores, clock, webhook, to_webhook, vapid, reach: to.reach, to_services };
        Ok(Self { sender: Arc::new(sender), share: Arc::new(share), give_up_after: to.give_up_after })
    }

    /// The HTTP interface of a process that does nothing else, to be served by [`peal_serve::serve`].
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Pushes what this process's partitions say until `stop`; then waits for what is under way, and commits.
    pub async fn run(&self, stop: &CancellationToken) {
        let work =
            |partition, pulse, stop| Worker::run(partition, Arc::clone(&self.sender), self.give_up_after, pulse, stop);
        self.share.run(stop, work).await;
    }

    /// The key that browsers subscribe with, if this process has one.
    pub(crate) fn public_key(&self) -> Option<&str> {
        self.sender.vapid.as_ref().map(Vapid::public)
    }

    pub(crate) fn health(&self) -> Health {
        self.share.health()
    }
}

/// Whether a subscription could be pushed to; `private` says whether at a private address and without TLS too.
pub(crate) fn check(subscription: &Subscription, private: bool) -> Result<(), InvalidRecipient> {
    let reach = if private { Reach::Anywhere } else { Reach::Public };
    Recipient::new(subscription, reach).map(drop)
}
