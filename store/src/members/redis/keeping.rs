//! Since when a Redis keeps the members: a set that was lost looks like one that is empty, and members are never guessed
//! to be none.
//!
//! A key says it. When the key is gone, so may be the members; then for a while a community without members is told as
//! missing, so that the owner of the members can put them back and events wait for it. Behind the while it has none, but
//! nobody says so of what happened before. A cluster that has fanned out nothing yet has lost nothing. Owns the key and the
//! while; who asks is the store of members.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use peal_proto::name::{FANOUT_GROUP, MEMBERS_SINCE_KEY};
use peal_proto::{Partition, Timestamp, Topic};

use crate::log::Source;
use crate::redis::{Connection, Script};
use crate::{Log, StoreError, clock};

/// How long the owner of the members has to put them back after a loss.
const REBUILD_TIME: Duration = Duration::from_secs(60);

/// For how long it is taken for granted that nothing was lost: what is cached may be older than a loss by this much.
const SURE_FOR: Duration = Duration::from_secs(1);

/// Since when, in seconds since 1970, and what time it is; nothing when the key is gone and there is nothing to set.
const SINCE: &str = "
local now = redis.call('TIME')[1]
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1] == 'now' and now or ARGV[1], 'NX') end
return {redis.call('GET', KEYS[1]) or '', now}";

/// What the key says of a Redis that has lost nothing yet.
const SINCE_EVER: u64 = 0;

/// What to set when the key is gone.
#[derive(Clone, Copy)]
enum Missing {
    /// Nothing.
    Leave,
    /// Kept since ever.
    Ever,
    /// Kept since now.
    Now,
}

/// Whether members may be missing.
pub(super) struct Keeping {
    connection: Connection,
    log: Arc<dyn Log>,
    since: Script,
    /// What the key said last, and when.
    known: Mutex<Option<(u64, Instant)>>,
}

impl Keeping {
    pub(super) fn new(connection: Connection, log: Arc<dyn Log>) -> Self {
        Self { connection, log, since: Script::new(SINCE), known: Mutex::default() }
    }

    /// Whether what was read before is still worth something: nothing was lost until a moment ago.
    pub(super) async fn is_sure(&self) -> Result<bool, StoreError> {
        let known = self.known();
        match known {
            Some((_, at)) if clock::instant().saturating_duration_since(at) < SURE_FOR => Ok(true),
            Some((before, _)) => Ok(self.look().await?.0 == before),
            None => self.look().await.map(|_| false),
        }
    }

    /// Since when a community without members is known to have none, and not to have lost them; `None` is since ever.
    ///
    /// # Errors
    /// [`StoreError::Missing`] as long as they may be put back.
    pub(super) async fn none_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let (since, now) = self.look().await?;
        if since == SINCE_EVER {
            return Ok(None);
        }
        let kept = Duration::from_secs(now.saturating_sub(since));
        if kept >= REBUILD_TIME {
            return Ok(Some(Timestamp::from_millis(since.saturating_mul(1_000)).after(REBUILD_TIME)));
        }
        let left = (REBUILD_TIME - kept).as_secs();
        Err(self.connection.missing(format!(
            "the community has no members, and this redis was emptied {} s ago; its owner has {left} s to put them back",
            kept.as_secs()
        )))
    }

    /// Since when, and what time it is.
    async fn look(&self) -> Result<(u64, u64), StoreError> {
        let (since, now) = match self.ask(Missing::Leave).await? {
            (Some(since), now) => (since, now),
            (None, _) => self.begin().await?,
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, clock::instant()));
        Ok((since, now))
    }

    /// Sets the key that is gone.
    async fn begin(&self) -> Result<(u64, u64), StoreError> {
        let lost = self.known().is_some() || self.has_history().await?;
        if lost {
            tracing::error!(
                wait_s = REBUILD_TIME.as_secs(),
                "redis was emptied: events for communities without members wait until they are put back"
            );
            metrics::counter!("peal_members_lost_total").increment(1);
        }
        match self.ask(if lost { Missing::Now } else { Missing::Ever }).await? {
            (Some(since), now) => Ok((since, now)),
            (None, _) => Err(self.connection.unavailable("redis does not keep what it is told")),
        }
    }

    async fn ask(&self, missing: Missing) -> Result<(Option<u64>, u64), StoreError> {
        let mut call = self.since.on(&[MEMBERS_SINCE_KEY]);
        call.arg(match missing {
            Missing::Leave => "",
            Missing::Ever => "0",
            Missing::Now => "now",
        });
        let (since, now): (String, u64) = self.connection.call(&self.since, &call).await?;
        let since = (!since.is_empty()).then(|| since.parse()).transpose();
        Ok((since.map_err(|_| self.connection.damaged(format!("{MEMBERS_SINCE_KEY} is not a time")))?, now))
    }

    /// Whether any event was ever fanned out, by what the log says.
    async fn has_history(&self) -> Result<bool, StoreError> {
        let partitions = (0..Topic::Events.partitions(self.log.partitions())).map(Partition::new);
        let sources = partitions.map(|partition| Source { group: FANOUT_GROUP, topic: Topic::Events, partition });
        let commits = try_join_all(sources.map(|source| self.log.committed(source))).await?;
        Ok(commits.iter().any(Option::is_some))
    }

    fn known(&self) -> Option<(u64, Instant)> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
