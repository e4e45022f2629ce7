//! Subscriptions to Web Push: register, forget, list; and the key that browsers subscribe with.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use peal_proto::{ProblemKind, Subscription, SubscriptionId, UserId};
use peal_serve::{Failure, Json, Path, from_text};
use peal_store::StoreError;
use peal_store::limits::SUBSCRIPTIONS_A_USER_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::members::MembersSeat;
use crate::App;
use crate::limits::{STORE_TIMEOUT, SUBSCRIPTION_BODY_BYTES_MAX};
use crate::push::{Push, check};
use crate::within::within;

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfUser {
    #[serde(deserialize_with = "from_text")]
    user: UserId,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfSubscription {
    #[serde(deserialize_with = "from_text")]
    user: UserId,
    #[serde(deserialize_with = "from_text")]
    id: SubscriptionId,
}

async fn wait<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    within(STORE_TIMEOUT, "store of subscriptions", asked).await
}

/// `204` whether there was one of this id or not.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path(OfSubscription { user, id }): Path<OfSubscription>,
    _seat: MembersSeat,
    Json(subscription): Json<Subscription, SUBSCRIPTION_BODY_BYTES_MAX>,
) -> Result<StatusCode, Failure> {
    check(&subscription, app.private_endpoints)
        .map_err(|error| Failure::invalid(format!("it can't be pushed to: {error}")))?;
    if wait(app.stores.subscriptions.put(user, id, subscription)).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let most = SUBSCRIPTIONS_A_USER_MAX;
    Err(Failure::invalid(format!("user {user} has {most} subscriptions, and may have no more; delete one first")))
}

/// `204` whether there was one or not.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(OfSubscription { user, id }): Path<OfSubscription>,
    _seat: MembersSeat,
) -> Result<StatusCode, Failure> {
    wait(app.stores.subscriptions.remove(user, id, None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Without the keys, and without the paths of endpoints: whoever knows one may push.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed {
    user: UserId,
    /// In no order.
    subscriptions: Vec<ListedSubscription>,
}

#[derive(Serialize, JsonSchema)]
struct ListedSubscription {
    id: SubscriptionId,
    service: String,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(OfUser { user }): Path<OfUser>,
) -> Result<axum::Json<Listed>, Failure> {
    let found = wait(app.stores.subscriptions.of(vec![user])).await?.pop().unwrap_or_default();
    let service = |subscription: Subscription| {
        let endpoint = subscription.endpoint.parse::<axum::http::Uri>();
        endpoint.ok().and_then(|endpoint| endpoint.host().map(str::to_owned)).unwrap_or_default()
    };
    let listed = |(id, subscription)| ListedSubscription { id, service: service(subscription) };
    Ok(axum::Json(Listed { user, subscriptions: found.into_iter().map(listed).collect() }))
}

/// What a browser subscribes with.
#[derive(Serialize, JsonSchema)]
pub(super) struct Key {
    key: String,
}

pub(super) async fn key(State(app): State<Arc<App>>) -> Result<axum::Json<Key>, Failure> {
    match app.push.as_ref().and_then(Push::public_key) {
        Some(key) => Ok(axum::Json(Key { key: key.to_owned() })),
        None => Err(Failure::new(ProblemKind::NotFound, "this publisher has no key for Web Push: --push-vapid-key")),
    }
}
