//! Errors over HTTP: problem+json (RFC 9457), one kind a different reaction of the caller.

use schemars::JsonSchema;
use serde::Serialize;

/// The media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request is not what the endpoint takes; sending it again won't help.
    InvalidRequest,
    /// A body over its limit.
    TooLarge,
    /// The body is not of the media type that the endpoint takes.
    UnsupportedMediaType,
    /// No such path, or no such thing.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// It was done before, or something else stands in its way; the detail says how to have it done all the same.
    Conflict,
    /// The user belongs to another node; `url` says which.
    WrongNode,
    /// More than the caller may; try again after `Retry-After` (RFC 6585 §4).
    TooManyRequests,
    /// Not now; try again after `Retry-After`.
    Unavailable,
    /// Nothing was stored; the reason is in the log of the process.
    Internal,
}

impl ProblemKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::InvalidRequest,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::WrongNode,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::WrongNode => 421,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The last part of the type URI and the label of the metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::WrongNode => "wrong-node",
            Self::TooManyRequests => "too-many-requests",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The same words for every problem of this kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not JSON",
            Self::NotFound => "There is no such thing here",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Conflict => "Something stands in its way",
            Self::WrongNode => "The user belongs to another node",
            Self::TooManyRequests => "Too many requests",
            Self::Unavailable => "Not available at the moment",
            Self::Internal => "Something went wrong on our side",
        }
    }
}

/// A problem as it stands in the body of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// `urn:peal:problem:<name>`.
    pub r#type: String,
    /// The same for every problem of the kind.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request, and what to do.
    pub detail: String,
    /// Where to go instead, with [`ProblemKind::WrongNode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it is.
    #[serde(skip)]
    pub kind: ProblemKind,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            r#type: format!("urn:peal:problem:{}", kind.name()),
            title: kind.title(),
            status: kind.status(),
            detail: detail.into(),
            url: None,
            kind,
        }
    }

    /// The same, naming where to go instead.
    #[must_use]
    pub fn at(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}
