//! How a process of the cluster reaches Kafka and Redis: the flags and `PEAL_*` variables, and opening the stores.
//!
//! A service that does not answer yet is waited for; what can't be right is told at once, with what to do.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use peal_store::log::kafka::{self, OpenError};
use peal_store::redis::{self, Concern, MembersPattern};
use peal_store::{Log, StoreError, Stores, Table};

use crate::limits::{SERVICES_RETRY_INTERVAL, SERVICES_WAIT_MAX};
use crate::process::remark;
use crate::telemetry::{self, InvalidFilter, LogFormat};

/// Properties of librdkafka, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl FromStr for Properties {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A Secret or a file ends with a new line.
        text.lines().filter(|line| !line.trim().is_empty()).map(property).collect::<Result<_, _>>().map(Self)
    }
}

fn property(line: &str) -> Result<(String, String), String> {
    match line.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        Some(_) | None => Err("a property is key=value, as in security.protocol=ssl".to_owned()),
    }
}

/// How Kafka is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaArgs {
    /// Some of Kafka's brokers
    #[arg(long, env = "PEAL_BROKERS", default_value = "127.0.0.1:9092", value_name = "HOST:PORT,…")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub brokers: String,
    /// Any property of librdkafka, such as security.protocol=ssl; may be given again. In the variable, one a line
    #[arg(long = "kafka", env = "PEAL_KAFKA", value_name = "KEY=VALUE", hide_env_values = true)]
    pub properties: Vec<Properties>,
    /// What stands before the name of every topic, group and writer, so that several clusters fit into one Kafka
    #[arg(long, env = "PEAL_PREFIX", default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Partitions that every topic must have [default: what the log was made with]
    #[arg(long, env = "PEAL_PARTITIONS", value_name = "P")]
    pub partitions: Option<u32>,
}

impl KafkaArgs {
    /// The same for the store.
    #[must_use]
    pub fn settings(&self) -> kafka::Settings {
        kafka::Settings {
            brokers: self.brokers.clone(),
            prefix: self.prefix.clone(),
            partitions: self.partitions,
            properties: self.properties.iter().flat_map(|Properties(given)| given.iter().cloned()).collect(),
        }
    }
}

const REDIS_HELP: &str = "\
redis://[user:password@]host[:port][/database], rediss:// for TLS, redis+cluster://host:port,host:port for a cluster";

/// How Redis is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Redis")]
pub struct RedisArgs {
    /// Its URL.
    #[arg(help = REDIS_HELP)]
    #[arg(
        long,
        env = "PEAL_REDIS",
        default_value = "redis://127.0.0.1:6379",
        value_name = "URL",
        hide_env_values = true
    )]
    pub redis: String,
    /// Whose certificates are trusted with TLS, as a PEM file [default: those the system trusts]
    #[arg(long, env = "PEAL_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,
    /// The key of a community's set of members.
    #[arg(help = "The key of a community's set of members, with the community's id at <c>")]
    #[arg(long, env = "PEAL_MEMBERS", default_value = "community:<c>:members", value_name = "PATTERN")]
    pub members: MembersPattern,
}

/// What is logged.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogArgs {
    /// What is logged to stderr: off, error, warn, info, debug or trace, or a list such as warn,peal_node=debug
    #[arg(long, env = "PEAL_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How it is logged
    #[arg(long, env = "PEAL_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// Starts logging and counting.
    ///
    /// # Errors
    /// [`Fault::Log`].
    pub fn install(&self) -> Result<(), Fault> {
        telemetry::install_log(&self.log, self.log_format)?;
        telemetry::install_metrics();
        Ok(())
    }
}

/// Why a process can't use its services: one line that says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The filter of logs can't be read.
    #[error(transparent)]
    Log(#[from] InvalidFilter),
    /// The log can't be opened.
    #[error("{error}{}", hint(.error))]
    Kafka {
        /// Why.
        error: OpenError,
    },
    /// The authorities of Redis can't be read.
    #[error("--redis-ca {}: {error}", path.display())]
    Authority {
        /// Where they should be.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Redis does not answer.
    #[error("redis at {at} does not answer: {error}; set --redis or PEAL_REDIS")]
    Redis {
        /// Where, without a password.
        at: String,
        /// Why.
        error: StoreError,
    },
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        Self::Kafka { error }
    }
}

fn hint(error: &OpenError) -> &'static str {
    match error {
        OpenError::Partitions { .. } => {
            "; they are fixed for life, because users would move. Leave --partitions away, or use another --prefix"
        }
        OpenError::Missing { .. } => "; `peal topics create` makes the topics, with the same --brokers and --prefix",
        OpenError::Property { .. } => "; see --kafka and PEAL_KAFKA",
        OpenError::Unavailable { .. } => "; set --brokers or PEAL_BROKERS, and see --kafka for TLS and passwords",
        OpenError::Damaged { .. } => "; nothing was changed",
    }
}

/// Opens the stores, waiting for services that are starting.
///
/// # Errors
/// [`Fault`].
pub async fn open(kafka: &KafkaArgs, redis: &RedisArgs) -> Result<Stores, Fault> {
    let log = open_log(kafka).await?;
    let authority = redis
        .redis_ca
        .as_ref()
        .map(|path| std::fs::read(path).map_err(|error| Fault::Authority { path: path.clone(), error }));
    let settings = redis::Settings {
        members: redis.members.clone(),
        authority: authority.transpose()?,
        ..redis::Settings::new(redis.redis.clone())
    };
    let at = address(&redis.redis);
    let connected =
        wait_for(&format!("redis at {at}"), async || redis::connect(settings.clone()).await, may_pass).await;
    let redis = connected.map_err(|error| Fault::Redis { at: at.clone(), error })?;
    let concerns = redis.check().await.map_err(|error| Fault::Redis { at, error })?;
    for concern in concerns {
        report(&concern);
    }
    Ok(redis.stores(log))
}

/// The changes of a table in a topic of another program's.
///
/// # Errors
/// [`Fault::Kafka`].
pub fn table(kafka: &KafkaArgs, topic: &str) -> Result<Arc<dyn Table>, Fault> {
    Ok(kafka::table(kafka.settings(), topic)?)
}

async fn open_log(kafka: &KafkaArgs) -> Result<Arc<dyn Log>, Fault> {
    let service = format!("kafka at {}", kafka.brokers);
    let opened = wait_for(
        &service,
        async || kafka::open(kafka.settings()).await,
        |error| matches!(error, OpenError::Unavailable { .. } | OpenError::Missing { .. }),
    );
    Ok(opened.await?)
}

fn may_pass(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. } | StoreError::Missing { .. })
}

fn report(concern: &Concern) {
    if concern.is_unsafe() {
        tracing::error!(%concern, "this redis is not safe to use as it is configured");
        metrics::gauge!("peal_redis_concerns").increment(1);
    } else {
        tracing::warn!(%concern, "this redis could be configured better");
    }
}

/// A URL without its password.
fn address(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None | Some(_), _) => url.to_owned(),
    }
}

/// Opens a service, again and again while it may be starting.
async fn wait_for<T, E: Display>(
    service: &str,
    mut open: impl AsyncFnMut() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut waited = Duration::ZERO;
    loop {
        match open().await {
            Err(error) if may_pass(&error) && waited < SERVICES_WAIT_MAX => {
                if waited.is_zero() {
                    remark(format!("waiting for {service}: {error}"));
                }
            }
            opened => return opened,
        }
        tokio::time::sleep(SERVICES_RETRY_INTERVAL).await;
        waited += SERVICES_RETRY_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        kafka: KafkaArgs,
        #[command(flatten)]
        redis: RedisArgs,
        #[command(flatten)]
        _log: LogArgs,
    }

    #[test]
    fn properties_are_given_again_or_by_line() {
        let flags = Flags::try_parse_from(["test", "--kafka", "a.b=c=d", "--kafka", "e=f\n\ng=h\n"]).unwrap();
        let given: Vec<_> = flags.kafka.settings().properties;
        let expected = [("a.b", "c=d"), ("e", "f"), ("g", "h")];
        assert_eq!(given, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let refused = Flags::try_parse_from(["test", "--kafka", "rubbish"]).unwrap_err().to_string();
        assert!(refused.contains("key=value"), "{refused}");
        let none = Flags::try_parse_from(["test", "--kafka", ""]).unwrap();
        assert_eq!(none.kafka.settings().properties, []);
    }

    #[test]
    fn a_pattern_of_members_without_a_place_for_the_community_is_refused() {
        let refused = Flags::try_parse_from(["test", "--members", "members"]).unwrap_err().to_string();
        assert!(refused.contains("<c>"), "{refused}");
        assert_eq!(Flags::try_parse_from(["test"]).unwrap().redis.members, MembersPattern::default());
    }

    #[test]
    fn a_password_is_not_told() {
        assert_eq!(address("redis://user:secret@host:1/2"), "redis://host:1/2");
        assert_eq!(address("redis://host"), "redis://host");
    }
}
