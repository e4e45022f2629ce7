//! Whether a Redis is safe to use as it is configured, and well set. Reads `INFO`, which hosted services allow where they
//! forbid `CONFIG`; so what only `CONFIG` tells is advice, and left out where it may not be asked.

use std::collections::BTreeMap;
use std::fmt;

use redis::{RedisResult, Value};

use super::Connection;
use crate::StoreError;

/// The most bytes of a node of a stream that are not worth a word. A new stream takes one whole node, and one notification
/// is a few hundred bytes.
const NODE_BYTES_MAX: u64 = 1_024;

/// What makes a Redis unsafe, or wasteful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// It drops keys when its memory is full: parked notifications and claims go without a trace.
    Evicts {
        /// `maxmemory`, in bytes.
        bytes_max: u64,
        /// `maxmemory-policy`.
        policy: String,
    },
    /// It keeps nothing across a restart: what was parked is read from the log again, members and claims are lost.
    Forgets,
    /// It lacks commands that the inbox needs.
    TooOld {
        /// Its version.
        version: String,
    },
    /// Everybody's first parked notification takes several KiB. Costs memory, and is safe.
    Wastes {
        /// `stream-node-max-bytes`.
        node_bytes: u64,
    },
}

impl Concern {
    /// Whether something may be lost; otherwise it is advice.
    #[must_use]
    pub const fn is_unsafe(&self) -> bool {
        match self {
            Self::Evicts { .. } | Self::Forgets | Self::TooOld { .. } => true,
            Self::Wastes { .. } => false,
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts { bytes_max, policy } => write!(
                f,
                "redis drops keys beyond {bytes_max} bytes (maxmemory-policy {policy}): parked notifications would be \
                 lost in silence; set maxmemory-policy to noeviction"
            ),
            Self::Forgets => f.write_str("redis keeps nothing across a restart; set appendonly to yes"),
            Self::TooOld { version } => write!(f, "redis {version} is too old: 6.2 or newer is needed"),
            Self::Wastes { node_bytes } => write!(
                f,
                "redis takes {node_bytes} bytes for the first notification parked for a user; set stream-node-max-bytes \
                 to 512"
            ),
        }
    }
}

pub(super) async fn check(connection: &Connection) -> Result<Vec<Concern>, StoreError> {
    let infos = infos(connection.run(redis::cmd("INFO").arg("everything")).await?);
    let infos = infos.map_err(|error| connection.damaged(error))?;
    let mut concerns: Vec<_> = infos.iter().flat_map(|info| concerns(info)).chain(wastes(connection).await).collect();
    concerns.dedup(); // the servers of a cluster are mostly alike
    Ok(concerns)
}

/// What one server says, or each of a cluster.
fn infos(answer: Value) -> RedisResult<Vec<String>> {
    let Value::Map(servers) = answer else { return Ok(vec![redis::from_redis_value(answer)?]) };
    servers.into_iter().map(|(_, info)| Ok(redis::from_redis_value(info)?)).collect()
}

/// `None` also when it may not be asked.
async fn wastes(connection: &Connection) -> Option<Concern> {
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("stream-node-max-bytes");
    let values: BTreeMap<String, u64> = connection.run(&get).await.ok()?;
    let node_bytes = *values.get("stream-node-max-bytes")?;
    (node_bytes > NODE_BYTES_MAX).then_some(Concern::Wastes { node_bytes })
}

fn concerns(info: &str) -> Vec<Concern> {
    let value = |name: &str| {
        let of_name =
            |line: &str| line.split_once(':').filter(|(found, _)| *found == name).map(|pair| pair.1.to_owned());
        info.lines().find_map(of_name).unwrap_or_default()
    };
    let mut concerns = Vec::new();
    let (policy, bytes_max) = (value("maxmemory_policy"), value("maxmemory").parse().unwrap_or(0));
    if bytes_max > 0 && policy != "noeviction" {
        concerns.push(Concern::Evicts { bytes_max, policy });
    }
    if value("aof_enabled") == "0" {
        concerns.push(Concern::Forgets);
    }
    let version = value("redis_version");
    if is_older(&version) {
        concerns.push(Concern::TooOld { version });
    }
    concerns
}

/// Whether a version is below 6.2; one that can't be read is not.
fn is_older(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < (6, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(maxmemory: u64, policy: &str, aof: u8, version: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory:{maxmemory}\r\nmaxmemory_human:0B\r\n\
             maxmemory_policy:{policy}\r\n# Persistence\r\naof_enabled:{aof}\r\n"
        )
    }

    #[test]
    fn a_policy_that_evicts_matters_only_with_a_limit() {
        assert_eq!(concerns(&info(0, "allkeys-lru", 1, "7.0.15")), []);
        assert_eq!(concerns(&info(100, "noeviction", 1, "7.0.15")), []);
        let evicts = Concern::Evicts { bytes_max: 100, policy: "volatile-ttl".into() };
        assert_eq!(concerns(&info(100, "volatile-ttl", 1, "7.0.15")), [evicts]);
    }

    #[test]
    fn a_redis_that_forgets_or_is_too_old_is_a_concern() {
        assert_eq!(concerns(&info(0, "noeviction", 0, "6.2.0")), [Concern::Forgets]);
        let old = Concern::TooOld { version: "6.0.16".into() };
        assert_eq!(concerns(&info(0, "noeviction", 1, "6.0.16")), [old]);
    }
}
