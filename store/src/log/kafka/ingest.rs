//! Appends: one idempotent producer for all callers, and a ticket a call that its records share.
//!
//! librdkafka batches what comes from all callers; the answer to a call is given when Kafka has answered for the last of
//! its records. No future and no channel a record.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use peal_proto::{Offset, Topic};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use tokio::sync::oneshot;

use super::client::Clients;
use super::limits::DELIVERIES_SPAN;
use super::{fault, record, words};
use crate::StoreError;
use crate::log::NewRecord;

type Answer = Result<Vec<Offset>, String>;

/// What the records of one call share. When the last of them lets go of it, the call is answered.
struct Ticket {
    offsets: Vec<AtomicU64>,
    failure: OnceLock<String>,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let answer = match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(self.offsets.iter_mut().map(|offset| Offset::new(*offset.get_mut())).collect()),
        };
        if let Some(caller) = self.answer.take() {
            drop(caller.send(answer)); // a caller that went away wants none
        }
    }
}

/// One record's part of a ticket.
struct Stub {
    ticket: Arc<Ticket>,
    number: usize,
}

/// Hears what becomes of records.
struct Deliveries {
    /// A record was given up, and none has arrived since.
    stuck: Arc<AtomicBool>,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        words::of_error(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        words::of_log(level, facility, line);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Stub>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, stub: Box<Stub>) {
        match delivery {
            Ok(message) => {
                let offset = u64::try_from(message.offset()).unwrap_or_default(); // never negative
                stub.ticket.offsets[stub.number].store(offset, Ordering::Relaxed);
                self.stuck.store(false, Ordering::Relaxed);
            }
            Err((error, _)) => {
                let given_up = error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut);
                self.stuck.fetch_or(given_up, Ordering::Relaxed);
                drop(stub.ticket.failure.set(fault::words(error))); // the first one is told
            }
        }
    }
}

/// A producer with the thread that takes what Kafka answers. rdkafka has such a thread too, whose wait ends ten times a second
/// in a millisecond of spinning: a hundredth of a core, for nothing.
struct Ours {
    producer: Arc<BaseProducer<Deliveries>>,
    stuck: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
}

impl Ours {
    fn start(config: &ClientConfig) -> KafkaResult<Self> {
        let stuck = Arc::<AtomicBool>::default();
        let producer = Arc::new(config.create_with_context(Deliveries { stuck: Arc::clone(&stuck) })?);
        let ours = Self { producer, stuck, closing: Arc::default() };
        let (producer, closing) = (Arc::clone(&ours.producer), Arc::clone(&ours.closing));
        let taking = move || {
            while !closing.load(Ordering::Relaxed) || producer.in_flight_count() > 0 {
                producer.poll(DELIVERIES_SPAN);
            }
        };
        let no_thread = |error: std::io::Error| KafkaError::ClientCreation(error.to_string());
        std::thread::Builder::new().name("peal-ingest".to_owned()).spawn(taking).map_err(no_thread)?;
        Ok(ours)
    }
}

impl Drop for Ours {
    /// The thread lets go of the producer once everything that it was given is answered, and nobody waits for it.
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

/// The producer of appends.
pub(super) struct Ingest {
    clients: Arc<Clients>,
    producer: RwLock<Arc<Ours>>,
}

impl Ingest {
    pub(super) fn new(clients: Arc<Clients>) -> KafkaResult<Self> {
        let producer = RwLock::new(Arc::new(make(&clients)?));
        Ok(Self { clients, producer })
    }

    pub(super) async fn append(&self, topic: Topic, records: &[NewRecord]) -> Result<Vec<Offset>, StoreError> {
        let answer = self.enqueue(topic, records)?.await;
        let unanswered = |_| fault::unavailable("the producer was closed");
        answer.map_err(unanswered)?.map_err(fault::unavailable)
    }

    fn enqueue(&self, topic: Topic, records: &[NewRecord]) -> Result<oneshot::Receiver<Answer>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let offsets = records.iter().map(|_| AtomicU64::default()).collect();
        let ticket = Arc::new(Ticket { offsets, failure: OnceLock::new(), answer: Some(answer) });
        let ours = self.ours();
        let topic = self.clients.topic(topic);
        for (number, new) in records.iter().enumerate() {
            let stub = Box::new(Stub { ticket: Arc::clone(&ticket), number });
            let key = new.key.to_string();
            if let Err((error, _)) = ours.producer.send(record::encode(topic, &key, new, stub)) {
                return Err(self.refused(&ours, &error));
            }
        }
        Ok(answered)
    }

    /// The producer; another one when it has given a record up and none has arrived since. Librdkafka's may never deliver
    /// again once Kafka has fenced its broker for a moment, and a new one costs little while Kafka is away.
    fn ours(&self) -> Arc<Ours> {
        let ours = self.producer.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !ours.stuck.load(Ordering::Relaxed) {
            return ours;
        }
        self.replace(&ours, "it has given a record up");
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refused(&self, ours: &Arc<Ours>, error: &KafkaError) -> StoreError {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            let why = ours.producer.client().fatal_error().map(|(_, why)| why);
            self.replace(ours, why.as_deref().unwrap_or("a fatal error"));
        }
        fault::unavailable(fault::words(error))
    }

    /// A producer that lost count of what Kafka has of it is of no more use; what it had, it still answers.
    fn replace(&self, broken: &Arc<Ours>, why: &str) {
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&producer, broken) {
            return; // another call did
        }
        tracing::warn!(why, "the producer is replaced");
        match make(&self.clients) {
            Ok(new) => *producer = Arc::new(new),
            Err(error) => tracing::error!(%error, "there is no other producer"),
        }
    }
}

fn make(clients: &Clients) -> KafkaResult<Ours> {
    Ours::start(&clients.ingest())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use peal_proto::Partition;

    use super::*;
    use crate::log::Headers;
    use crate::log::kafka::Settings;

    #[tokio::test]
    async fn a_producer_that_gave_a_record_up_is_replaced_for_the_next_and_answers_for_its_own() {
        // Nobody listens on the port of «discard».
        let properties = vec![("message.timeout.ms".to_owned(), "300".to_owned())];
        let settings = Settings { brokers: "127.0.0.1:9".to_owned(), properties, ..Settings::default() };
        let ingest = Ingest::new(Arc::new(Clients::new(settings).unwrap())).unwrap();
        let record =
            NewRecord { partition: Partition::new(0), key: 7, headers: Headers::default(), value: Bytes::new() };
        let first = ingest.ours();
        let waiting = ingest.enqueue(Topic::Events, std::slice::from_ref(&record)).unwrap();
        assert!(Arc::ptr_eq(&first, &ingest.ours()));
        assert!(waiting.await.unwrap().is_err());
        let another = ingest.ours();
        assert!(!Arc::ptr_eq(&first, &another), "a stuck producer is asked again");
        let waiting = ingest.enqueue(Topic::Events, &[record]).unwrap();
        ingest.replace(&another, "the test says so");
        drop(another);
        assert!(waiting.await.unwrap().is_err(), "what a replaced producer had is never answered");
    }
}
