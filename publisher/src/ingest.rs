//! Takes events in: into the events log first, durable, and only then answered.
//!
//! Owns what is in flight: bounded in requests and bytes, so that a log that is away costs a bounded memory and an honest
//! refusal. What happens to an event behind the log is the fan-out's business.

mod seat;

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::try_join_all;
use peal_proto::shard::partition_of;
use peal_proto::{Event, EventId, ProblemKind, Topic};
use peal_serve::{Clock, Failure};
use peal_store::log::{Headers, NewRecord};
use peal_store::{StoreError, Stores};
use tokio_util::task::TaskTracker;

pub(crate) use self::seat::{Seat, Seats};
use crate::config::Settings;
use crate::limits::{APPEND_TIMEOUT, BATCHES_INFLIGHT_MAX, INFLIGHT_RETRY_AFTER, STATUS_TIMEOUT};
use crate::status;
use crate::within::within;

/// What became of one event of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is durable.
    Accepted,
    /// It was accepted before.
    Duplicate,
    /// It may be durable or not, for this reason.
    Unknown(String),
}

/// What is known of an event before it is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing.
    Not,
    /// It was accepted.
    Accepted,
    /// It stands before among the same events, of which nothing is known.
    Repeated,
}

/// The way into the events log.
pub(crate) struct Ingest {
    stores: Stores,
    clock: Clock,
    seats: Seats,
    batch_seats: Seats,
    appends: TaskTracker,
}

impl Ingest {
    pub(crate) fn new(stores: Stores, clock: Clock, settings: &Settings) -> Self {
        let seats = Seats::new(settings.inflight_requests_max, settings.inflight_bytes_max);
        let batch_seats = seats.beside(BATCHES_INFLIGHT_MAX);
        Self { stores, clock, seats, batch_seats, appends: TaskTracker::new() }
    }

    /// A seat for one event whose body has so many bytes, if there is one left. So bodies are bounded before they are read.
    pub(crate) fn seat(&self, body_bytes: usize) -> Result<Seat, Failure> {
        let mut seat = self.seats.take().ok_or_else(|| busy("requests"))?;
        seat.weigh(body_bytes).ok_or_else(|| busy("bytes"))?;
        Ok(seat)
    }

    /// A seat for a batch, if there is one left.
    pub(crate) fn batch_seat(&self) -> Result<Seat, Failure> {
        self.batch_seats.take().ok_or_else(|| busy("batches"))
    }

    /// An id for an event whose poster gave none; ids given later sort later, within a millisecond in any order.
    pub(crate) fn event_id(&self) -> Result<EventId, Failure> {
        let millis = self.clock.now().millis();
        let nanos = u32::try_from(millis % 1_000 * 1_000_000).unwrap_or_default(); // below a billion
        let uuid = uuid::Uuid::new_v7(uuid::Timestamp::from_unix_time(millis / 1_000, nanos, 0, 0));
        uuid.to_string().parse().map_err(|_| Failure::new(ProblemKind::Internal, "an event id could not be made"))
    }

    /// Appends the event; it is durable once this returns its id. Goes on when the poster does not wait for it.
    pub(crate) async fn accept(&self, mut seat: Seat, event: Event) -> Result<EventId, Failure> {
        let id = event.event.clone();
        let value = serde_json::to_vec(&event).map_err(|error| {
            tracing::error!(%error, "an event could not be written as JSON");
            Failure::new(ProblemKind::Internal, "the event could not be written")
        })?;
        seat.weigh(value.len()).ok_or_else(|| busy("bytes"))?;
        let appended = self.append(vec![(event, value.into())], seat).await;
        appended.map_err(|error| not_known(&id, error)).map(|()| id)
    }

    /// Appends those of the events that were not accepted before, once there is room for their bytes; what became of each, in
    /// order. Goes on when the poster does not wait for it.
    pub(crate) async fn accept_all(&self, seat: &Seat, events: Vec<Event>, bytes: usize) -> Vec<Taken> {
        let known = self.look_up(&events).await;
        let appended = self.append_new(seat, events, &known, bytes).await;
        let taken = |known| match (known, &appended) {
            (Known::Not, Ok(())) => Taken::Accepted,
            (Known::Accepted, _) | (Known::Repeated, Ok(())) => Taken::Duplicate,
            (Known::Not | Known::Repeated, Err(reason)) => Taken::Unknown(reason.clone()),
        };
        known.into_iter().map(taken).collect()
    }

    /// Appends those of which nothing is known; the reason why it is not known whether they are there.
    async fn append_new(&self, seat: &Seat, events: Vec<Event>, known: &[Known], bytes: usize) -> Result<(), String> {
        let mut new = Vec::with_capacity(events.len());
        for (event, _) in events.into_iter().zip(known).filter(|(_, known)| **known == Known::Not) {
            let value = serde_json::to_vec(&event).map_err(|error| error.to_string())?; // a parsed event can be written
            new.push((event, Bytes::from(value)));
        }
        if new.is_empty() {
            return Ok(());
        }
        let weight = seat.weight(bytes).await;
        self.append(new, weight).await.map_err(|error| {
            metrics::counter!("peal_events_not_known_total").increment(1);
            error.to_string()
        })
    }

    /// Appends in a task of its own, which goes on when nobody waits for it; `in_flight` is held until the log has answered.
    async fn append(&self, events: Vec<(Event, Bytes)>, in_flight: impl Send + 'static) -> Result<(), StoreError> {
        let stores = self.stores.clone();
        let append = self.appends.spawn(async move {
            let appended = append(&stores, events).await;
            drop(in_flight);
            appended
        });
        let unavailable = |reason: String| StoreError::Unavailable { store: "log", reason };
        match tokio::time::timeout(APPEND_TIMEOUT, append).await {
            Ok(Ok(appended)) => appended,
            Ok(Err(_)) => Err(unavailable("the append ended early".to_owned())), // it panicked
            Err(_) => Err(unavailable(format!("no answer in {} s", APPEND_TIMEOUT.as_secs()))),
        }
    }

    /// What is known of the events. A store that does not answer keeps nothing out: the fan-out tells an event once, however
    /// often it is in the log.
    async fn look_up(&self, events: &[Event]) -> Vec<Known> {
        let statuses = &self.stores.statuses;
        let known = try_join_all(events.iter().map(|event| statuses.get(&event.event)));
        let known = within(STATUS_TIMEOUT, "store of statuses", known).await;
        let statuses = known.unwrap_or_else(|_| vec![None; events.len()]);
        let mut ids = HashSet::with_capacity(events.len());
        let known = events.iter().zip(statuses).map(|(event, status)| {
            if status.is_some() {
                Known::Accepted
            } else if ids.insert(&event.event) {
                Known::Not
            } else {
                Known::Repeated
            }
        });
        known.collect()
    }

    /// Waits until everything in flight is in the log, or its posters were told that it is not known.
    pub(crate) async fn finish(&self) {
        self.appends.close();
        if tokio::time::timeout(APPEND_TIMEOUT, self.appends.wait()).await.is_err() {
            tracing::warn!(events = self.appends.len(), "events in flight were left to the log");
        }
    }
}

async fn append(stores: &Stores, events: Vec<(Event, Bytes)>) -> Result<(), StoreError> {
    let partitions = Topic::Events.partitions(stores.log.partitions());
    let record = |(event, value): &(Event, Bytes)| {
        let key = event.audience.key();
        NewRecord { partition: partition_of(key, partitions), key, headers: Headers::default(), value: value.clone() }
    };
    stores.log.append(Topic::Events, events.iter().map(record).collect()).await?;
    for (event, _) in &events {
        let kind = if event.join.is_some() { "join" } else { "event" };
        metrics::counter!("peal_events_accepted_total", "kind" => kind).increment(1);
    }
    // An event is accepted whether its status is said or not; the fan-out says the next one.
    let said = try_join_all(events.iter().map(|(event, _)| stores.statuses.accept(status::accepted(event))));
    if within(STATUS_TIMEOUT, "store of statuses", said).await.is_err() {
        metrics::counter!("peal_statuses_unsaid_total").increment(events.len() as u64);
    }
    Ok(())
}

/// Too much is in flight.
pub(crate) fn busy(what: &'static str) -> Failure {
    metrics::counter!("peal_inflight_refused_total", "what" => what).increment(1);
    let detail = format!("too many {what} are in flight; nothing was stored, try again later");
    Failure::unavailable(detail, INFLIGHT_RETRY_AFTER)
}

/// An error of the log, told so that a repeat is harmless.
fn not_known(id: &EventId, error: StoreError) -> Failure {
    metrics::counter!("peal_events_not_known_total").increment(1);
    let mut failure = Failure::from(error);
    let how = format!(
        r#"; it is not known whether the event was stored. Repeat it with "event":"{id}", and it is told once"#
    );
    failure.problem.detail.push_str(&how);
    failure
}
