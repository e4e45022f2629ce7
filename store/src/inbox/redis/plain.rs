//! Parking a plain batch, as nearly all are: every entry lies behind all that its user has, and nobody is over the quota.
//!
//! An entry that a script adds costs Redis half as much again as one added alone; in a transaction it costs about the same.
//! So what is plain is decided here: one round trip watches the marker and the summaries and looks at them, a second one
//! adds the entries and writes the new summaries, unless what was looked at has changed meanwhile. Whatever changes a stream
//! or a floor writes the user's summary in the same step, so nothing else has to be watched.
//!
//! Every other batch is the script's: one that is not plain, came too late, or found another marker. So is one for which
//! nothing could be looked at, because the connection was closed while nobody had it, or may not watch keys.

use redis::{Cmd, Pipeline, RedisResult, Value};

use super::super::{Entry, Marker};
use super::batch::Batch;
use super::summary::Summary;
use super::{Keys, RedisInbox};
use crate::redis::pool::{Own, Pool};

/// What was there when it was looked at.
struct Looked {
    marker: Option<String>,
    /// Of each user of the batch.
    summaries: Vec<Option<Vec<u8>>>,
}

impl RedisInbox {
    /// Parks a plain batch and answers the floor as it is stored; `None` when nothing was done. After an error it is not
    /// known whether it was.
    pub(super) async fn park_plain(&self, pool: &Pool, keys: &Keys, batch: &Batch) -> RedisResult<Option<String>> {
        let (mut own, looked) = match look(pool, keys, batch).await {
            Err(error) if !error.is_timeout() => {
                tracing::debug!(%error, "a batch is left to the script");
                return Ok(None);
            }
            looked => looked?,
        };
        let floor = match self.transaction(keys, batch, &looked) {
            Some(transaction) => floor(own.run_all(&transaction).await?)?,
            None => None,
        };
        own.give_back();
        Ok(floor)
    }

    /// What parks a batch; `None` when it is not plain.
    fn transaction(&self, keys: &Keys, batch: &Batch, looked: &Looked) -> Option<Pipeline> {
        let stored = |marker: Marker| format!("{}.{}", self.generation, marker.get());
        if looked.marker != batch.expected.map(stored) {
            return None;
        }
        let mut transaction = Pipeline::with_capacity(batch.entries().len() + 4);
        transaction.atomic();
        self.summarise(&mut transaction, keys, batch, looked)?;
        for entry in batch.entries() {
            transaction.add_command(self.addition(keys, batch, entry));
        }
        transaction.cmd("SET").arg(&keys.marker).arg(stored(batch.next));
        transaction.cmd("ZRANGE").arg(&keys.floors).arg(0).arg(0).arg("WITHSCORES");
        Some(transaction)
    }

    /// Writes the summaries with the batch, and those among the floors who had nothing before.
    fn summarise(&self, transaction: &mut Pipeline, keys: &Keys, batch: &Batch, looked: &Looked) -> Option<()> {
        let (mut set, mut placed) = (redis::cmd("HSET"), Vec::new());
        set.arg(&keys.users);
        for (new, packed) in batch.users().zip(&looked.summaries) {
            let user = new[0].user.get();
            let before = packed.as_deref().map_or(Ok(Summary::default()), Summary::decode).ok()?;
            let after = before.with(new, &self.retention)?;
            set.arg(user).arg(&after.encode());
            if before.entries == 0 {
                placed.push((after.oldest, user));
            }
        }
        transaction.add_command(set);
        if !placed.is_empty() {
            transaction.cmd("ZADD").arg(&keys.floors).arg(placed);
        }
        Some(())
    }

    fn addition(&self, keys: &Keys, batch: &Batch, entry: &Entry) -> Cmd {
        let (key, until) = (keys.stream(entry.user), batch.until(entry, &self.retention).millis());
        let mut addition = Cmd::with_capacity(7, key.len() + entry.value.len() + 64);
        addition.arg("XADD").arg(key).arg(self.id(entry.offset)).arg("u").arg(until).arg("v").arg(&entry.value[..]);
        addition
    }
}

/// Watches and looks. What the caller before looked at and left is watched no longer.
async fn look<'a>(pool: &'a Pool, keys: &Keys, batch: &Batch) -> RedisResult<(Own<'a>, Looked)> {
    let users: Vec<_> = batch.users().map(|new| new[0].user.get()).collect();
    let mut look = redis::pipe();
    look.cmd("UNWATCH").cmd("WATCH").arg(&keys.marker).arg(&keys.users);
    look.cmd("GET").arg(&keys.marker).cmd("HMGET").arg(&keys.users).arg(users);
    let mut own = pool.take().await?;
    let (_, _, marker, summaries): (Value, Value, _, _) = own.run_all(&look).await?;
    Ok((own, Looked { marker, summaries }))
}

/// The floor from the answers of a transaction; `None` when it was not done.
fn floor(answers: Option<Vec<Value>>) -> RedisResult<Option<String>> {
    let Some(mut answers) = answers else { return Ok(None) };
    let first: Vec<(Value, String)> = redis::from_redis_value(answers.pop().unwrap_or(Value::Nil))?;
    Ok(Some(first.into_iter().next().map(|(_, floor)| floor).unwrap_or_default()))
}
