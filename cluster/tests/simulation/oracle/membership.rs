//! Who was a member when an event was fanned out: certainly, possibly, or certainly not.
//!
//! A change that was answered has happened between its request and its answer; one that was not may happen at any time
//! from its request on. An event is fanned out between its post and the moment it was seen to be published. One for a single
//! user is told to that user, whoever is a member of what.

use std::time::Duration;

use peal_proto::{CommunityId, EventId, UserId};

use super::Evidence;
use crate::book::Post;

/// A change of one user's membership.
struct Turn {
    adds: bool,
    from: Duration,
    /// `None` for ever.
    to: Option<Duration>,
}

/// When an event may be fanned out.
fn window(post: &Post) -> (Duration, Duration) {
    (post.sent, post.published.map_or(Duration::MAX, |published| published.at))
}

/// All changes of a user's membership, those of joins included.
fn turns(evidence: &Evidence, community: CommunityId, user: UserId) -> Vec<Turn> {
    let changes =
        evidence.changes.iter().filter(|change| change.community == community && change.users.contains(&user));
    let changes = changes.map(|change| Turn { adds: change.adds, from: change.sent, to: change.answered });
    let joins = evidence.posts.values().filter(|post| post.community() == Some(community));
    let joins = joins.filter(|post| post.join.is_some_and(|join| join.user == user));
    let joins =
        joins.map(|post| Turn { adds: true, from: post.sent, to: post.published.map(|published| published.at) });
    changes.chain(joins).collect()
}

/// Whether the user had to be told of the event: an addition was over before it was posted, and no removal can have come
/// between.
pub(super) fn must_be_told(evidence: &Evidence, event: &EventId, user: UserId) -> bool {
    let Some(post) = evidence.posts.get(event) else { return false };
    let Some(community) = post.community() else { return post.user() == Some(user) };
    let (from, to) = window(post);
    if post.join.is_some_and(|join| join.user == user && !join.notify_self) {
        return false;
    }
    let turns = turns(evidence, community, user);
    let harmless = |removal: &Turn, added: Duration| removal.from > to || removal.to.is_some_and(|to| to <= added);
    let unharmed = |added: Duration| turns.iter().filter(|turn| !turn.adds).all(|removal| harmless(removal, added));
    let own_join = post.join.is_some_and(|join| join.user == user);
    let added_before = turns.iter().filter(|turn| turn.adds && turn.to.is_some_and(|to| to <= from));
    added_before.map(|turn| turn.from).any(unharmed) || (own_join && unharmed(from))
}

/// Whether the user may be told of the event: an addition has begun before it was published, and is not certainly undone
/// before it was posted.
pub(super) fn may_be_told(evidence: &Evidence, event: &EventId, user: UserId) -> bool {
    let Some(post) = evidence.posts.get(event) else { return false };
    let Some(community) = post.community() else { return post.user() == Some(user) };
    let (from, to) = window(post);
    if post.join.is_some_and(|join| join.user == user && !join.notify_self) {
        return false;
    }
    let turns = turns(evidence, community, user);
    let undone = |addition: &Turn| {
        let after = |removal: &Turn| addition.to.is_some_and(|to| to <= removal.from);
        let before = |removal: &Turn| removal.to.is_some_and(|to| to <= from);
        turns.iter().any(|turn| !turn.adds && after(turn) && before(turn))
    };
    turns.iter().any(|turn| turn.adds && turn.from <= to && !undone(turn))
}
