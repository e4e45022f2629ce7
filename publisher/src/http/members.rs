//! Members: add, remove, count, read through.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use peal_proto::{CommunityId, ProblemKind, UserId};
use peal_serve::openapi::{Argument, Operation};
use peal_serve::{Failure, Json, Path, Query, from_text};
use peal_store::StoreError;
use peal_store::members::{MEMBERS_PAGE_MAX, ScanCursor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body_bytes;
use crate::App;
use crate::ingest::{Seat, busy};
use crate::limits::{MEMBERS_BODY_BYTES_MAX, STORE_TIMEOUT};
use crate::within::within;

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfCommunity {
    /// The community.
    #[serde(deserialize_with = "from_text")]
    community: CommunityId,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfMember {
    /// The community.
    #[serde(deserialize_with = "from_text")]
    community: CommunityId,
    /// Who is to be a member, or none.
    #[serde(deserialize_with = "from_text")]
    user: UserId,
}

/// A seat for a request that changes members, with the bytes of its body.
pub(super) struct MembersSeat(#[expect(dead_code, reason = "held until it is dropped")] Seat);

impl Argument for MembersSeat {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_problem(ProblemKind::Unavailable, "Too many change members at the moment.");
    }
}

impl FromRequestParts<Arc<App>> for MembersSeat {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let bytes_max = if parts.method == Method::POST { MEMBERS_BODY_BYTES_MAX } else { 0 }; // the others have no body
        let mut seat = app.members_seats.take().ok_or_else(|| busy("member changes"))?;
        seat.weigh(body_bytes(parts, bytes_max)).ok_or_else(|| busy("bytes of member changes"))?;
        Ok(Self(seat))
    }
}

async fn wait<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    within(STORE_TIMEOUT, "store of members", asked).await
}

/// `204` whether the user was a member or not: a repeat is harmless.
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Path(OfMember { community, user }): Path<OfMember>,
    _seat: MembersSeat,
) -> Result<StatusCode, Failure> {
    wait(app.stores.members.add(community, vec![user])).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `204` whether the user was a member or not: a repeat is harmless.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(OfMember { community, user }): Path<OfMember>,
    _seat: MembersSeat,
) -> Result<StatusCode, Failure> {
    wait(app.stores.members.remove(community, vec![user])).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Many at once; a user in both lists is removed.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "MembersChange")]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Who is to be a member.
    #[serde(default)]
    #[schemars(length(max = MEMBERS_PAGE_MAX))]
    add: Vec<UserId>,
    /// Who is to be none.
    #[serde(default)]
    #[schemars(length(max = MEMBERS_PAGE_MAX))]
    remove: Vec<UserId>,
}

/// How many became members, and how many were.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MembersChanged")]
pub(super) struct Changed {
    added: u64,
    removed: u64,
}

pub(super) async fn change(
    State(app): State<Arc<App>>,
    Path(OfCommunity { community }): Path<OfCommunity>,
    _seat: MembersSeat,
    Json(Change { add, remove }): Json<Change, MEMBERS_BODY_BYTES_MAX>,
) -> Result<axum::Json<Changed>, Failure> {
    let given = add.len() + remove.len();
    if given > MEMBERS_PAGE_MAX {
        return Err(Failure::invalid(format!("one call changes at most {MEMBERS_PAGE_MAX} members, not {given}")));
    }
    let members = &app.stores.members;
    let added = if add.is_empty() { 0 } else { wait(members.add(community, add)).await? };
    let removed = if remove.is_empty() { 0 } else { wait(members.remove(community, remove)).await? };
    Ok(axum::Json(Changed { added, removed }))
}

/// `?page=start`, then `?page=<next>`; without it, only the count.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichPage {
    /// `start`, then the `next` of the page before; without it there is only the count.
    #[schemars(with = "Option<String>", regex(pattern = r"^(start|0|[1-9][0-9]{0,18})$"))]
    page: Option<String>,
}

/// The members of a community.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Members")]
pub(super) struct Listed {
    community: CommunityId,
    count: u64,
    #[serde(flatten)]
    page: Option<ListedPage>,
}

/// In no order, and a user may come twice.
#[derive(Serialize, JsonSchema)]
struct ListedPage {
    users: Vec<UserId>,
    next: Option<String>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(OfCommunity { community }): Path<OfCommunity>,
    Query(WhichPage { page }): Query<WhichPage>,
) -> Result<axum::Json<Listed>, Failure> {
    let members = &app.stores.members;
    let count = wait(members.count(community)).await?;
    let Some(from) = page else { return Ok(axum::Json(Listed { community, count, page: None })) };
    let page = wait(members.scan(community, cursor(&from)?)).await?;
    let next = page.next.map(|next| next.get().to_string());
    Ok(axum::Json(Listed { community, count, page: Some(ListedPage { users: page.users, next }) }))
}

fn cursor(page: &str) -> Result<Option<ScanCursor>, Failure> {
    if page == "start" {
        return Ok(None);
    }
    let number = page.parse().map_err(|_| {
        Failure::invalid(format!(r#"page must be "start", or "next" as the page before gave it, not {page:?}"#))
    })?;
    Ok(Some(ScanCursor::new(number)))
}
