//! Whether a Redis is safe to use as it is configured. Reads `INFO`, which hosted services allow where they forbid `CONFIG`.

use std::fmt;

use super::Connection;
use crate::StoreError;

/// What makes a Redis unsafe.
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
        }
    }
}

pub(super) async fn check(connection: &Connection) -> Result<Vec<Concern>, StoreError> {
    let info: String = connection.run(redis::cmd("INFO").arg("everything")).await?;
    Ok(concerns(&info))
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
