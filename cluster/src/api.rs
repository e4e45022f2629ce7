//! The publisher's HTTP interface from the caller's side.
//!
//! Owns requests, their answers, and what their failures mean to a person. What a request may hold is checked where its
//! type lives (`peal_proto`), and again by the publisher.

mod base;
mod batch;
mod error;
mod message;

use std::collections::BTreeSet;
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use peal_proto::{CommunityId, EventId, LetterId, UserId};
use peal_store::status::Account;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

pub use self::base::{BaseUrl, InvalidUrl};
pub use self::batch::Answers;
pub(crate) use self::error::root;
pub use self::error::{ApiError, Refusal};
use self::message::{Accepted, Listed};
pub use self::message::{
    Change, Changed, ClusterNode, ItemAnswer, Join, Letters, ListedLetter, Location, Outcome, PartitionOwner, Post,
    Replayed, Shards, ShownLetter,
};
use crate::limits::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, CONNECTION_IDLE_MAX, LETTERS_A_PAGE, REQUEST_TIMEOUT};

/// Of a request.
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A handle on the publisher; cheap to clone, connections are shared.
#[derive(Debug, Clone)]
pub struct Api {
    base: BaseUrl,
    http: Client<HttpConnector, Body>,
}

impl Api {
    /// The publisher at this URL.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(CONNECTION_IDLE_MAX)
            .build(connector);
        Self { base, http }
    }

    /// Where the publisher is.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Posts a join; the event's id, once it is durable.
    ///
    /// # Errors
    /// [`ApiError`]. Unless it is a [`ApiError::Problem`] the join may have been accepted: post it again with the same id.
    pub async fn join(&self, community: CommunityId, join: &Join<'_>) -> Result<EventId, ApiError> {
        let path = format!("/v1/communities/{community}/joins");
        self.send::<Accepted>(Method::POST, &path, Some(self.json(join)?)).await.map(|accepted| accepted.event)
    }

    /// Posts an event; its id, once it is durable.
    ///
    /// # Errors
    /// As [`Api::join`].
    pub async fn post(&self, community: CommunityId, post: &Post<'_>) -> Result<EventId, ApiError> {
        let path = format!("/v1/communities/{community}/events");
        self.send::<Accepted>(Method::POST, &path, Some(self.json(post)?)).await.map(|accepted| accepted.event)
    }

    /// How far an event is, and what became of it.
    ///
    /// # Errors
    /// [`ApiError`]; a problem with status 404 when the event is unknown.
    pub async fn account(&self, event: &EventId) -> Result<Account, ApiError> {
        self.send(Method::GET, &format!("/v1/events/{event}"), None).await
    }

    /// Adds and removes members.
    ///
    /// # Errors
    /// [`ApiError`]. To do it again is harmless.
    pub async fn change(&self, community: CommunityId, change: &Change) -> Result<Changed, ApiError> {
        let path = format!("/v1/communities/{community}/members");
        self.send(Method::POST, &path, Some(self.json(change)?)).await
    }

    /// How many members a community has.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn count(&self, community: CommunityId) -> Result<u64, ApiError> {
        let path = format!("/v1/communities/{community}/members");
        self.send::<Listed>(Method::GET, &path, None).await.map(|listed| listed.count)
    }

    /// All members of a community, ascending; who joins or leaves in the meantime may be missed.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn members(&self, community: CommunityId) -> Result<BTreeSet<UserId>, ApiError> {
        let mut members = BTreeSet::new();
        let mut page = Some("start".to_owned());
        while let Some(from) = page {
            let path = format!("/v1/communities/{community}/members?page={from}");
            let listed: Listed = self.send(Method::GET, &path, None).await?;
            members.extend(listed.users);
            page = listed.next;
        }
        Ok(members)
    }

    /// A page of dead letters: the first, or from the id on that the page before gave.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn letters(&self, from: Option<LetterId>) -> Result<Letters, ApiError> {
        let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
        self.send(Method::GET, &format!("/v1/dead-letters?limit={LETTERS_A_PAGE}{from}"), None).await
    }

    /// A dead letter.
    ///
    /// # Errors
    /// [`ApiError`]; a problem with status 404 when there is none of this id.
    pub async fn letter(&self, id: LetterId) -> Result<ShownLetter, ApiError> {
        self.send(Method::GET, &format!("/v1/dead-letters/{id}"), None).await
    }

    /// Appends the record of a dead letter again to the topic it came from; if that was done before, only if `again` says so.
    ///
    /// # Errors
    /// [`ApiError`]. Unless it is a [`ApiError::Problem`] that is final, it may have been appended: an event is told once all
    /// the same, a notification once more.
    pub async fn replay(&self, id: LetterId, again: bool) -> Result<Replayed, ApiError> {
        self.send(Method::POST, &format!("/v1/dead-letters/{id}/replay?again={again}"), None).await
    }

    /// Where the partitions are, and on demand how far behind.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn shards(&self, lag: bool) -> Result<Shards, ApiError> {
        self.send(Method::GET, &format!("/v1/shards?lag={lag}"), None).await
    }

    /// Spreads the partitions over so many nodes from now on.
    ///
    /// # Errors
    /// [`ApiError`]. To say it again is harmless.
    pub async fn reshard(&self, nodes: u32) -> Result<Shards, ApiError> {
        let body = self.json(&serde_json::json!({ "nodes": nodes }))?;
        self.send(Method::PUT, "/v1/shards", Some(body)).await
    }

    /// Which node owns a user.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn locate(&self, user: UserId) -> Result<Location, ApiError> {
        self.send(Method::GET, &format!("/v1/locate?user={user}"), None).await
    }

    /// Whether the publisher says it is ready.
    ///
    /// # Errors
    /// [`ApiError`], a problem when it is not.
    pub async fn ready(&self) -> Result<(), ApiError> {
        self.send::<serde::de::IgnoredAny>(Method::GET, "/readyz", None).await.map(drop)
    }

    fn json(&self, value: &impl Serialize) -> Result<Bytes, ApiError> {
        let foreign = |error: serde_json::Error| ApiError::Foreign { url: self.base.clone(), what: error.to_string() };
        serde_json::to_vec(value).map(Bytes::from).map_err(foreign)
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<T, ApiError> {
        let answered = timeout(REQUEST_TIMEOUT, self.exchange(method, path, body)).await;
        let late = || format!("no answer in {} s", REQUEST_TIMEOUT.as_secs());
        let (status, headers, body) = answered.unwrap_or_else(|_| Err(self.broken(late())))?;
        if !status.is_success() {
            return Err(ApiError::Problem(Refusal::read(status, &headers, &body)));
        }
        let foreign = |error: serde_json::Error| ApiError::Foreign { url: self.base.clone(), what: error.to_string() };
        serde_json::from_slice(&body).map_err(foreign)
    }

    /// Any request: its answer, whatever its status.
    ///
    /// # Errors
    /// [`ApiError`], where there is none.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ApiError> {
        let mut request = Request::builder().method(method).uri(self.base.join(path));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Body::new(Full::new(body.unwrap_or_default()));
        let request = request.body(body).map_err(|error| self.broken(error))?;
        let response = self.respond(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| self.broken(error))?;
        Ok((head.status, head.headers, body.to_bytes()))
    }

    /// A stream of the server's: the status, and the body as it comes.
    ///
    /// # Errors
    /// [`ApiError`], where there is none.
    pub(crate) async fn stream(&self, path: &str) -> Result<(StatusCode, Incoming), ApiError> {
        let request = Request::get(self.base.join(path)).body(Body::new(Full::default()));
        let response = self.respond(request.map_err(|error| self.broken(error))?).await?;
        let (head, body) = response.into_parts();
        Ok((head.status, body))
    }

    async fn respond(&self, request: Request<Body>) -> Result<Response<Incoming>, ApiError> {
        self.http.request(request).await.map_err(|error| match error.is_connect() {
            true => ApiError::NotRunning { url: self.base.clone(), why: root(&error) },
            false => self.broken(root(&error)),
        })
    }

    fn broken(&self, why: impl ToString) -> ApiError {
        ApiError::Broken { url: self.base.clone(), why: why.to_string() }
    }
}
