//! What Kafka's errors mean to those who call the log: one [`StoreError`] a reaction.

use std::fmt::Display;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::StoreError;

const STORE: &str = "log";

/// Not now.
pub(super) fn unavailable(reason: impl Display) -> StoreError {
    StoreError::Unavailable { store: STORE, reason: reason.to_string() }
}

/// A person must look.
pub(super) fn damaged(reason: impl Display) -> StoreError {
    StoreError::Damaged { store: STORE, reason: reason.to_string() }
}

/// Whether Kafka has given the place of this writer to a newer one.
pub(super) fn is_fenced(code: Code) -> bool {
    [Code::Fenced, Code::ProducerFenced, Code::InvalidProducerEpoch].contains(&code)
}

/// Whether a consumer copes with an error by itself: connections come back, leaders are found.
pub(super) fn passes_by_itself(error: &KafkaError) -> bool {
    let passing = [
        Code::AllBrokersDown,
        Code::BrokerTransportFailure,
        Code::OperationTimedOut,
        Code::Resolve,
        Code::WaitingForCoordinator,
    ];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}

/// Kafka's own words, without the crate's around them.
pub(super) fn words(error: &KafkaError) -> String {
    if let KafkaError::Transaction(error) = error {
        return error.string();
    }
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}
