//! The shards: where they are, and over how many nodes they are to be spread.

use std::sync::Arc;

use axum::extract::State;
use peal_serve::{Failure, Json, Query, from_text};
use schemars::JsonSchema;
use serde::Deserialize;

use super::members::MembersSeat;
use crate::App;
use crate::limits::{SHARDS_BODY_BYTES_MAX, STORE_TIMEOUT};
use crate::rebalance::{self, Report, ReshardError};

/// `?lag=true`: how far behind each partition is as well.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// How far behind each partition is as well; the log is asked for each.
    #[serde(default, deserialize_with = "from_text")]
    lag: bool,
}

/// What is changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reshard")]
pub(super) struct Reshard {
    /// Over how many nodes the partitions are to be spread; it has to divide their number.
    nodes: u32,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Query(Wanted { lag }): Query<Wanted>,
    _seat: MembersSeat,
) -> Result<axum::Json<Report>, Failure> {
    rebalance::report(&app.stores, &app.clock, lag).await.map(axum::Json).map_err(refusal)
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    _seat: MembersSeat,
    Json(Reshard { nodes }): Json<Reshard, SHARDS_BODY_BYTES_MAX>,
) -> Result<axum::Json<Report>, Failure> {
    rebalance::reshard(&app.stores, nodes, STORE_TIMEOUT).await.map_err(refusal)?;
    rebalance::report(&app.stores, &app.clock, false).await.map(axum::Json).map_err(refusal)
}

fn refusal(error: ReshardError) -> Failure {
    match error {
        ReshardError::Invalid(error) => Failure::invalid(error.to_string()),
        ReshardError::NoMap => Failure::unavailable(error.to_string(), STORE_TIMEOUT),
        ReshardError::Store(error) => error.into(),
    }
}
