//! The publisher's HTTP interface: which path leads where.
//!
//! What stands in a request is checked where its type lives; how problems and bodies read is `peal_serve`'s business.

mod batch;
mod dead_letters;
mod events;
mod members;
mod page;
mod wait;

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use peal_proto::ProblemKind;
use peal_proto::limits::EVENT_BYTES_MAX;
use peal_serve::problem::method_not_allowed;
use peal_serve::{Failure, healthz, locate, telemetry, with_fallbacks};
use tower_http::cors::CorsLayer;

use crate::App;
use crate::cdc::Cdc;
use crate::ingest::Seat;
use crate::ready::Readiness;

/// The paths of the publisher, and the page.
pub(crate) fn router(app: Arc<App>) -> Router {
    let api = Router::new()
        .route("/v1/communities/{community}/joins", post(events::join))
        .route("/v1/communities/{community}/events", post(events::post))
        .route("/v1/communities/{community}/members", get(members::list).post(members::change))
        .route("/v1/communities/{community}/members/{user}", put(members::add).delete(members::remove))
        .route("/v1/events:batch", post(batch::post))
        .route("/v1/events/{event}", get(events::account))
        .route("/v1/events/{event}/stream", get(wait::stream))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{letter}", get(dead_letters::show))
        .route("/v1/dead-letters/{letter}/replay", post(dead_letters::replay))
        .route("/v1/locate", locate(app.map.clone()))
        .method_not_allowed_fallback(method_not_allowed)
        // Pages of other origins post and ask as well; who may is a token's business, not an origin's.
        .layer(CorsLayer::permissive());
    let own = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/", get(page::index))
        .route("/{file}", get(page::file));
    with_fallbacks(api.merge(own)).with_state(app)
}

async fn readyz(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<Readiness>), Failure> {
    let cdc = app.cdc.as_ref().map(Cdc::health);
    let readiness = Readiness::of(&app.stores, app.fanout.health(), app.accounts.health(), cdc).await;
    let readiness = readiness.map_err(|error| Failure::new(ProblemKind::Internal, error.to_string()))?;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(readiness)))
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.fanout.health().gauge("peal_fanout_workers");
    app.accounts.health().gauge("peal_accounts_workers");
    let waiters = u32::try_from(app.accounts.waiters()).unwrap_or(u32::MAX);
    metrics::gauge!("peal_waiters").set(waiters);
    telemetry::metrics_page().await
}

/// A seat is taken before the body is read, with as many bytes as it says it has, so that bodies are bounded as well.
impl FromRequestParts<Arc<App>> for Seat {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        app.ingest.seat(length.unwrap_or(EVENT_BYTES_MAX).min(EVENT_BYTES_MAX))
    }
}
