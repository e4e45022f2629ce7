//! The topics of a log: made with the partitions that P gives each, and checked before they are used.

use std::sync::Arc;
use std::time::Duration;

use peal_proto::{Generation, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::client::Clients;
use super::limits::{ASK_TIME_MAX, SEEN_PAUSE};
use super::stamp::{STAMP, Stamp};
use super::words::Words;
use super::writer::Transactions;
use super::{OpenError, Settings, blocking_open, dismiss};
use crate::clock;

/// How Kafka keeps the log.
#[derive(Debug, Clone, Copy)]
pub struct Storage {
    /// Brokers that keep a record; `None` leaves it to the cluster's default. With three or more, all but one have to have a
    /// record before it is answered.
    pub copies: Option<u16>,
    /// How long a record is kept; longer than the inbox keeps it, so that an inbox can be made again from the log.
    pub log_age_max: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        Self { copies: None, log_age_max: Duration::from_secs(8 * 24 * 3600) }
    }
}

/// Makes the topics that are missing and stamps the log; what is there already is checked and left as it is. A log some of
/// whose topics had to be made again gets another generation, unless it is that of those who are away: no cursor is about it.
///
/// # Errors
/// [`OpenError`].
pub async fn create_topics(settings: Settings, storage: Storage) -> Result<(u32, Generation), OpenError> {
    let clients = Arc::new(Clients::new(settings)?);
    let admin: AdminClient<Words> =
        clients.plain().create_with_context(clients.words().clone()).map_err(|error| clients.failed(&error))?;
    let own = Arc::clone(&clients);
    blocking_open(move || partitions(&own, &ask(&own)?, &own.name(STAMP))).await?; // whether Kafka is there, and if not, why
    create(&clients, &admin, vec![stamp_topic(&clients.name(STAMP), storage)]).await?;
    let own = Arc::clone(&clients);
    let stamped = move || {
        let consumer = ask(&own)?;
        let stamped = stamp(&own, &consumer);
        dismiss(consumer);
        stamped
    };
    let (stamp, missing) = blocking_open(stamped).await?;
    let age = storage.log_age_max.as_millis().to_string();
    let new =
        |topic| new_topic(clients.topic(topic), topic.partitions(stamp.partitions), storage).set("retention.ms", &age);
    if !missing.is_empty() {
        create(&clients, &admin, missing.into_iter().map(new).collect()).await?;
    }
    until_seen(clients.settings()).await
}

/// Checks the topics once every broker knows of them: what was made is made, but they hear of it one after the other.
async fn until_seen(settings: &Settings) -> Result<(u32, Generation), OpenError> {
    let mut waited = Duration::ZERO;
    loop {
        match check_topics(settings.clone()).await {
            Err(OpenError::Missing { .. }) if waited < ASK_TIME_MAX => {}
            checked => return checked,
        }
        tokio::time::sleep(SEEN_PAUSE).await;
        waited += SEEN_PAUSE;
    }
}

/// Whether the topics are there with the right partitions; how many these are, and which generation the log is.
///
/// # Errors
/// [`OpenError`].
pub async fn check_topics(settings: Settings) -> Result<(u32, Generation), OpenError> {
    let clients = Clients::new(settings)?;
    let checked = move || {
        let consumer = ask(&clients)?;
        let checked = check(&clients, &consumer);
        dismiss(consumer);
        let Stamp { partitions, generation } = checked?;
        Ok((partitions, generation))
    };
    blocking_open(checked).await
}

/// What the log is stamped with, once everything agrees. Blocks.
pub(super) fn check(clients: &Clients, consumer: &BaseConsumer<Words>) -> Result<Stamp, OpenError> {
    let missing = |topic: &str| OpenError::Missing { topic: topic.to_owned() };
    let name = clients.name(STAMP);
    if partitions(clients, consumer, &name)?.is_none() {
        return Err(missing(&name));
    }
    let stamp = Stamp::read(clients, consumer)?.ok_or_else(|| missing(&name))?;
    match_given(clients, stamp)?;
    match missing_topics(clients, consumer, stamp.partitions)?.first() {
        Some(topic) => Err(missing(clients.topic(*topic))),
        None => Ok(stamp),
    }
}

/// A consumer that asks.
pub(super) fn ask(clients: &Clients) -> Result<BaseConsumer<Words>, OpenError> {
    clients.asking().map_err(|error| clients.failed(&error))
}

/// Stamps the log if it has no stamp or is about to be made again; answers what is to be made.
fn stamp(clients: &Clients, consumer: &BaseConsumer<Words>) -> Result<(Stamp, Vec<Topic>), OpenError> {
    let mut writer = Transactions::open(clients, STAMP.to_owned()).map_err(|error| clients.unavailable(error))?;
    let stored = Stamp::read(clients, consumer)?;
    if let Some(stored) = stored {
        match_given(clients, stored)?;
    }
    let partitions = stored.map_or(clients.partitions(), |stored| stored.partitions);
    let missing = missing_topics(clients, consumer, partitions)?;
    match stored {
        Some(stored) if missing.iter().all(|topic| *topic == Topic::Offline) => Ok((stored, missing)),
        _ => {
            // Before the topics: were it after, a crash between the two would leave new topics with an old generation.
            let stamp = Stamp::new(partitions, stored, clock::now());
            stamp.write(clients, &mut writer)?;
            Ok((stamp, missing))
        }
    }
}

fn missing_topics(clients: &Clients, consumer: &BaseConsumer<Words>, of: u32) -> Result<Vec<Topic>, OpenError> {
    let mut missing = Vec::new();
    for topic in Topic::ALL {
        let (name, expected) = (clients.topic(topic), topic.partitions(of));
        match partitions(clients, consumer, name)? {
            None => missing.push(topic),
            Some(stored) if stored == expected => {}
            Some(stored) => {
                return Err(OpenError::Partitions { topic: name.to_owned(), stored, given: expected });
            }
        }
    }
    Ok(missing)
}

/// Whether the stamp says what the settings say, if they say anything.
fn match_given(clients: &Clients, Stamp { partitions: stored, .. }: Stamp) -> Result<(), OpenError> {
    match clients.settings().partitions {
        Some(given) if given != stored => Err(OpenError::Partitions { topic: clients.name(STAMP), stored, given }),
        Some(_) | None => Ok(()),
    }
}

/// How many partitions a topic has; `None` when there is no such topic.
fn partitions(clients: &Clients, consumer: &BaseConsumer<Words>, topic: &str) -> Result<Option<u32>, OpenError> {
    let metadata = consumer.fetch_metadata(Some(topic), ASK_TIME_MAX).map_err(|error| {
        while consumer.poll(Duration::ZERO).is_some() {} // so that its words are heard
        clients.failed(&error)
    })?;
    let Some(found) = metadata.topics().first() else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(u32::try_from(found.partitions().len()).ok()),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(other) => Err(clients.unavailable(format!("{topic}: {other}"))),
    }
}

fn stamp_topic(name: &str, storage: Storage) -> NewTopic<'_> {
    new_topic(name, 1, storage).set("cleanup.policy", "compact")
}

fn new_topic(name: &str, partitions: u32, storage: Storage) -> NewTopic<'_> {
    let copies = storage.copies.map_or(-1, i32::from); // -1 is the cluster's default
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
    match copies {
        ..3 => topic,
        3 => topic.set("min.insync.replicas", "2"),
        4.. => topic.set("min.insync.replicas", "3"),
    }
}

async fn create(clients: &Clients, admin: &AdminClient<Words>, topics: Vec<NewTopic<'_>>) -> Result<(), OpenError> {
    let options = AdminOptions::new().operation_timeout(Some(ASK_TIME_MAX)).request_timeout(Some(ASK_TIME_MAX));
    let created: KafkaResult<_> = admin.create_topics(&topics, &options).await;
    for result in created.map_err(|error| clients.failed(&error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(clients.unavailable(format!("{name} can't be made: {code}"))),
        }
    }
    Ok(())
}
