//! The HTTP interface of a process that does nothing but push: whether it is alive and does its work.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use peal_proto::{Partition, Topic};
use peal_serve::{healthz, telemetry, with_fallbacks};
use serde::Serialize;

use super::Push;
use crate::limits::READY_TIMEOUT;
use crate::share::Health;
use crate::within::within;

/// The answer to `/readyz`.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    log: String,
    push: Health,
}

pub(super) fn router(push: Push) -> Router {
    let own =
        Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics));
    with_fallbacks(own).with_state(push)
}

/// Not ready when it is not known what is this process's to push, or a worker ended: nobody else does its work then.
async fn readyz(State(push): State<Push>) -> (StatusCode, Json<Readiness>) {
    let end = push.sender.stores.log.end(Topic::Offline, Partition::new(0));
    let log = within(READY_TIMEOUT, "log", end).await;
    let health = push.health();
    let ready = log.is_ok() && health.assigned.is_some() && health.stopped == 0;
    let log = log.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, log, push: health }))
}

async fn metrics(State(push): State<Push>) -> impl IntoResponse {
    push.health().gauge("peal_push_workers");
    telemetry::metrics_page().await
}
