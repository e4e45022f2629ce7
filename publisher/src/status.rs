//! How far an event is, as its poster can ask.
//!
//! Owns which status follows from what; that a status is only said once it is true is the fan-out's business.

use peal_proto::Event;
use peal_store::status::{State, Status};

/// In the events log.
pub(crate) fn accepted(event: &Event) -> Status {
    status(event, State::Accepted, 0, 0, 0)
}

/// `published` of `members` are told.
pub(crate) fn expanding(event: &Event, members: u64, published: u64) -> Status {
    status(event, State::Expanding, members, published, 0)
}

/// All `members` are told, but for so many of them that `failed`: they have dead letters.
pub(crate) fn published(event: &Event, members: u64, failed: u64) -> Status {
    status(event, State::Published, members, members, failed)
}

/// A dead letter, after `published` members were told.
pub(crate) fn failed(event: &Event, published: u64) -> Status {
    status(event, State::Failed, published, published, 0)
}

fn status(event: &Event, state: State, members: u64, published: u64, failed: u64) -> Status {
    Status {
        event: event.event.clone(),
        state,
        kind: event.kind.clone(),
        audience: event.audience,
        at: event.at,
        members,
        published,
        failed,
        duplicates: 0, // the store counts them
    }
}
