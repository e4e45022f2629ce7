//! How clients of Kafka are made: names, defaults, and what nobody may override.
//!
//! Owns every librdkafka property that is set. What a client is used for is the business of the file that asks for it.

use std::time::Duration;

use peal_proto::limits::PARTITIONS_DEFAULT;
use peal_proto::{Partition, Topic};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;
use rdkafka::producer::BaseProducer;

use super::limits::{
    APPEND_TIME_MAX, ASK_TIME_MAX, FETCH_ALL_BYTES, FETCH_BYTES, FETCH_WAIT_MS, FETCHED_KIB_MAX, LINGER_MS,
    MEMBER_HEARTBEAT, MEMBER_SILENCE_MAX, METADATA_AGE_MAX, QUEUE_KIB_MAX, QUEUE_RECORDS_MAX, SLICE_RETRY_MS,
    SLICE_TIME_MAX,
};
use super::words::Words;
use super::{OpenError, Settings};

/// A partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: Topic,
    pub(super) partition: Partition,
}

/// The properties that the promises of the log rest on; each has one right value.
const FIXED: [&str; 12] = [
    "bootstrap.servers",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "transactional.id",
    "isolation.level",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.commit.enable",
    "auto.offset.reset",
    "group.id",
    "enable.partition.eof",
];

/// Makes clients.
pub(super) struct Clients {
    settings: Settings,
    /// What the log was made with, or will be.
    partitions: u32,
    words: Words,
    /// In the order of [`Topic::ALL`].
    topics: [String; Topic::ALL.len()],
}

impl Clients {
    pub(super) fn new(settings: Settings) -> Result<Self, OpenError> {
        if let Some((key, _)) = settings.properties.iter().find(|(key, _)| FIXED.contains(&key.as_str())) {
            let reason = "what the log promises rests on its value".to_owned();
            return Err(OpenError::Property { key: key.clone(), reason });
        }
        let topics = Topic::ALL.map(|topic| format!("{}{}", settings.prefix, topic.name()));
        let partitions = settings.partitions.unwrap_or(PARTITIONS_DEFAULT);
        Ok(Self { settings, partitions, words: Words::default(), topics })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Clients of a log that was made with so many partitions.
    pub(super) fn of_log(self, partitions: u32) -> Self {
        Self { partitions, ..self }
    }

    /// P, the partitions of the notifications.
    pub(super) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The name of a topic in Kafka.
    pub(super) fn topic(&self, topic: Topic) -> &str {
        &self.topics[topic as usize]
    }

    /// The topic of a name in Kafka.
    pub(super) fn topic_of(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.topic(*topic) == name)
    }

    /// Any other name in Kafka: of a group, a writer, a topic.
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.settings.prefix)
    }

    /// What its clients say.
    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// For the administration of topics.
    pub(super) fn plain(&self) -> ClientConfig {
        self.config([], [])
    }

    /// Asks about topics and reads the few records of the stamp, whose end it is told.
    pub(super) fn asking(&self) -> KafkaResult<BaseConsumer<Words>> {
        let mut config = self.config([("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())], reading());
        config
            .set("enable.partition.eof", "true")
            .set("group.id", self.name("peal.stamp"))
            .create_with_context(self.words.clone())
    }

    /// Reads partitions, or commits for a group; which, is up to the caller.
    pub(super) fn consumer(&self, group: &str) -> KafkaResult<BaseConsumer<Words>> {
        let defaults = [
            ("queued.max.messages.kbytes", FETCHED_KIB_MAX.to_string()),
            ("fetch.message.max.bytes", FETCH_BYTES.to_string()),
            ("fetch.wait.max.ms", FETCH_WAIT_MS.to_string()),
            ("fetch.max.bytes", FETCH_ALL_BYTES.to_string()),
            ("fetch.queue.backoff.ms", "20".to_owned()), // a second, the default, is long after a queue was briefly full
            ("socket.timeout.ms", ASK_TIME_MAX.as_millis().to_string()),
        ];
        self.config(defaults, reading()).set("group.id", self.name(group)).create_with_context(self.words.clone())
    }

    /// A consumer that shares a topic with others. Who is gone is noticed by its silence, as soon as Kafka's brokers allow by
    /// default. Kafka lets nobody but its members commit for a group that has some, so they have one of their own.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let defaults = [
            ("session.timeout.ms", MEMBER_SILENCE_MAX.as_millis().to_string()),
            ("heartbeat.interval.ms", MEMBER_HEARTBEAT.as_millis().to_string()),
        ];
        let mut config = self.config(defaults, reading());
        config.set("group.id", format!("{}.members", self.name(group))).set("partition.assignment.strategy", "range");
        config
    }

    /// The producer of appends.
    pub(super) fn ingest(&self) -> ClientConfig {
        let fixed = [("enable.idempotence", "true".to_owned()), ("acks", "all".to_owned())];
        self.config(producing(APPEND_TIME_MAX), fixed)
    }

    /// The producer of slices. Opening another of the same name fences it.
    pub(super) fn transactional(&self, name: &str) -> KafkaResult<BaseProducer<Words>> {
        let mut defaults = producing(SLICE_TIME_MAX).to_vec();
        defaults.push(("transaction.timeout.ms", SLICE_TIME_MAX.as_millis().to_string()));
        defaults.push(("retry.backoff.ms", SLICE_RETRY_MS.to_string()));
        // That a transaction is committed says that all of its records are there.
        defaults.push(("delivery.report.only.error", "true".to_owned()));
        self.config(defaults, [("transactional.id", self.name(name)), ("acks", "all".to_owned())])
            .create_with_context(self.words.clone())
    }

    /// Defaults, then what the settings say, then what has to be.
    fn config<'a>(
        &self,
        defaults: impl IntoIterator<Item = (&'a str, String)>,
        fixed: impl IntoIterator<Item = (&'a str, String)>,
    ) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning); // whatever is made of it, [`Words`] is to hear it
        config.set("client.id", "peal");
        // A client that saw a partition without a leader for a moment may look again no sooner than this, 5 minutes by default.
        config.set("topic.metadata.refresh.interval.ms", METADATA_AGE_MAX.as_millis().to_string());
        for (key, value) in defaults {
            config.set(key, value);
        }
        for (key, value) in &self.settings.properties {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.settings.brokers);
        for (key, value) in fixed {
            config.set(key, value);
        }
        config
    }
}

/// Only what is committed is read, from where the caller says, and nothing is committed but by the caller.
fn reading() -> [(&'static str, String); 4] {
    [
        ("isolation.level", "read_committed"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "earliest"), // behind retention; a reader refuses what lies before its position
    ]
    .map(|(key, value)| (key, value.to_owned()))
}

fn producing(time_max: Duration) -> [(&'static str, String); 6] {
    [
        // Else as long as a slice may take: an answer that never comes could not be asked for again.
        ("socket.timeout.ms", ASK_TIME_MAX.as_millis().to_string()),
        ("compression.codec", "lz4".to_owned()),
        ("linger.ms", LINGER_MS.to_string()),
        ("message.timeout.ms", time_max.as_millis().to_string()),
        ("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string()),
        ("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string()),
    ]
}
