//! How far sets follow a table: the position in the topic of its changes is kept beside the sets, and goes where they go.
//!
//! A store that lost the sets, or the last seconds of them, has lost the position with them; whoever follows finds it behind
//! his own, reads again from there and makes them whole. Until then it stands there that they are not. Owns the words; what a change of the table is, is the follower's
//! business.

use std::sync::Arc;
use std::time::Duration;

use peal_proto::{CommunityId, Partition, Position, UserId};

/// The most users in one step: Redis' Lua takes less than 8,000 arguments for one command.
pub const STEP_USERS_MAX: usize = 4_000;

/// What changes in one community. Nobody is in both lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetChange {
    /// Which.
    pub community: CommunityId,
    /// Who are members from now on.
    pub add: Vec<UserId>,
    /// Who are none any more.
    pub remove: Vec<UserId>,
}

/// Part of a table's changes, from one position of a partition of its topic to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The topic that tells the changes.
    pub table: Arc<str>,
    /// One of its partitions.
    pub partition: Partition,
    /// How far the sets must have followed; `None` when they must not have begun.
    pub from: Option<Position>,
    /// How far they have, then.
    pub to: Position,
    /// The sets are whole then. They stay so, but for what has the table followed from its beginning again.
    pub whole: bool,
    /// At most [`STEP_USERS_MAX`] users in all, each community once.
    pub changes: Vec<SetChange>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// It is done; durable as members are.
    Done,
    /// The sets are somewhere else, `None` before the beginning: read on from there.
    Elsewhere(Option<Position>),
}

/// How far sets have followed a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// The lowest position that was not applied.
    pub position: Position,
    /// Whether the sets hold what the table does, or did when they were there; else they are being made again.
    pub whole: bool,
    /// How long ago the last step was.
    pub age: Duration,
}
