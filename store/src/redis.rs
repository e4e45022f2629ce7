//! Inbox, members, statuses and shard map in a Redis that all processes of a cluster share.
//!
//! Owns the connection ([`wire`]): one, multiplexed, with limits on every wait, and made again when it breaks, or in a Redis
//! Cluster one to each server; what Redis tells unasked comes over another ([`push`]), and what nobody else may come between
//! has a few to itself ([`pool`]). A call that was cut off is repeated in a cluster and not otherwise; whether it had its
//! effect is not known. What each store keeps stands in its own `redis.rs`. Redis is asked for nothing that needs more than
//! version 6.2.
//!
//! How much outlives a crash of Redis is its own setting (`appendonly`, `appendfsync`). The inbox finds out what was lost;
//! a claim on an event that was lost lets a second copy of the event through.

mod address;
mod check;
pub(crate) mod pool;
pub(crate) mod push;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind};

pub use check::Concern;

use self::address::Address;
use self::pool::Pool;
use self::push::Push;
use self::wire::Wire;
use crate::inbox::Retention;
use crate::inbox::redis::RedisInbox;
use crate::leases::redis::RedisLeases;
use crate::log::Log;
use crate::members::redis::{Known, RedisMembers};
use crate::shards::redis::RedisShards;
use crate::status::redis::RedisStatuses;
use crate::subscriptions::redis::RedisSubscriptions;
use crate::{StoreError, Stores};

pub use crate::members::redis::{InvalidPattern, MembersPattern};

/// How long a connection may take to stand: a few round trips across a continent, and TLS.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// How long an answer may take: many times what the largest batch does, less than the ack time-out of a node.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a call may take together with a new connection, before it is refused.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// How long what was sent may stay without a sign of life from the other end. Without it a link that went down silently
/// holds the connection for a quarter of an hour: a late answer alone does not end it.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(10);

/// Tries to connect within one call.
const RECONNECT_TRIES: usize = 3;

/// The longest pause between two of these.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Calls in flight; more wait outside. A batch for each of 120 partitions, and members and statuses beside them.
const CALLS_MAX: usize = 1_024;

/// How Redis is reached, and what is kept in it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `redis://[user:password@]host[:port][/database]`, or of a Redis Cluster some of its servers:
    /// `redis+cluster://[user:password@]host:port,host:port`. With TLS `rediss` instead of `redis`.
    pub url: String,
    /// Whose certificates are trusted with TLS, as PEM; those that the system trusts when there is none.
    pub authority: Option<Vec<u8>>,
    /// What the inbox keeps for one user.
    pub retention: Retention,
    /// How long the status of an event and the claim on it are kept; at least 24 hours.
    pub status_age_max: Duration,
    /// The key of a community's members.
    pub members: MembersPattern,
}

impl Settings {
    /// A Redis at this URL, with everything else at its default.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            authority: None,
            retention: Retention::default(),
            status_age_max: Duration::from_secs(2 * 24 * 3600),
            members: MembersPattern::default(),
        }
    }
}

/// A Redis that answered.
pub struct Redis {
    wire: Wire,
    push: Arc<Push>,
    known: Arc<Known>,
    settings: Settings,
}

/// Connects.
///
/// # Errors
/// [`StoreError::Unavailable`] when the URL can't be read or there is no answer.
pub async fn connect(settings: Settings) -> Result<Redis, StoreError> {
    let address = Address::parse(&settings.url, settings.authority.clone())?;
    let wire = tokio::time::timeout(CALL_TIME_MAX, Wire::connect(&address)).await;
    let wire = wire.map_err(|_| unavailable("redis", "it takes too long to connect"))?;
    let wire = wire.map_err(|error| unavailable("redis", error))?;
    let known = Arc::new(Known::new(settings.members.clone()));
    let hears = Arc::clone(&known);
    let push = Push::start(&address, move |heard| hears.hear(heard))?;
    Ok(Redis { wire, push, known, settings })
}

impl Redis {
    /// All stores: the log given, and the others in this Redis.
    #[must_use]
    pub fn stores(&self, log: Arc<dyn Log>) -> Stores {
        let (push, known) = (Arc::clone(&self.push), Arc::clone(&self.known));
        Stores {
            members: Arc::new(RedisMembers::new(self.connection("store of members"), push, known, Arc::clone(&log))),
            statuses: Arc::new(RedisStatuses::new(
                self.connection("store of statuses"),
                Arc::clone(&self.push),
                self.settings.status_age_max,
                self.settings.retention.ttl,
            )),
            inbox: Arc::new(RedisInbox::new(self.connection("inbox"), log.generation(), self.settings.retention)),
            subscriptions: Arc::new(RedisSubscriptions::new(self.connection("store of subscriptions"))),
            shards: Arc::new(RedisShards::new(self.connection("shard map"), self.push.watch())),
            leases: Arc::new(RedisLeases::new(self.connection("store of leases"))),
            log,
        }
    }

    /// What makes this Redis unsafe as it is configured; nothing is the best answer.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not say.
    pub async fn check(&self) -> Result<Vec<Concern>, StoreError> {
        check::check(&self.connection("redis")).await
    }

    fn connection(&self, store: &'static str) -> Connection {
        Connection { wire: self.wire.clone(), store }
    }
}

/// The shared connection in the hands of one store.
#[derive(Clone)]
pub(crate) struct Connection {
    wire: Wire,
    store: &'static str,
}

impl Connection {
    /// One command.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.within(self.wire.clone().run(command)).await
    }

    /// Several commands in one round trip.
    pub(crate) async fn run_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        self.within(self.wire.clone().run_all(commands)).await
    }

    /// A script; given to Redis first when it does not know it, as after a restart.
    pub(crate) async fn call<T: FromRedisValue>(&self, script: &Script, call: &Cmd) -> Result<T, StoreError> {
        let calling = async {
            let mut wire = self.wire.clone();
            match wire.run(call).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    let () = wire.run(redis::cmd("SCRIPT").arg("LOAD").arg(&script.text)).await?;
                    wire.run(call).await
                }
                answer => answer,
            }
        };
        self.within(calling).await
    }

    /// Connections that one caller has at a time; `None` in a Redis Cluster.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.wire.pool()
    }

    /// An answer, or that there is none within the limit of a call.
    pub(crate) async fn within<T>(&self, answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(CALL_TIME_MAX, answer).await;
        answer.map_err(|_| self.unavailable("it takes too long to answer"))?.map_err(|error| self.unavailable(error))
    }

    /// Not now.
    pub(crate) fn unavailable(&self, reason: impl ToString) -> StoreError {
        unavailable(self.store, reason)
    }

    /// Lost, and not put back yet.
    pub(crate) fn missing(&self, reason: String) -> StoreError {
        StoreError::Missing { store: self.store, reason }
    }

    /// What Redis answered makes no sense.
    pub(crate) fn damaged(&self, reason: impl ToString) -> StoreError {
        StoreError::Damaged { store: self.store, reason: reason.to_string() }
    }
}

fn unavailable(store: &'static str, reason: impl ToString) -> StoreError {
    StoreError::Unavailable { store, reason: reason.to_string() }
}

/// A script that Redis runs as one step.
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// A call with these keys, to which arguments are added.
    pub(crate) fn on(&self, keys: &[&str]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }
}
