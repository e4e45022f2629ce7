//! `GET /v1/locate?user=42`: which node owns a user. Publisher and nodes answer it alike, from the shard map they hold.

use std::sync::Arc;

use axum::Json;
use axum::routing::{MethodRouter, get};
use peal_proto::{NodeId, ShardMap, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::body::{Query, from_text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfUser {
    #[serde(deserialize_with = "from_text")]
    user: UserId,
}

/// The owner, as of one epoch of the shard map.
#[derive(Serialize)]
struct Located {
    user: UserId,
    node: NodeId,
    epoch: u64,
    url: String,
}

/// Answers from the map as it is at the time.
pub fn locate<S: Clone + Send + Sync + 'static>(map: watch::Receiver<Arc<ShardMap>>) -> MethodRouter<S> {
    get(async move |Query(OfUser { user }): Query<OfUser>| {
        let map = map.borrow();
        let (node, url) = map.owner(user);
        Json(Located { user, node, epoch: map.epoch(), url: url.to_owned() })
    })
}
