//! `peal join`, `peal post`, `peal event`: posts an event, shows how far one is.

use std::io;

use peal_proto::{Audience, EventId};
use peal_store::status::{State, Status};

use crate::api::{self, ApiError};
use crate::config::events::{Join, JsonObject, Post, ShowEvent};
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
    };
    accepted(join.which.api().join(join.community, &request).await)
}

/// `peal post`.
///
/// # Errors
/// [`Failure`].
pub async fn post(post: &Post) -> Result<(), Failure> {
    let data = post.data.as_ref().map(JsonObject::raw);
    let request = api::Post { kind: &post.kind, event: post.event.as_ref(), data };
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
    let status = show.which.api().status(&show.event).await.map_err(Failure::Api)?;
    let text = if show.json { serde_json::to_string(&status).map_err(io::Error::from)? } else { sentence(&status) };
    Ok(output::line(text)?)
}

fn sentence(status: &Status) -> String {
    let Status { event, state, kind, audience, at, members, published, duplicates } = status;
    let progress = match state {
        State::Accepted => "accepted, and nobody told yet".to_owned(),
        State::Expanding => format!("expanding: {published} of {members} members told"),
        State::Published => format!("published to {published} {}", if *published == 1 { "member" } else { "members" }),
    };
    let repeats = match duplicates {
        0 => String::new(),
        1 => "; posted once more, and not told again".to_owned(),
        times => format!("; posted {times} times more, and not told again"),
    };
    let whose = match audience {
        Audience::Community(community) => format!("in community {community}"),
        Audience::User(user) => format!("for user {user}"),
    };
    format!("{event}: {kind} {whose} at {at}, {progress}{repeats}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_a_sentence() {
        let json = r#"{"event":"e1","state":"published","kind":"community.joined","community":7,
            "at":"2026-11-22T10:00:00.000Z","members":1,"published":1,"duplicates":2}"#;
        let status = serde_json::from_str(json).unwrap();
        assert_eq!(
            sentence(&status),
            "e1: community.joined in community 7 at 2026-11-22T10:00:00.000Z, published to 1 member; \
             posted 2 times more, and not told again"
        );
    }
}
