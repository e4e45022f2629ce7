//! Connections that one caller has at a time, for what can't share one: a transaction that watches keys.
//!
//! Owns which of them are free. They are opened when they are first needed. One comes back only from a caller that is done
//! with it; whatever becomes of any other, an error, a late answer or a caller that no longer waits, it is closed, and with
//! it goes what it was about to do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, RedisResult};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{ANSWER_TIME_MAX, CONNECT_TIME_MAX};

/// Connections at once; more callers wait. Redis does one thing at a time, so these have to outlast a round trip and no more.
const CONNECTIONS_MAX: usize = 8;

/// The connections to one server.
pub(crate) struct Pool {
    client: Client,
    permits: Semaphore,
    free: Mutex<Vec<MultiplexedConnection>>,
}

impl Pool {
    pub(super) fn new(client: Client) -> Self {
        Self { client, permits: Semaphore::new(CONNECTIONS_MAX), free: Mutex::default() }
    }

    /// A connection of one's own, as soon as there is one.
    pub(crate) async fn take(&self) -> RedisResult<Own<'_>> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.map_err(|closed| RedisError::from(std::io::Error::other(closed)))?;
        let free = self.lock().pop();
        let connection = match free {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(Own { pool: self, connection, _permit: permit })
    }

    /// Not one that is made again when it breaks: what was watched would no longer be.
    async fn open(&self) -> RedisResult<MultiplexedConnection> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME_MAX))
            .set_response_timeout(Some(ANSWER_TIME_MAX));
        self.client.get_multiplexed_async_connection_with_config(&limits).await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MultiplexedConnection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in the hands of its only caller; closed when it is dropped.
pub(crate) struct Own<'a> {
    pool: &'a Pool,
    connection: MultiplexedConnection,
    _permit: SemaphorePermit<'a>,
}

impl Own<'_> {
    /// Several commands in one round trip. After an error it is not known what became of them.
    pub(crate) async fn run_all<T: FromRedisValue>(&mut self, commands: &Pipeline) -> RedisResult<T> {
        let answer = commands.query_async(&mut self.connection).await;
        if answer.is_err() {
            self.pool.lock().clear(); // what broke one has mostly broken all
        }
        answer
    }

    /// Gives it to the next caller.
    pub(crate) fn give_back(self) {
        self.pool.lock().push(self.connection);
    }
}
