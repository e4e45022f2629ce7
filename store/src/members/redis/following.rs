//! Sets in Redis that follow a table: the position stands in a hash beside them, and a step changes both at once.
//!
//! One script looks where the sets are, changes them and moves the position, so a publisher that was frozen changes nothing
//! when it wakes. In a Redis Cluster the sets are on several servers and the step is taken apart: look, change, move; who
//! finds in the end that another was there puts the position back.

use std::time::Duration;

use peal_proto::name::followed_key;
use peal_proto::{Offset, Partition, Position, UserId};

use super::super::{Followed, SetChange, Step, Stepped};
use super::MembersPattern;
use crate::StoreError;
use crate::redis::{Connection, Script};

const FOLLOW: &str = include_str!("follow.lua");
const ARRIVE: &str = include_str!("arrive.lua");

/// How far, and what time it is.
const LOOK: &str = "return {redis.call('TIME')[1], redis.call('HMGET', KEYS[1], unpack(ARGV))}";

/// What stands behind the position of sets that are whole.
const WHOLE: &str = "whole";

/// Takes steps.
pub(super) struct Following {
    connection: Connection,
    pattern: MembersPattern,
    follow: Script,
    arrive: Script,
    look: Script,
}

impl Following {
    pub(super) fn new(connection: Connection, pattern: MembersPattern) -> Self {
        Self { connection, pattern, follow: Script::new(FOLLOW), arrive: Script::new(ARRIVE), look: Script::new(LOOK) }
    }

    pub(super) async fn follow(&self, step: &Step) -> Result<Stepped, StoreError> {
        if self.connection.pool().is_some() { self.at_once(step).await } else { self.apart(step).await }
    }

    async fn at_once(&self, step: &Step) -> Result<Stepped, StoreError> {
        let mut keys = vec![followed_key(&step.table)];
        keys.extend(step.changes.iter().map(|change| self.pattern.key(change.community)));
        let mut call = self.follow.on(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        call.arg(step.partition.get()).arg(spelled(step.from)).arg(spelled(Some(step.to))).arg(wholeness(step.whole));
        for SetChange { add, remove, .. } in &step.changes {
            call.arg(add.len()).arg(remove.len());
        }
        for SetChange { add, remove, .. } in &step.changes {
            call.arg(numbers(add)).arg(numbers(remove));
        }
        let answer = self.connection.call(&self.follow, &call).await?;
        self.stepped(answer)
    }

    async fn apart(&self, step: &Step) -> Result<Stepped, StoreError> {
        let found = self.followed(&step.table, &[step.partition]).await?;
        let found = found.first().copied().flatten().map(|followed| followed.position);
        if found != step.from {
            return Ok(Stepped::Elsewhere(found));
        }
        for SetChange { community, add, remove } in &step.changes {
            let key = self.pattern.key(*community);
            for (command, users) in [("SADD", add), ("SREM", remove)] {
                if !users.is_empty() {
                    let mut change = redis::cmd(command);
                    self.connection.run::<u64>(change.arg(&key).arg(numbers(users))).await?;
                }
            }
        }
        let mut call = self.arrive.on(&[&followed_key(&step.table)]);
        call.arg(step.partition.get()).arg(spelled(step.from)).arg(spelled(Some(step.to))).arg(wholeness(step.whole));
        let answer = self.connection.call(&self.arrive, &call).await?;
        self.stepped(answer)
    }

    pub(super) async fn followed(
        &self,
        table: &str,
        partitions: &[Partition],
    ) -> Result<Vec<Option<Followed>>, StoreError> {
        if partitions.is_empty() {
            return Ok(Vec::new()); // Redis takes that for a mistake
        }
        let mut call = self.look.on(&[&followed_key(table)]);
        for partition in partitions {
            call.arg(partition.get());
        }
        let (now, found): (u64, Vec<Option<String>>) = self.connection.call(&self.look, &call).await?;
        found.into_iter().map(|found| found.map(|found| self.place(&found, now)).transpose()).collect()
    }

    /// `<position> <when, in seconds since 1970>`, and `whole` if the sets are.
    fn place(&self, found: &str, now: u64) -> Result<Followed, StoreError> {
        let mut words = found.split(' ');
        let position = self.position(words.next().unwrap_or_default())?;
        let at: u64 = words.next().and_then(|at| at.parse().ok()).unwrap_or_default();
        let whole = words.next() == Some(WHOLE);
        Ok(Followed { position, whole, age: Duration::from_secs(now.saturating_sub(at)) })
    }

    fn position(&self, text: &str) -> Result<Position, StoreError> {
        let number = text.parse().map_err(|_| self.connection.damaged(format!("{text:?} is not a position")))?;
        Ok(Position::at(Offset::new(number)))
    }

    fn stepped(&self, (answer, place): (String, String)) -> Result<Stepped, StoreError> {
        if answer == "done" {
            return Ok(Stepped::Done);
        }
        let found = (!place.is_empty()).then(|| self.position(&place)).transpose()?;
        Ok(Stepped::Elsewhere(found))
    }
}

const fn wholeness(whole: bool) -> &'static str {
    if whole { WHOLE } else { "" }
}

fn spelled(position: Option<Position>) -> String {
    position.map_or_else(String::new, |position| position.next().to_string())
}

fn numbers(users: &[UserId]) -> Vec<u64> {
    users.iter().map(|user| user.get()).collect()
}
