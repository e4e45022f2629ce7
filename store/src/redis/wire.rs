//! The way to Redis: one connection to one server, which all share, or one to each server of a cluster.
//!
//! In a cluster every command, script and transaction of a store keeps to the keys of one slot, and is sent to the server
//! that has it; what has no key goes to all of them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, FromRedisValue, Pipeline, RedisResult};

use super::address::Address;
use super::pool::Pool;
use super::{ANSWER_TIME_MAX, CALLS_MAX, CONNECT_TIME_MAX, RECONNECT_PAUSE_MAX, RECONNECT_TRIES};

/// A handle on the connection or connections, which are made again when they break.
#[derive(Clone)]
pub(super) enum Wire {
    One { shared: ConnectionManager, pool: Arc<Pool> },
    Cluster(ClusterConnection),
}

impl Wire {
    pub(super) async fn connect(address: &Address) -> RedisResult<Self> {
        // Fails when the process has chosen one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        if address.is_cluster() { cluster(address).await.map(Self::Cluster) } else { one(address).await }
    }

    /// Connections that one caller has at a time; `None` in a cluster.
    pub(super) fn pool(&self) -> Option<&Pool> {
        match self {
            Self::One { pool, .. } => Some(pool),
            Self::Cluster(_) => None,
        }
    }

    pub(super) async fn run<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One { shared, .. } => command.query_async(shared).await,
            Self::Cluster(cluster) => command.query_async(cluster).await,
        }
    }

    pub(super) async fn run_all<T: FromRedisValue>(&mut self, commands: &Pipeline) -> RedisResult<T> {
        match self {
            Self::One { shared, .. } => commands.query_async(shared).await,
            Self::Cluster(cluster) => commands.query_async(cluster).await,
        }
    }
}

async fn one(address: &Address) -> RedisResult<Wire> {
    let client = match address.certificates() {
        Some(certificates) => Client::build_with_tls(address.first.clone(), certificates)?,
        None => Client::open(address.first.clone())?,
    };
    let limits = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIME_MAX))
        .set_response_timeout(Some(ANSWER_TIME_MAX))
        .set_number_of_retries(RECONNECT_TRIES)
        .set_max_delay(RECONNECT_PAUSE_MAX)
        .set_concurrency_limit(CALLS_MAX)
        .set_pipeline_buffer_size(CALLS_MAX);
    let shared = ConnectionManager::new_with_config(client.clone(), limits).await?;
    Ok(Wire::One { shared, pool: Arc::new(Pool::new(client)) })
}

async fn cluster(address: &Address) -> RedisResult<ClusterConnection> {
    let mut client = ClusterClientBuilder::new(address.servers().cloned())
        .connection_timeout(CONNECT_TIME_MAX)
        .response_timeout(ANSWER_TIME_MAX)
        .retries(u32::try_from(RECONNECT_TRIES).unwrap_or(u32::MAX))
        .max_retry_wait(u64::try_from(RECONNECT_PAUSE_MAX.as_millis()).unwrap_or(u64::MAX))
        .tcp_settings(address.first.tcp_settings().clone())
        .connection_concurrency_limit(CALLS_MAX)
        .max_connection_attempts(NonZeroUsize::MIN);
    if let Some(certificates) = address.certificates() {
        client = client.certs(certificates);
    }
    client.build()?.get_async_connection().await
}
