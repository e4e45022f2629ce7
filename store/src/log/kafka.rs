//! The log in Kafka.
//!
//! Appends go through one idempotent producer ([`ingest`]), slices through a transactional one a name, reads
//! through one consumer with partitions assigned by hand, commits through the groups' offsets with metadata. Owns how a log
//! is opened; the files below know librdkafka, and no other file does. Nothing here blocks a thread of the runtime.

mod asking;
mod client;
mod fault;
mod groups;
mod ingest;
mod lane;
mod limits;
mod member;
mod readers;
mod record;
mod slot;
mod stamp;
mod table;
mod topics;
mod words;
mod writer;

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use peal_proto::{Generation, Offset, Partition, Position, Topic};
use rdkafka::error::KafkaError;

pub use table::table;
pub use topics::{Storage, check_topics, create_topics};

use self::asking::Asking;
use self::client::{Clients, Place};
use self::groups::Groups;
use self::ingest::Ingest;
use self::member::KafkaMember;
use self::readers::Readers;
use self::stamp::Stamp;
use self::writer::KafkaWriter;
use super::{Commit, Log, Member, NewRecord, Reader, Source, Writer, check_partition};
use crate::StoreError;
use crate::limits::COMMIT_METADATA_BYTES_MAX;

/// How a log is reached.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Some of Kafka's brokers: `host:port,host:port`.
    pub brokers: String,
    /// Stands before every name of a topic, group and writer, so that several logs fit into one Kafka. Usually empty.
    pub prefix: String,
    /// P, the partitions of the notifications. When they are given, they have to be what the log was made with.
    pub partitions: Option<u32>,
    /// Properties of librdkafka, over the defaults here: `security.protocol`, `sasl.username`, `ssl.ca.location` and the like
    /// among them. TLS needs the feature `kafka-tls`.
    pub properties: Vec<(String, String)>,
}

/// Why a log can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log was made with another number of partitions, which can't be changed: users would move.
    #[error("{topic} has {stored} partitions, not {given}")]
    Partitions {
        /// The topic that says so.
        topic: String,
        /// What it was made with.
        stored: u32,
        /// What the settings say.
        given: u32,
    },
    /// The log was not made yet, or a topic was deleted: [`create_topics`] makes it.
    #[error("there is no topic {topic}, or nothing in it says what the log was made with")]
    Missing {
        /// The first topic that is missing.
        topic: String,
    },
    /// A property can't be set.
    #[error("{key} can't be set: {reason}")]
    Property {
        /// Its name.
        key: String,
        /// Why not.
        reason: String,
    },
    /// Kafka does not answer, or not as it should; it may later.
    #[error("kafka at {brokers} is not available: {reason}")]
    Unavailable {
        /// Where it was looked for.
        brokers: String,
        /// Why.
        reason: String,
    },
    /// What is stored can't be read; a person must look.
    #[error("{topic} is damaged: {reason}")]
    Damaged {
        /// The topic.
        topic: String,
        /// What.
        reason: String,
    },
}

impl Clients {
    fn unavailable(&self, reason: impl Display) -> OpenError {
        let reason = match self.words().last() {
            Some(said) => format!("{reason} ({said})"),
            None => reason.to_string(),
        };
        OpenError::Unavailable { brokers: self.settings().brokers.clone(), reason }
    }

    fn failed(&self, error: &KafkaError) -> OpenError {
        if let KafkaError::ClientConfig(_, reason, key, _) = error {
            return OpenError::Property { key: key.clone(), reason: reason.clone() };
        }
        self.unavailable(fault::words(error))
    }
}

/// Opens a log that was made before.
///
/// # Errors
/// [`OpenError`].
pub async fn open(settings: Settings) -> Result<Arc<dyn Log>, OpenError> {
    blocking_open(move || {
        let clients = Clients::new(settings)?;
        let asking = topics::ask(&clients)?;
        let stamp = topics::check(&clients, &asking)?;
        let clients = Arc::new(clients.of_log(stamp.partitions));
        let ingest = Ingest::new(Arc::clone(&clients)).map_err(|error| clients.failed(&error))?;
        let groups = Arc::new(Groups::new(Arc::clone(&clients)));
        let readers = Arc::new(Readers::new(Arc::clone(&clients)));
        let asking = Arc::new(Asking::new(Arc::clone(&clients), asking));
        let log: Arc<dyn Log> =
            Arc::new(KafkaLog { clients, stamp, asking, ingest: Arc::new(ingest), groups, readers });
        Ok(log)
    })
    .await
}

struct KafkaLog {
    clients: Arc<Clients>,
    stamp: Stamp,
    asking: Arc<Asking>,
    ingest: Arc<Ingest>,
    groups: Arc<Groups>,
    readers: Arc<Readers>,
}

#[async_trait]
impl Log for KafkaLog {
    fn generation(&self) -> Generation {
        self.stamp.generation
    }

    fn partitions(&self) -> u32 {
        self.stamp.partitions
    }

    async fn append(&self, topic: Topic, records: Vec<NewRecord>) -> Result<Vec<Offset>, StoreError> {
        check_records(topic, &records, self.stamp.partitions)?;
        self.ingest.append(topic, &records).await
    }

    async fn writer(&self, name: &str) -> Result<Box<dyn Writer>, StoreError> {
        let writer = KafkaWriter::open(Arc::clone(&self.clients), Arc::clone(&self.groups), name).await?;
        Ok(Box::new(writer))
    }

    async fn reader(&self, topic: Topic, partition: Partition, from: Position) -> Result<Box<dyn Reader>, StoreError> {
        check(topic, partition, self.stamp.partitions)?;
        let readers = Arc::clone(&self.readers);
        let reader = blocking(move || readers.open(Place { topic, partition }, from)).await?;
        Ok(Box::new(reader))
    }

    async fn join(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Member>, StoreError> {
        let clients = Arc::clone(&self.clients);
        let member = blocking(move || KafkaMember::join(&clients, group, clients.topic(topic))).await?;
        Ok(Box::new(member))
    }

    async fn commit(&self, source: Source, commit: Commit) -> Result<(), StoreError> {
        check(source.topic, source.partition, self.stamp.partitions)?;
        check_commit(&commit)?;
        self.groups.commit(source, commit).await
    }

    async fn committed(&self, source: Source) -> Result<Option<Commit>, StoreError> {
        check(source.topic, source.partition, self.stamp.partitions)?;
        self.groups.committed(source).await
    }

    /// The last stable offset: what a reader may see lies before it, transaction markers too.
    async fn end(&self, topic: Topic, partition: Partition) -> Result<Position, StoreError> {
        check(topic, partition, self.stamp.partitions)?;
        let asking = Arc::clone(&self.asking);
        blocking(move || asking.end(Place { topic, partition })).await
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        dismiss(Arc::clone(&self.ingest));
    }
}

/// Lets go of a client on a thread of its own: librdkafka says good-bye to Kafka first, and waits for it.
fn dismiss<T: Send + 'static>(client: T) {
    let thread = std::thread::Builder::new().name("peal-closing".to_owned());
    drop(thread.spawn(move || drop(client))); // when there is no thread to be had, it is dropped here
}

fn check(topic: Topic, partition: Partition, of: u32) -> Result<(), StoreError> {
    check_partition(topic, partition, of).map_err(fault::unavailable)
}

fn check_records(topic: Topic, records: &[NewRecord], of: u32) -> Result<(), StoreError> {
    records.iter().try_for_each(|record| check(topic, record.partition, of))
}

fn check_commit(commit: &Commit) -> Result<(), StoreError> {
    let bytes = commit.metadata.len();
    if bytes <= COMMIT_METADATA_BYTES_MAX {
        return Ok(());
    }
    Err(fault::unavailable(format!("a commit has at most {COMMIT_METADATA_BYTES_MAX} bytes of metadata, not {bytes}")))
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| Err(fault::unavailable(error)))
}

async fn blocking_open<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let stopped = |error| OpenError::Unavailable { brokers: String::new(), reason: format!("{error}") };
    tokio::task::spawn_blocking(call).await.map_err(stopped)?
}
