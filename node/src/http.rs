//! The node over HTTP: opening a socket, finding the owner of a user, and what an operator asks.
//!
//! Owns what is checked before a socket is upgraded. A browser can't read the status of a refused upgrade, so what its
//! client got wrong is told as a close code and a reason; everything else is a problem (RFC 9457).

mod document;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use peal_proto::frame::Hello;
use peal_proto::limits::CLIENT_FRAME_BYTES_MAX;
use peal_proto::name::SUBPROTOCOL;
use peal_proto::{CloseCode, Cursor, NodeId, Partition, Problem, ProblemKind, Topic, UserId};
use peal_serve::Verb::Get;
use peal_serve::openapi::{self, Api};
use peal_serve::problem::method_not_allowed;
use peal_serve::telemetry::metrics_page;
use peal_serve::{Failure, Query, asyncapi, from_text, healthz, locate, with_fallbacks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tower_http::cors::CorsLayer;

use crate::core::SessionId;
use crate::handshakes::{Handshake, Refused};
use crate::limits::{
    SHED_RETRY_AFTER, SOCKET_READ_BYTES, SOCKET_WRITE_BYTES, STARTED_TIMEOUT, WRITTEN_REPORTS_PER_BUDGET,
};
use crate::relay::{Relayed, is_relayed};
use crate::session::{Mailbox, Session, cut};
use crate::shard::{Health, ShardHandle};
use crate::shedding::Shed;
use crate::state::NodeState;

/// How long a client waits before it tries a node again that is not ready.
const NOT_READY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// All routes of a node.
pub(crate) fn router(state: Arc<NodeState>) -> Router {
    let told = state.relay.as_ref().map(|relay| relay.url.as_str().into());
    let api = Api::new(document::TITLE, document::DESCRIPTION)
        .on(Get, "/v1/locate", "locate", locate(state.map.clone(), told), openapi::locate)
        .document(asyncapi::PATH, "asyncapi", asyncapi::SUMMARY, asyncapi::document)
        .layered(|api| api.method_not_allowed_fallback(method_not_allowed).layer(CorsLayer::permissive()))
        .on(Get, "/v1/socket", "socket", socket, document::socket)
        .on(Get, "/healthz", "healthz", healthz, openapi::healthz)
        .on(Get, "/readyz", "readyz", readyz, document::readyz)
        .on(Get, "/metrics", "metrics", metrics_page, openapi::metrics);
    with_fallbacks(api.finish()).with_state(state)
}

/// The query of `/v1/socket`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SocketQuery {
    /// Whose socket it is.
    #[serde(deserialize_with = "from_text")]
    user: UserId,
    /// Up to where the client has seen everything; without it, it gets what its user has not acknowledged.
    #[serde(default, deserialize_with = "cursor_from_text")]
    #[schemars(with = "Cursor")]
    cursor: Option<Cursor>,
}

fn cursor_from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Cursor>, D::Error> {
    from_text(deserializer).map(Some)
}

async fn socket(State(node): State<Arc<NodeState>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let query = Query::<SocketQuery>::from_request_parts(&mut parts, &()).await;
    if let (Ok(Query(query)), Some(relay)) = (&query, &node.relay)
        && !is_relayed(&parts)
        && let Some((owner, url)) = node.owner_elsewhere(query.user)
    {
        let handshake = node.begin_handshake(Some(node.map.borrow().partition(query.user)));
        return match handshake {
            Ok(_lasts) => relay.carry(Relayed { owner, url: &url, parts }).await,
            Err(failure) => failure.into_response(),
        };
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => tuned(upgrade),
        Err(rejection) => return query.map_or_else(IntoResponse::into_response, |_| not_a_handshake(&rejection)),
    };
    let Query(query) = match query {
        Ok(query) => query,
        Err(failure) => return refuse_in_words(upgrade, failure.problem.detail, &node),
    };
    match node.admit(&query).await {
        Ok(admitted) => upgrade.on_upgrade(move |socket| open(node, admitted, query, Box::new(socket))),
        Err(failure) => failure.into_response(),
    }
}

fn tuned(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(SOCKET_READ_BYTES)
        .write_buffer_size(SOCKET_WRITE_BYTES)
        .max_message_size(CLIENT_FRAME_BYTES_MAX)
        .max_frame_size(CLIENT_FRAME_BYTES_MAX)
}

fn not_a_handshake(rejection: &WebSocketUpgradeRejection) -> Response {
    let detail = format!("/v1/socket takes a WebSocket handshake (RFC 6455) of subprotocol {SUBPROTOCOL}: {rejection}");
    Failure::invalid(detail).into_response()
}

/// Accepts the upgrade in order to close it with a reason that a page can read.
fn refuse_in_words(upgrade: WebSocketUpgrade, detail: String, node: &NodeState) -> Response {
    let handshake = match node.begin_handshake(None) {
        Ok(handshake) => handshake,
        Err(failure) => return failure.into_response(),
    };
    count_refused("invalid-query");
    upgrade.on_upgrade(async move |socket| {
        close(socket, CloseCode::ProtocolError, &detail).await;
        drop(handshake);
    })
}

fn count_refused(reason: &'static str) {
    metrics::counter!("peal_node_sessions_refused_total", "reason" => reason).increment(1);
}

async fn close(mut socket: WebSocket, code: CloseCode, reason: &str) {
    let frame = CloseFrame { code: code.number(), reason: cut(reason).into() };
    let closed = timeout(crate::limits::CLOSE_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
    tracing::debug!(?closed, %code, reason, "refused a socket");
}

impl NodeState {
    /// The partition that a socket belongs to, if it belongs here and may open now. The map may have named it just now.
    async fn admit(&self, query: &SocketQuery) -> Result<Admitted, Failure> {
        if let Some((owner, url)) = self.owner_elsewhere(query.user) {
            let detail = format!("user {} belongs to node {owner}, not {}; connect to {url}", query.user, self.id);
            return Err(Problem::new(ProblemKind::WrongNode, detail).at(url).into());
        }
        let partition = self.map.borrow().partition(query.user);
        let handshake = self.begin_handshake(Some(partition))?;
        let mut shards = self.shards.subscribe();
        let started = timeout(STARTED_TIMEOUT, shards.wait_for(|shards| shards.contains_key(&partition))).await;
        let shard = started.ok().and_then(|shards| shards.ok()?.get(&partition).cloned());
        let shard = shard.filter(|shard| shard.health() != Health::Left).ok_or_else(|| {
            Failure::unavailable(format!("node {} is leaving; try again", self.id), NOT_READY_RETRY_AFTER)
        })?;
        if shard.is_stalled(self.clock.uptime(), self.limits.stall_timeout) {
            let detail = format!("partition {partition} of node {} does not answer; try again", self.id);
            return Err(Failure::unavailable(detail, NOT_READY_RETRY_AFTER));
        }
        Ok(Admitted { shard, handshake })
    }

    /// The owner of a user, if that is another node, and its URL.
    fn owner_elsewhere(&self, user: UserId) -> Option<(NodeId, String)> {
        let map = self.map.borrow();
        let (owner, url) = map.owner(user);
        (owner != self.id).then(|| (owner, url.to_owned()))
    }

    /// A handshake, unless there are too many, or too little memory.
    fn begin_handshake(&self, partition: Option<Partition>) -> Result<Handshake, Failure> {
        if *self.shed.borrow() >= Shed::Sockets {
            count_refused("memory");
            let detail = format!("node {} has no memory for more sockets", self.id);
            return Err(Failure::unavailable(detail, SHED_RETRY_AFTER));
        }
        self.handshakes.begin(partition).map_err(|Refused { why, wait }| {
            count_refused(why.name());
            Failure::unavailable(format!("node {} has more handshakes than it takes at a time", self.id), wait)
        })
    }

    /// How many partitions read and have not heard what they should have.
    fn deaf(&self) -> usize {
        let now = self.clock.uptime();
        let is_deaf = |shard: &&ShardHandle| shard.health() == Health::Reading && !shard.hearing().is_sound(now);
        self.shards.borrow().values().filter(is_deaf).count()
    }

    /// Whether a cursor names a position that the log has reached.
    async fn is_known(&self, shard: &ShardHandle, query: &SocketQuery) -> Result<(), String> {
        let Some(cursor) = query.cursor.filter(|cursor| cursor.generation == self.log.generation()) else {
            return Ok(());
        };
        if shard.has_read(cursor.position) {
            return Ok(());
        }
        // After a restart a client may well be ahead of a partition that reads again from its commit.
        let partition = self.map.borrow().partition(query.user);
        match self.log.end(Topic::Notifications, partition).await {
            Ok(end) if cursor.position <= end => Ok(()),
            Ok(end) => Err(format!("cursor {cursor} is ahead of the log, which ends at {}.{end}", cursor.generation)),
            Err(error) => {
                tracing::warn!(%error, "a cursor could not be checked against the log");
                Ok(())
            }
        }
    }
}

/// A socket that may open.
struct Admitted {
    shard: ShardHandle,
    handshake: Handshake,
}

async fn open(node: Arc<NodeState>, admitted: Admitted, query: SocketQuery, socket: Box<WebSocket>) {
    let Admitted { shard, handshake } = admitted;
    if let Err(reason) = node.is_known(&shard, &query).await {
        return close(*socket, CloseCode::ProtocolError, &reason).await;
    }
    metrics::counter!("peal_node_sessions_opened_total").increment(1);
    let id = SessionId::new(node.sessions.fetch_add(1, Ordering::Relaxed));
    let heartbeat_ms = u64::try_from(node.limits.heartbeat.as_millis()).unwrap_or(u64::MAX);
    let epoch = node.map.borrow().epoch();
    let start = Cursor { generation: node.log.generation(), position: peal_proto::Position::START };
    let session = Session {
        id,
        socket,
        mailbox: Arc::<Mailbox>::default(),
        reports: shard.reports,
        hello: Hello { user: query.user, node: node.id, epoch, cursor: start, heartbeat_ms },
        report_bytes: node.limits.session_bytes_max / WRITTEN_REPORTS_PER_BUDGET,
        unreported: 0,
    };
    session.run(query.cursor, handshake).await;
}

/// What `/readyz` answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NodeReadiness")]
struct Readiness {
    /// Which node answers.
    node: NodeId,
    ready: bool,
    partitions: usize,
    starting: usize,
    reading: usize,
    waiting: usize,
    /// Reading, but a canary sent through the log was not heard.
    deaf: usize,
    /// It was asked to stop, and gives its partitions to the others.
    leaving: bool,
    /// The partitions whose loop does not come round.
    stalled: Vec<Partition>,
    /// What is shed for want of memory, and all before it: nothing, sockets, replays, live.
    shed: &'static str,
    /// By how many seconds the clock is ahead of that of the stores, or behind if negative; 0 where they go together.
    clock_ahead_seconds: i64,
}

async fn readyz(State(state): State<Arc<NodeState>>) -> (StatusCode, Json<Readiness>) {
    let node = state.id;
    let shards = state.shards.borrow().clone();
    let own = || shards.values().filter(|shard| !shard.is_given_up());
    let count = |health| own().filter(|shard| shard.health() == health).count();
    let partitions = state.map.borrow().owned_by(node).count();
    let (starting, reading, waiting) = (count(Health::Starting), count(Health::Reading), count(Health::Waiting));
    let deaf = if state.limits.canary_interval.is_some() { state.deaf() } else { 0 };
    let leaving = state.seat.borrow().leaving_ms.is_some();
    let stalled = state.stalled();
    let ready = reading == partitions && deaf == 0 && !leaving && stalled.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (shed, clock_ahead_seconds) = (state.shed.borrow().name(), state.seat.borrow().clock_ahead_seconds);
    let readiness = Readiness {
        node,
        ready,
        partitions,
        starting,
        reading,
        waiting,
        deaf,
        leaving,
        stalled,
        shed,
        clock_ahead_seconds,
    };
    (status, Json(readiness))
}
