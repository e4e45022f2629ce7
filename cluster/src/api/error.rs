//! What went wrong between a caller and the publisher: one variant a reaction, in words for a person.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::BaseUrl;

/// Why a request has no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Nobody listens there; nothing was sent.
    #[error(
        "no cluster answers at {url} ({why}). Start one with `peal up`, or name its publisher with --url or PEAL_URL"
    )]
    NotRunning {
        /// Where.
        url: BaseUrl,
        /// Why not.
        why: String,
    },
    /// The connection broke; whether the request was carried out is not known.
    #[error("{url} did not answer: {why}")]
    Broken {
        /// Where.
        url: BaseUrl,
        /// How.
        why: String,
    },
    /// The publisher said no.
    #[error("{0}")]
    Problem(Refusal),
    /// Somebody else answered.
    #[error("{url} is no publisher of a cluster, or one of another version: {what}")]
    Foreign {
        /// Where.
        url: BaseUrl,
        /// What its answer lacks.
        what: String,
    },
}

/// An answer that is no success: a problem (RFC 9457) as far as it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The same for every problem of its kind.
    pub title: String,
    /// What is wrong with this request.
    pub detail: String,
    /// Where to go instead.
    pub url: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    url: Option<String>,
}

impl Refusal {
    /// Reads an answer; what is no problem is told by its status.
    #[must_use]
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let plain = || Problem {
            title: status.canonical_reason().unwrap_or("the answer is no success").to_owned(),
            detail: String::new(),
            url: None,
        };
        let Problem { title, detail, url } = serde_json::from_slice(body).unwrap_or_else(|_| plain());
        let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        Self { status: status.as_u16(), title, detail, url, retry_after }
    }

    /// Whether the same request would be refused again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.status, 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415)
    }
}

impl fmt::Display for Refusal {
    /// One line: `The request is not valid (400): user must be …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, title, detail, retry_after, .. } = self;
        write!(f, "{title} ({status})")?;
        if !detail.is_empty() {
            write!(f, ": {detail}")?;
        }
        match retry_after {
            Some(wait) => write!(f, " (again in {} s)", wait.as_secs()),
            None => Ok(()),
        }
    }
}

/// The cause behind all causes; what lies between says "client error" and the like.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        Some(_) | None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_problem_reads_as_one_line() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        let body =
            br#"{"type":"urn:peal:problem:unavailable","title":"Not now","status":503,"detail":"the log is away"}"#;
        let refusal = Refusal::read(StatusCode::SERVICE_UNAVAILABLE, &headers, body);
        assert_eq!(refusal.to_string(), "Not now (503): the log is away (again in 2 s)");
        assert!(!refusal.is_final());
    }

    #[test]
    fn what_is_no_problem_is_told_by_its_status() {
        let refusal = Refusal::read(StatusCode::NOT_FOUND, &HeaderMap::new(), b"<html>");
        assert_eq!(refusal.to_string(), "Not Found (404)");
    }
}
