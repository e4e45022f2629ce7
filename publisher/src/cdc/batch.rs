//! Changes that are applied together: of each membership the last one counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use peal_proto::{CommunityId, Partition, Position, UserId};
use peal_store::members::{SetChange, Step};
use peal_store::table::RowRecord;

use super::change::{Change, Op, Unreadable};
use super::letter::Letter;

/// Changes of one partition, one after the other.
pub(super) struct Batch {
    /// Whether each is a member in the end.
    sets: BTreeMap<CommunityId, BTreeMap<UserId, bool>>,
    letters: Vec<Letter>,
    ops: BTreeMap<Op, u64>,
    partition: Partition,
    from: Option<Position>,
    to: Position,
}

/// What is to be done for a batch.
pub(super) struct Work {
    pub(super) letters: Vec<Letter>,
    pub(super) step: Step,
    pub(super) ops: BTreeMap<Op, u64>,
}

impl Batch {
    /// Begins where the sets are.
    pub(super) fn new(partition: Partition, from: Option<Position>) -> Self {
        let to = from.unwrap_or(Position::START);
        Self { sets: BTreeMap::new(), letters: Vec::new(), ops: BTreeMap::new(), partition, from, to }
    }

    pub(super) fn add(&mut self, topic: &str, record: &RowRecord, read: Result<Change, Unreadable>) {
        self.to = Position::behind(record.offset);
        match read {
            Ok(Change { op, remove, add }) => {
                for (membership, is_member) in [(remove, false), (add, true)] {
                    if let Some(membership) = membership {
                        self.sets.entry(membership.community).or_default().insert(membership.user, is_member);
                    }
                }
                *self.ops.entry(op).or_default() += 1;
            }
            Err(unreadable) => self.letters.push(Letter::of(topic, record, unreadable)),
        }
    }

    pub(super) fn work(self, topic: &Arc<str>) -> Work {
        let Self { sets, letters, ops, partition, from, to } = self;
        let changes = sets.into_iter().map(|(community, users)| change(community, users)).collect();
        Work { letters, step: Step { table: Arc::clone(topic), partition, from, to, whole: false, changes }, ops }
    }
}

fn change(community: CommunityId, users: BTreeMap<UserId, bool>) -> SetChange {
    let (add, remove): (Vec<_>, Vec<_>) = users.into_iter().partition(|(_, is_member)| *is_member);
    let users = |half: Vec<(UserId, bool)>| half.into_iter().map(|(user, _)| user).collect();
    SetChange { community, add: users(add), remove: users(remove) }
}
