//! The publisher's HTTP interface: which path leads where.
//!
//! What stands in a request is checked where its type lives; how problems and bodies read is `peal_serve`'s business.

mod batch;
mod dead_letters;
mod document;
mod events;
mod members;
mod page;
mod shards;
mod subscriptions;
mod wait;

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use peal_proto::ProblemKind;
use peal_proto::limits::EVENT_BYTES_MAX;
use peal_serve::Verb::{Delete, Get, Post, Put};
use peal_serve::openapi::{self, Api, Argument, Operation};
use peal_serve::problem::method_not_allowed;
use peal_serve::{Failure, asyncapi, healthz, locate, telemetry, with_fallbacks};
use tower_http::cors::CorsLayer;

use crate::App;
use crate::cdc::Cdc;
use crate::ingest::Seat;
use crate::push::Push;
use crate::ready::Readiness;

/// The paths of the publisher, and the page.
pub(crate) fn router(app: Arc<App>) -> Router {
    let api = Api::new(document::TITLE, document::DESCRIPTION)
        .on(Post, "/v1/communities/{community}/joins", "join", events::join, document::join)
        .on(Post, "/v1/communities/{community}/events", "post", events::post, document::post)
        .on(Get, "/v1/communities/{community}/members", "listMembers", members::list, document::list_members)
        .on(Post, "/v1/communities/{community}/members", "changeMembers", members::change, document::change_members)
        .on(Put, "/v1/communities/{community}/members/{user}", "addMember", members::add, document::add_member)
        .on(
            Delete,
            "/v1/communities/{community}/members/{user}",
            "removeMember",
            members::remove,
            document::remove_member,
        )
        .on(Post, "/v1/events:batch", "postBatch", batch::post, document::batch)
        .on(Get, "/v1/events/{event}", "account", events::account, document::account)
        .on(Get, "/v1/events/{event}/stream", "streamAccount", wait::stream, document::stream)
        .on(Get, "/v1/dead-letters", "listDeadLetters", dead_letters::list, document::list_letters)
        .on(Get, "/v1/dead-letters/{letter}", "showDeadLetter", dead_letters::show, document::show_letter)
        .on(Post, "/v1/dead-letters/{letter}/replay", "replayDeadLetter", dead_letters::replay, document::replay_letter)
        .on(
            Get,
            "/v1/users/{user}/subscriptions",
            "listSubscriptions",
            subscriptions::list,
            document::list_subscriptions,
        )
        .on(
            Put,
            "/v1/users/{user}/subscriptions/{id}",
            "putSubscription",
            subscriptions::put,
            document::put_subscription,
        )
        .on(
            Delete,
            "/v1/users/{user}/subscriptions/{id}",
            "removeSubscription",
            subscriptions::remove,
            document::remove_subscription,
        )
        .on(Get, "/v1/shards", "shards", shards::show, document::shards)
        .on(Put, "/v1/shards", "reshard", shards::put, document::reshard)
        .on(Get, "/v1/push/key", "pushKey", subscriptions::key, document::push_key)
        .on(Get, "/v1/locate", "locate", locate(app.map.clone(), None), openapi::locate)
        // Pages of other origins post and ask as well; who may is a token's business, not an origin's.
        .layered(|api| api.method_not_allowed_fallback(method_not_allowed).layer(CorsLayer::permissive()))
        .document(asyncapi::PATH, "asyncapi", asyncapi::SUMMARY, asyncapi::document)
        .on(Get, "/healthz", "healthz", healthz, openapi::healthz)
        .on(Get, "/readyz", "readyz", readyz, document::readyz)
        .on(Get, "/metrics", "metrics", metrics, openapi::metrics)
        .on(Get, "/", "page", page::index, document::page)
        .on(Get, "/{file}", "pageFile", page::file, document::file);
    with_fallbacks(api.finish()).with_state(app)
}

async fn readyz(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<Readiness>), Failure> {
    let cdc = app.cdc.as_ref().map(Cdc::health);
    let push = app.push.as_ref().map(Push::health);
    let readiness = Readiness::of(&app.stores, app.fanout.health(), app.accounts.health(), cdc, push).await;
    let readiness = readiness.map_err(|error| Failure::new(ProblemKind::Internal, error.to_string()))?;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(readiness)))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    app.fanout.health().gauge("peal_fanout_workers");
    app.accounts.health().gauge("peal_accounts_workers");
    if let Some(push) = &app.push {
        push.health().gauge("peal_push_workers");
    }
    let waiters = u32::try_from(app.accounts.waiters()).unwrap_or(u32::MAX);
    metrics::gauge!("peal_waiters").set(waiters);
    telemetry::metrics_page().await.into_response()
}

/// A seat is taken before the body is read, with as many bytes as it says it has, so that bodies are bounded as well.
impl Argument for Seat {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_problem(ProblemKind::Unavailable, "Too much is in flight.");
    }
}

impl FromRequestParts<Arc<App>> for Seat {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        app.ingest.seat(body_bytes(parts, EVENT_BYTES_MAX))
    }
}

/// How many bytes a body says it has, or may have: no more are read.
fn body_bytes(parts: &Parts, bytes_max: usize) -> usize {
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(bytes_max).min(bytes_max)
}
