//! `peal join`, `peal post`, `peal event`: posts an event, shows how far one is.

use std::io;

use peal_proto::{Audience, EventId};
use peal_store::status::{Account, State, Status};

use crate::api::{self, ApiError};
use crate::config::events::{Join, JsonObject, Keep, Post, ShowEvent};
use crate::output;

/// Why a command about an event failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing came of it.
    #[error(transparent)]
    Api(ApiError),
    /// It may have been accepted, or not.
    #[error(
        "{error}. Whether the event was accepted is not known: post it with an id (--event), and repeating it is harmless"
    )]
    NotKnown {
        /// What happened.
        error: ApiError,
    },
    /// The answer can't be printed.
    #[error("stdout can't be written")]
    Output(#[from] io::Error),
}

impl Failure {
    fn posting(error: ApiError) -> Self {
        match error {
            ApiError::Broken { .. } => Self::NotKnown { error },
            ApiError::NotRunning { .. } | ApiError::Problem(_) | ApiError::Foreign { .. } => Self::Api(error),
        }
    }
}

/// `peal join`.
///
/// # Errors
/// [`Failure`].
pub async fn join(join: &Join) -> Result<(), Failure> {
    let request = api::Join {
        user: join.user,
        event: join.event.as_ref(),
        data: join.data.as_ref().map(JsonObject::raw),
        notify_self: !join.no_notify_self,
        ttl: join.keep.ttl,
        collapse: join.keep.collapse.as_ref(),
    };
    accepted(join.which.api().join(join.community, &request).await)
}

/// `peal post`.
///
/// # Errors
/// [`Failure`].
pub async fn post(post: &Post) -> Result<(), Failure> {
    let data = post.data.as_ref().map(JsonObject::raw);
    let Keep { ttl, collapse } = &post.keep;
    let request =
        api::Post { kind: &post.kind, event: post.event.as_ref(), data, ttl: *ttl, collapse: collapse.as_ref() };
    accepted(post.which.api().post(post.community, &request).await)
}

/// A person reads a sentence, a program the id alone.
fn accepted(answer: Result<EventId, ApiError>) -> Result<(), Failure> {
    let event = answer.map_err(Failure::posting)?;
    let text = if output::is_terminal() { format!("accepted: event {event}") } else { event.to_string() };
    Ok(output::line(text)?)
}

/// `peal event`.
///
/// # Errors
/// [`Failure`].
pub async fn show(show: &ShowEvent) -> Result<(), Failure> {
    let account = show.which.api().account(&show.event).await.map_err(Failure::Api)?;
    let text = if show.json { serde_json::to_string(&account).map_err(io::Error::from)? } else { sentence(&account) };
    Ok(output::line(text)?)
}

fn sentence(account: &Account) -> String {
    let Account { status, delivered, parked, expired, replaced } = account;
    let Status { event, state, kind, audience, at, members, published, failed, duplicates } = status;
    let to = |members: u64| if members == 1 { "1 member".to_owned() } else { format!("{members} members") };
    let fates = [
        (delivered, "delivered"),
        (parked, "parked"),
        (expired, "expired"),
        (replaced, "replaced"),
        (failed, "failed"),
    ];
    let fates: Vec<_> = fates.iter().filter(|(of, _)| **of > 0).map(|(of, fate)| format!("{of} {fate}")).collect();
    let progress = match state {
        State::Accepted => "accepted, and nobody told yet".to_owned(),
        State::Expanding => format!("expanding: {published} of {members} members told"),
        State::Published => format!("published to {}", to(*published)),
        State::Settled => format!("settled for {}", to(*published)),
        State::Failed => "failed: it is a dead letter, see `peal dead-letters list`".to_owned(),
    };
    let fates = if fates.is_empty() { String::new() } else { format!(": {}", fates.join(", ")) };
    let repeats = match duplicates {
        0 => String::new(),
        1 => "; posted once more, and not told again".to_owned(),
        times => format!("; posted {times} times more, and not told again"),
    };
    let whose = match audience {
        Audience::Community(community) => format!("in community {community}"),
        Audience::User(user) => format!("for user {user}"),
    };
    format!("{event}: {kind} {whose} at {at}, {progress}{fates}{repeats}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_a_sentence() {
        let json = r#"{"event":"e1","state":"published","kind":"community.joined","community":7,
            "at":"2026-11-22T10:00:00.000Z","members":3,"published":3,"duplicates":2,"delivered":1,"parked":0,"expired":0,
            "failed":0}"#;
        let mut account: Account = serde_json::from_str(json).unwrap();
        assert_eq!(
            sentence(&account),
            "e1: community.joined in community 7 at 2026-11-22T10:00:00.000Z, published to 3 members: 1 delivered; \
             posted 2 times more, and not told again"
        );
        (account.parked, account.replaced) = (2, 3);
        (account.status.state, account.status.duplicates) = (State::Settled, 0);
        assert_eq!(
            sentence(&account),
            "e1: community.joined in community 7 at 2026-11-22T10:00:00.000Z, settled for 3 members: 1 delivered, 2 parked, \
             3 replaced"
        );
    }
}
