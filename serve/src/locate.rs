//! `GET /v1/locate?user=42`: which node owns a user. Publisher and nodes answer it alike, from the shard map they hold.

use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Json;
use peal_proto::{NodeId, ShardMap, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::body::{Query, from_text};

/// Whose owner is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfUser {
    #[serde(deserialize_with = "from_text")]
    user: UserId,
}

/// The owner, as of one epoch of the shard map.
#[derive(Serialize, JsonSchema)]
pub struct Located {
    user: UserId,
    node: NodeId,
    epoch: u64,
    url: String,
}

/// Answers from the map as it is at the time; where nodes relay, with the URL of all of them.
pub fn locate(
    map: watch::Receiver<Arc<ShardMap>>,
    of_all: Option<Arc<str>>,
) -> impl Fn(Query<OfUser>) -> Ready<Json<Located>> + Clone {
    move |Query(OfUser { user })| {
        let map = map.borrow();
        let (node, url) = map.owner(user);
        let url = of_all.as_deref().unwrap_or(url).to_owned();
        ready(Json(Located { user, node, epoch: map.epoch(), url }))
    }
}
