//! Which node owns a user.

use std::sync::Arc;

use axum::extract::State;
use peal_proto::{NodeId, UserId};
use peal_serve::{Failure, Query, from_text};
use serde::{Deserialize, Serialize};

use crate::App;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfUser {
    #[serde(deserialize_with = "from_text")]
    user: UserId,
}

/// The owner, as of one epoch of the shard map.
#[derive(Serialize)]
pub(super) struct Located {
    user: UserId,
    node: NodeId,
    epoch: u64,
    url: String,
}

pub(super) async fn locate(
    State(app): State<Arc<App>>,
    Query(OfUser { user }): Query<OfUser>,
) -> Result<axum::Json<Located>, Failure> {
    let map = Arc::clone(&app.map.borrow());
    let (node, url) = map.owner(user);
    Ok(axum::Json(Located { user, node, epoch: map.epoch(), url: url.to_owned() }))
}
