//! Why a client has no socket, or none any more: one variant a reaction.
//!
//! What the reaction is, is [`super::retry`]'s business.

use std::time::Duration;

use peal_proto::CloseCode;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use super::socket::NORMAL;
use crate::api::ApiError;

/// Why there is no socket, or none any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    /// The node closed it.
    #[error("closed with {code}: {reason}")]
    ByNode {
        /// With this code.
        code: u16,
        /// For this reason.
        reason: String,
    },
    /// The connection broke, or was never made.
    #[error("{why}")]
    Broken {
        /// How.
        why: String,
    },
    /// The node said what it must not.
    #[error("{why}")]
    Breach {
        /// What.
        why: String,
    },
    /// The user has another owner.
    #[error("{why}")]
    Elsewhere {
        /// Its URL.
        url: String,
        /// The words of the one that is not.
        why: String,
    },
    /// Not now.
    #[error("{why}")]
    Later {
        /// Not before this.
        asked: Duration,
        /// Why.
        why: String,
    },
    /// Not ever.
    #[error("{why}")]
    Final {
        /// Why.
        why: String,
    },
}

impl Closed {
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self::Broken { why: why.into() }
    }

    pub(super) fn breach(why: impl Into<String>) -> Self {
        Self::Breach { why: why.into() }
    }

    /// What it means that this came where a text was due.
    pub(super) fn instead_of_text(message: Option<Result<Message, tungstenite::Error>>) -> Self {
        match message {
            Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                Self::ByNode { code: code.into(), reason: reason.to_string() }
            }
            Some(Ok(Message::Close(None))) | None => Self::broken("the node closed the connection"),
            Some(Ok(_)) => Self::breach("frames of a node are texts"),
            Some(Err(error)) => error.into(),
        }
    }

    /// Whether there is nobody left to say goodbye to.
    pub(super) fn broke_off(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::ByNode { .. })
    }

    /// The code to say goodbye with.
    pub(super) fn farewell(&self) -> u16 {
        if matches!(self, Self::Breach { .. }) { CloseCode::ProtocolError.number() } else { NORMAL }
    }
}

impl From<tungstenite::Error> for Closed {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::Error::{Capacity, Io, Protocol, Utf8};
        let lost = matches!(error, Io(_) | Protocol(ProtocolError::ResetWithoutClosingHandshake));
        if lost {
            Self::broken("the connection was lost")
        } else if matches!(error, Protocol(_) | Capacity(_) | Utf8(_)) {
            Self::breach(format!("the node broke the protocol: {error}"))
        } else {
            Self::broken(error.to_string())
        }
    }
}

impl From<ApiError> for Closed {
    fn from(error: ApiError) -> Self {
        let why = error.to_string();
        match error {
            // Without the words about starting one: it was there before.
            ApiError::NotRunning { url, why } => Self::Broken { why: format!("no cluster answers at {url}, {why}") },
            ApiError::Problem(refusal) if refusal.is_final() => Self::Final { why },
            ApiError::Problem(refusal) => Self::Later { asked: refusal.retry_after.unwrap_or_default(), why },
            ApiError::Broken { .. } | ApiError::Foreign { .. } => Self::Broken { why },
        }
    }
}
