//! Events: post one, ask how far it is.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use peal_proto::event::{EventRequest, JoinRequest};
use peal_proto::{Audience, CommunityId, Event, EventId, ProblemKind};
use peal_serve::openapi::{Argument, Operation};
use peal_serve::{Failure, Json, Path, Query, from_text};
use peal_store::status::Account;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wait::Wait;
use crate::App;
use crate::admission::{OverRate, Toll};
use crate::ingest::Seat;
use crate::limits::STORE_TIMEOUT;
use crate::within::within;

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfCommunity {
    /// Whose members are told.
    #[serde(deserialize_with = "from_text")]
    community: CommunityId,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfEvent {
    /// The event.
    #[serde(deserialize_with = "from_text")]
    pub(super) event: EventId,
}

/// The client and the community are within their rates. This is looked at before there is a seat and a body is read, so that a
/// refusal costs next to nothing.
pub(super) struct Admitted;

impl Argument for Admitted {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_problem(
            ProblemKind::TooManyRequests,
            "The client or the community is over its rate; nothing was stored.",
        );
    }
}

impl FromRequestParts<Arc<App>> for Admitted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        if app.admission.is_off() {
            return Ok(Self);
        }
        let Path(OfCommunity { community }) = Path::from_request_parts(parts, app).await?;
        let mut toll = Toll::new(app.admission.client(parts), Some(community));
        app.admission.admit(&mut toll).map_err(OverRate::refusal)?;
        Ok(Self)
    }
}

/// The event's id, to ask for its account and to repeat the request with; or the account, when it was waited for.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Accepted {
    Event { event: EventId },
    Account(Box<Account>),
}

pub(super) type Answer = Result<(StatusCode, axum::Json<Accepted>), Failure>;

pub(super) async fn join(
    State(app): State<Arc<App>>,
    Path(OfCommunity { community }): Path<OfCommunity>,
    Query(wait): Query<Wait>,
    _: Admitted,
    seat: Seat,
    Json(request): Json<JoinRequest>,
) -> Answer {
    let id = app.event_id(request.event.as_ref())?;
    let event = Event::joined(community, id, app.clock.now(), request).map_err(|error| unwritable(&error))?;
    accept(&app, seat, event, &wait).await
}

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(OfCommunity { community }): Path<OfCommunity>,
    Query(wait): Query<Wait>,
    _: Admitted,
    seat: Seat,
    Json(request): Json<EventRequest>,
) -> Answer {
    let id = app.event_id(request.event.as_ref())?;
    let event = Event::posted(Audience::Community(community), id, app.clock.now(), request)
        .map_err(|error| unwritable(&error))?;
    accept(&app, seat, event, &wait).await
}

impl App {
    pub(super) fn event_id(&self, given: Option<&EventId>) -> Result<EventId, Failure> {
        given.map_or_else(|| self.ingest.event_id(), |id| Ok(id.clone()))
    }
}

async fn accept(app: &App, seat: Seat, event: Event, wait: &Wait) -> Answer {
    let waiter = wait.enter(app, &event.event)?;
    let event = app.ingest.accept(seat, event).await?;
    match waiter {
        Some(waiter) => Ok(wait.answer(app, waiter, event).await),
        None => Ok((StatusCode::ACCEPTED, axum::Json(Accepted::Event { event }))),
    }
}

pub(super) fn unknown(event: &EventId) -> Failure {
    let detail = format!("event {event} is unknown, or was accepted longer ago than accounts are kept");
    Failure::new(ProblemKind::NotFound, detail)
}

pub(super) fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::invalid(format!("the data can't be written as JSON: {error}"))
}

pub(super) async fn account(
    State(app): State<Arc<App>>,
    Path(OfEvent { event }): Path<OfEvent>,
) -> Result<axum::Json<Account>, Failure> {
    let account = within(STORE_TIMEOUT, "store of statuses", app.accounts.of(&event)).await?;
    account.map(axum::Json).ok_or_else(|| unknown(&event))
}
