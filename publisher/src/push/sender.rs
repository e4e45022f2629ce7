//! One push: whether its notification is still parked, the request, and what the answer means.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use peal_proto::{Offline, Subscription, SubscriptionId, Timestamp, UserId};
use peal_serve::Clock;
use peal_store::subscriptions::Named;
use peal_store::{StoreError, Stores};

use super::client::{Answer, Client, Reach};
use super::look::{Look, look};
use super::origins::Verdict;
use super::vapid::Vapid;
use super::web_push::Recipient;
use super::webhook::Webhook;
use super::window::{LOST, Outcome, Route};

/// Where a user is told.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Webhook,
    Subscription(SubscriptionId, Subscription),
}

/// What an entry was found to be.
pub(super) enum Found {
    Targets(Vec<Target>),
    Gone,
    Lost,
}

/// Sends pushes, whichever partition they are of.
pub(super) struct Sender {
    pub(super) stores: Stores,
    pub(super) clock: Clock,
    pub(super) webhook: Option<Webhook>,
    /// Anywhere, as the operator says where the webhook is.
    pub(super) to_webhook: Client,
    pub(super) vapid: Option<Vapid>,
    /// Where subscriptions may lead.
    pub(super) reach: Reach,
    pub(super) to_services: Client,
}

impl Sender {
    /// Which of these entries are still to be pushed, and to where; in their order.
    pub(super) async fn look_up(&self, entries: &[Arc<Offline>]) -> Result<Vec<Found>, StoreError> {
        let asked: Vec<_> = entries.iter().map(|entry| &**entry).collect();
        let looks = look(&self.stores, &asked, self.clock.now()).await?;
        let is_parked = |(look, _): &(&Look, &Arc<Offline>)| matches!(look, Look::Parked(_));
        let users = looks.iter().zip(entries).filter(is_parked).map(|(_, entry)| entry.user).collect();
        let mut subscriptions = self.subscriptions(users).await?.into_iter();
        let find = |look| match look {
            Look::Parked(_) => Found::Targets(self.targets(subscriptions.next().unwrap_or_default())),
            Look::Gone => Found::Gone,
            Look::Lost => Found::Lost,
        };
        Ok(looks.into_iter().map(find).collect())
    }

    /// Those of each user, where Web Push is asked for.
    async fn subscriptions(&self, users: Vec<UserId>) -> Result<Vec<Named>, StoreError> {
        if self.vapid.is_none() || users.is_empty() {
            return Ok(Vec::new());
        }
        self.stores.subscriptions.of(users).await
    }

    fn targets(&self, subscriptions: Named) -> Vec<Target> {
        let webhook = self.webhook.iter().map(|_| Target::Webhook);
        webhook.chain(subscriptions.into_iter().map(|(id, named)| Target::Subscription(id, named))).collect()
    }

    pub(super) fn route(&self, target: &Target) -> Route {
        match target {
            Target::Webhook => {
                let origin = self.webhook.as_ref().map(|webhook| Arc::clone(webhook.origin()));
                Route { origin: origin.unwrap_or_default(), yields: false }
            }
            // Whoever is none is refused when it is sent to.
            Target::Subscription(_, subscription) => {
                let recipient = Recipient::new(subscription, self.reach);
                Route { origin: recipient.map(|recipient| recipient.origin).unwrap_or_default(), yields: true }
            }
        }
    }

    /// Sends the notification of an entry, if it is still parked.
    pub(super) async fn send(&self, entry: &Offline, target: &Target) -> Outcome {
        let now = self.clock.now();
        let value = match look(&self.stores, &[entry], now).await.map(|mut looks| looks.pop()) {
            Ok(Some(Look::Parked(value))) => value,
            Ok(Some(Look::Gone) | None) => return Outcome::Gone,
            Ok(Some(Look::Lost)) => {
                return Outcome::Failed { reason: LOST.to_owned(), retry_after: None, verdict: Verdict::Unknown };
            }
            Err(_) => return Outcome::Unasked,
        };
        let (client, request) = match self.request(entry, target, &value) {
            Ok(request) => request,
            Err(reason) => return Outcome::Refused { reason },
        };
        let answer = client.call(request, now).await;
        tracing::debug!(user = %entry.user, cursor = %entry.cursor, ?answer, "pushed");
        match answer {
            Answer::Nothing(reason) => Outcome::Failed { reason, retry_after: None, verdict: Verdict::Unwell },
            Answer::Status { status, .. } if status.is_success() => Outcome::Sent,
            Answer::Status { status: StatusCode::GONE | StatusCode::NOT_FOUND, .. } if is_subscription(target) => {
                self.unsubscribe(entry.user, target).await
            }
            Answer::Status {
                status: status @ (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::BAD_REQUEST),
                words,
                ..
            } if is_subscription(target) => {
                Outcome::Refused { reason: format!("the push service answered {status}: {words}") }
            }
            Answer::Status { status, retry_after, words } => {
                let reason = format!("{status}: {words}");
                Outcome::Failed { reason, retry_after, verdict: verdict(status) }
            }
        }
    }

    /// The push service says that nobody is there any more (RFC 8030 §7.3).
    async fn unsubscribe(&self, user: UserId, target: &Target) -> Outcome {
        let Target::Subscription(id, subscription) = target else { return Outcome::Sent };
        match self.stores.subscriptions.remove(user, id.clone(), Some(subscription.clone())).await {
            Ok(_) => {
                tracing::info!(%user, subscription = %id, "a push service says that a subscription is over; it is removed");
                metrics::counter!("peal_push_subscriptions_over_total").increment(1);
                Outcome::Sent
            }
            Err(_) => Outcome::Unasked,
        }
    }

    fn request(
        &self,
        entry: &Offline,
        target: &Target,
        value: &[u8],
    ) -> Result<(&Client, Request<Full<Bytes>>), String> {
        match target {
            Target::Webhook => {
                let webhook = self.webhook.as_ref().ok_or("there is no webhook any more")?;
                Ok((&self.to_webhook, webhook.request(entry, value, self.clock.now())?))
            }
            Target::Subscription(_, subscription) => {
                let vapid = self.vapid.as_ref().ok_or("there is no key for Web Push any more")?;
                let recipient = Recipient::new(subscription, self.reach);
                let recipient = recipient.map_err(|error| format!("the subscription can't be pushed to: {error}"))?;
                let now = self.clock.now();
                let left = |expires: Timestamp| Duration::from_millis(expires.millis().saturating_sub(now.millis()));
                let kept = self.stores.inbox.ttl();
                let ttl = entry.expires.map_or(kept, |expires| left(expires).min(kept));
                Ok((&self.to_services, recipient.request(vapid, entry, value, ttl, now)?))
            }
        }
    }
}

fn is_subscription(target: &Target) -> bool {
    matches!(target, Target::Subscription(..))
}

/// Whether who answers so is overloaded or out of order, or has something against this one push.
fn verdict(status: StatusCode) -> Verdict {
    let is_busy = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if is_busy || status.is_server_error() { Verdict::Unwell } else { Verdict::Well }
}
