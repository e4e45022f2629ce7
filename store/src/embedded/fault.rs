//! What goes wrong inside the embedded store, before it is known which store's caller is told.

use std::error::Error;
use std::io;
use std::path::Path;

use bytes::TryGetError;

use crate::StoreError;

/// What went wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The disk or the engine failed; why.
    Unavailable(String),
    /// Something stored can't be read; what.
    Damaged(String),
    /// The call comes from a writer that was taken over; which.
    Fenced(String),
    /// The call can't be done as it is; why.
    Refused(String),
}

impl Fault {
    /// As the callers of one store are told.
    pub(crate) fn of(self, store: &'static str, directory: &Path) -> StoreError {
        let at = |reason| format!("{}: {reason}", directory.display());
        match self {
            Self::Unavailable(reason) => StoreError::Unavailable { store, reason: at(reason) },
            Self::Damaged(reason) => StoreError::Damaged { store, reason: at(reason) },
            Self::Fenced(writer) => StoreError::Fenced { writer },
            Self::Refused(reason) => StoreError::Unavailable { store, reason },
        }
    }
}

/// The I/O error at the root of an error of the engine, if it has one.
pub(crate) fn io_cause(error: &fjall::Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

impl From<fjall::Error> for Fault {
    fn from(error: fjall::Error) -> Self {
        match (io_cause(&error), &error) {
            (Some(io), _) => Self::Unavailable(io.to_string()),
            (None, fjall::Error::Poisoned) => Self::Unavailable("the engine stopped after a failed write".to_owned()),
            (None, other) => Self::Damaged(other.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<TryGetError> for Fault {
    fn from(error: TryGetError) -> Self {
        Self::Damaged(format!("a stored value is cut short: {error}"))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a stored value can't be read: {error}"))
    }
}
