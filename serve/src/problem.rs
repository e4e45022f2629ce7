//! What a request that failed is answered with: a problem (RFC 9457), counted by its kind.
//!
//! What the kinds are and how they read is [`peal_proto::problem`]'s business.

use std::time::Duration;

use axum::Router;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use peal_proto::{Problem, ProblemKind};
use peal_store::StoreError;

use crate::limits::STORE_RETRY_AFTER;

/// A problem on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong.
    pub problem: Problem,
    /// When the caller may try again, rounded up to seconds on the wire.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A problem of this kind; `detail` says what is wrong with this request and what to do.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Problem::new(kind, detail).into()
    }

    /// The request is not what the endpoint takes.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::InvalidRequest, detail)
    }

    /// More than the caller may, but again after this long.
    #[must_use]
    pub fn too_many(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ProblemKind::TooManyRequests, detail) }
    }

    /// Not now, but again after this long.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ProblemKind::Unavailable, detail) }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, retry_after: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::Missing { .. } => {
                Self::unavailable(format!("{error}; try again later"), STORE_RETRY_AFTER)
            }
            StoreError::Fenced { .. } | StoreError::Damaged { .. } => {
                tracing::error!(%error, "a request met a store that a person must look at");
                Self::new(ProblemKind::Internal, "a store failed; its reason is in the log of this process")
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { problem, retry_after } = self;
        metrics::counter!("peal_problems_total", "kind" => problem.kind.name()).increment(1);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Strings and numbers can't fail to be written.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let content_type = HeaderValue::from_static(peal_proto::problem::CONTENT_TYPE);
        let mut response = (status, [(CONTENT_TYPE, content_type)], body).into_response();
        if let Some(duration) = retry_after {
            let seconds = duration.as_millis().div_ceil(1_000).max(1);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
        }
        response
    }
}

/// Answers what no route takes with problems.
pub fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed)
}

async fn not_found(uri: Uri) -> Failure {
    Failure::new(ProblemKind::NotFound, format!("there is nothing at {}", uri.path()))
}

/// Answers a method that the path does not take. [`with_fallbacks`] sets it where there is no layer on the routes; below a
/// layer that answers methods itself, as CORS does, set it first.
pub async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    let detail = format!("{} does not take {method}; the allow header says what it takes", uri.path());
    Failure::new(ProblemKind::MethodNotAllowed, detail)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::http::header::ALLOW;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_unavailable_store_asks_to_come_back() {
        let error = StoreError::Unavailable { store: "log", reason: "no broker answers".into() };
        let response = Failure::from(error).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = text(response).await;
        assert!(body.contains("urn:peal:problem:unavailable"), "{body}");
        assert!(body.contains("the log is not available: no broker answers"), "{body}");
    }

    #[tokio::test]
    async fn a_damaged_store_is_not_told_to_strangers() {
        let error = StoreError::Damaged { store: "log", reason: "/var/lib/secret".into() };
        let response = Failure::from(error).into_response();
        assert_eq!(response.status(), 500);
        assert!(!text(response).await.contains("secret"));
    }

    #[test]
    fn a_wait_below_a_second_is_one_second() {
        let response = Failure::unavailable("busy", Duration::from_millis(20)).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }

    #[tokio::test]
    async fn unknown_paths_and_methods_are_problems() {
        let router = with_fallbacks(Router::new().route("/there", get(|| async { "yes" })));
        let request =
            |method: &str, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request("GET", "/elsewhere")).await.unwrap();
        assert_eq!(response.status(), 404);
        assert!(text(response).await.contains("there is nothing at /elsewhere"));
        let response = router.oneshot(request("PATCH", "/there")).await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET,HEAD");
        assert!(text(response).await.contains("/there does not take PATCH"));
    }
}
