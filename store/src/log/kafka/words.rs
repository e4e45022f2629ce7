//! What librdkafka says by itself, as logs of ours.
//!
//! It says a lost connection again at every try, for each client; those who call the log are told what came of it, once. So
//! these are for whoever looks closer. The last one is kept: it is why a log can't be opened, as with a wrong password.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use super::fault;

/// The context of clients that tell nothing but words.
#[derive(Clone, Default)]
pub(super) struct Words {
    last: Arc<Mutex<Option<String>>>,
}

impl Words {
    /// What was last wrong with a connection.
    pub(super) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An error that is of a client, and of no call.
pub(super) fn of_error(error: &KafkaError, reason: &str) {
    let code = error.rdkafka_error_code();
    if matches!(error, KafkaError::PartitionEOF(_)) || code == Some(Code::PartitionEOF) {
        return; // asked for
    }
    if code == Some(Code::AllBrokersDown) {
        tracing::warn!(reason, "no broker of kafka can be reached");
    } else if fault::passes_by_itself(error) {
        tracing::debug!(%error, reason, "librdkafka copes with an error");
    } else {
        tracing::warn!(%error, reason, "librdkafka tells an error");
    }
}

/// A line of librdkafka's own log.
pub(super) fn of_log(level: Level, facility: &str, line: &str) {
    let is_connection = ["FAIL", "ERROR"].contains(&facility); // which `of_error` tells
    let is_grave = match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => true,
        Level::Notice | Level::Info | Level::Debug => false,
    };
    if is_grave && !is_connection {
        tracing::warn!(facility, line, "librdkafka");
    } else {
        tracing::debug!(facility, line, "librdkafka");
    }
}

impl ClientContext for Words {
    fn error(&self, error: KafkaError, reason: &str) {
        of_error(&error, reason);
    }

    fn log(&self, level: Level, facility: &str, line: &str) {
        of_log(level, facility, line);
        if facility == "FAIL" {
            // `[thrd:…]: host:port/bootstrap: Connect to … failed: Connection refused (after 0ms in state CONNECT)`
            let told = line.split_once("]: ").map_or(line, |(_, told)| told).to_owned();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
    }
}

impl ConsumerContext for Words {}

impl ProducerContext for Words {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
