//! What a request says, read into types: its body, its query, the parts of its path.
//!
//! Owns the words for what is wrong with them: they name the field, the place and what is expected. The rules of a type
//! are its own business.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use futures_util::StreamExt;
use peal_proto::ProblemKind;
use peal_proto::limits::EVENT_BYTES_MAX;
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use crate::limits::{BODY_TIMEOUT, DRAIN_BYTES_MAX};
use crate::problem::Failure;

/// A JSON object as body, of at most `BYTES_MAX` bytes.
#[derive(Debug)]
pub struct Json<T, const BYTES_MAX: usize = EVENT_BYTES_MAX>(pub T);

impl<T, S, const BYTES_MAX: usize> FromRequest<S> for Json<T, BYTES_MAX>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        require_type(&parts.headers, &["application/json"])?;
        let bytes = read(&parts.headers, body, BYTES_MAX).await?;
        parse_object("the body", &bytes).map(Self)
    }
}

/// Checks that a body says to be of one of these media types, the first of which is advised.
///
/// # Errors
/// [`ProblemKind::UnsupportedMediaType`].
pub fn require_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Failure> {
    let given = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("something unreadable"));
    let essence = given.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| types.iter().any(|known| essence.eq_ignore_ascii_case(known))) {
        return Ok(());
    }
    let (given, advised) = (given.unwrap_or("nothing"), types.first().copied().unwrap_or_default());
    let detail = format!(
        "the body must be JSON and say so; its content-type is {given}. With curl, add -H 'content-type: {advised}'"
    );
    Err(Failure::new(ProblemKind::UnsupportedMediaType, detail))
}

async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let too_large = length.is_some_and(|length| length > bytes_max);
    if too_large && headers.contains_key(EXPECT) {
        return Err(over(bytes_max)); // the client has not sent the body yet
    }
    let late = |_| Failure::invalid(format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()));
    tokio::time::timeout(BODY_TIMEOUT, collect(body, bytes_max)).await.map_err(late)?
}

async fn collect(body: Body, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Failure::invalid(format!("the body broke off: {error}")))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= bytes_max {
            bytes.extend_from_slice(&chunk);
        } else if seen > bytes_max.saturating_add(DRAIN_BYTES_MAX) {
            break;
        }
    }
    if seen > bytes_max { Err(over(bytes_max)) } else { Ok(bytes) }
}

fn over(bytes_max: usize) -> Failure {
    Failure::new(ProblemKind::TooLarge, format!("the body may have at most {bytes_max} bytes"))
}

/// Reads a JSON object; `what` is its name in errors.
///
/// # Errors
/// [`ProblemKind::InvalidRequest`], naming field and place.
pub fn parse_object<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Failure::invalid(format!("{what} is not UTF-8: byte {} is the first that is not", error.valid_up_to() + 1))
    })?;
    // Serde takes a list of a struct's fields for the struct; nobody means that.
    if text.trim_start().starts_with(|first| first != '{') {
        return Err(Failure::invalid(format!(r#"{what} must be a JSON object: {{"name": value, …}}"#)));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        Failure::invalid(if !error.inner().is_data() {
            format!("{what} is not JSON: {}", error.inner())
        } else if path == "." {
            format!("{what} is not what this endpoint takes: {}", error.inner())
        } else {
            format!("{what}'s {path:?} is not what this endpoint takes: {}", error.inner())
        })
    })?;
    deserializer.end().map_err(|error| Failure::invalid(format!("{what} is not one JSON value: {error}")))?;
    Ok(value)
}

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let parsed = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(query) = parsed.map_err(|rejection| {
            let reason =
                std::error::Error::source(&rejection).map_or_else(|| rejection.to_string(), ToString::to_string);
            Failure::invalid(format!("the query is not what this endpoint takes: {reason}"))
        })?;
        Ok(Self(query))
    }
}

/// The named parts of the path; fields that are ids use [`from_text`].
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let axum::extract::Path(path) =
            axum::extract::Path::from_request_parts(parts, state).await.map_err(invalid_path)?;
        Ok(Self(path))
    }
}

fn invalid_path(rejection: PathRejection) -> Failure {
    let reason = if let PathRejection::FailedToDeserializePathParams(error) = rejection {
        error.kind().to_string()
    } else {
        rejection.to_string()
    };
    Failure::invalid(format!("the path is not what this endpoint takes: {reason}"))
}

/// For `#[serde(deserialize_with)]` on a field of a query or a path: reads it by its `FromStr`, whose error says what is
/// expected, where serde would only say `u64`.
///
/// # Errors
/// The error of `FromStr`.
pub fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::IntoResponse;
    use axum::routing::{get, post};
    use peal_proto::UserId;
    use peal_proto::event::JoinRequest;
    use serde::Deserialize;
    use tower::ServiceExt;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Of {
        #[serde(deserialize_with = "from_text")]
        user: UserId,
    }

    fn router() -> Router {
        Router::new()
            .route("/joins", post(|Json(join): Json<JoinRequest>| async move { join.user.to_string() }))
            .route("/small", post(|_: Json<serde_json::Value, 8>| async {}))
            .route("/query", get(|Query(of): Query<Of>| async move { of.user.to_string() }))
            .route("/path/{user}", get(|Path(of): Path<Of>| async move { of.user.to_string() }))
    }

    async fn ask(request: Request) -> (u16, String) {
        let response = router().oneshot(request).await.into_response();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn post_to(path: &str, body: impl Into<Body>) -> (u16, String) {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json; charset=utf-8");
        ask(request.body(body.into()).unwrap()).await
    }

    async fn detail_of(body: impl Into<Body>) -> String {
        let (status, text) = post_to("/joins", body).await;
        assert_eq!(status, 400, "{text}");
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        problem["detail"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_good_body_is_read() {
        assert_eq!(post_to("/joins", r#"{"user":42}"#).await, (200, "42".to_owned()));
    }

    #[tokio::test]
    async fn a_bad_body_is_told_with_field_place_and_what_is_expected() {
        let cases = [
            ("", "the body is not JSON: EOF while parsing a value at line 1 column 0"),
            ("{\"user\":1,\n]", "the body is not JSON: key must be a string at line 2 column 1"),
            (r#"{"user":1} {}"#, "the body is not one JSON value: trailing characters at line 1 column 12"),
            ("{}", "the body is not what this endpoint takes: missing field `user` at line 1 column 2"),
            ("[]", r#"the body must be a JSON object: {"name": value, …}"#),
        ];
        for (body, detail) in cases {
            assert_eq!(detail_of(body).await, detail);
        }
        let unknown = detail_of(r#"{"user":1,"usr":2}"#).await;
        assert!(unknown.contains("unknown field `usr`, expected one of `user`, `event`"), "{unknown}");
        assert!(unknown.contains("line 1 column 15"), "{unknown}");
        let wrong = detail_of(r#"{"user":1,"data":[]}"#).await;
        assert!(wrong.contains(r#"the body's "data" is not"#) && wrong.contains("expected a map"), "{wrong}");
    }

    #[tokio::test]
    async fn a_body_that_is_not_utf_8_is_told_with_the_byte() {
        let detail = detail_of(&b"{\"user\":1,\"event\":\"\xff\"}"[..]).await;
        assert_eq!(detail, "the body is not UTF-8: byte 20 is the first that is not");
    }

    #[tokio::test]
    async fn a_body_over_its_limit_is_told_the_limit() {
        assert_eq!(post_to("/small", r#"{"a":12}"#).await.0, 200);
        let (status, text) = post_to("/small", r#"{"a":123}"#).await;
        assert_eq!(status, 413);
        assert!(text.contains("the body may have at most 8 bytes"), "{text}");
    }

    #[tokio::test]
    async fn a_form_is_refused_with_the_header_to_add() {
        let request = Request::post("/joins").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (status, text) = ask(request.body("{}".into()).unwrap()).await;
        assert_eq!(status, 415);
        assert!(text.contains("add -H 'content-type: application/json'"), "{text}");
        let (status, _) = ask(Request::post("/joins").body("{}".into()).unwrap()).await;
        assert_eq!(status, 415);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        let silent = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let (status, text) = post_to("/joins", silent).await;
        assert_eq!(status, 400);
        assert!(text.contains("did not arrive within 15 s"), "{text}");
    }

    #[tokio::test]
    async fn queries_and_paths_tell_the_rule_of_an_id() {
        let rule = r#"user: a user must be an integer from 0 to 9007199254740991 (2^53-1), not \"4x\""#;
        for (path, status, part) in [
            ("/query?user=42", 200, "42"),
            ("/query?user=4x", 400, rule),
            ("/query", 400, "missing field `user`"),
            ("/query?user=1&usr=2", 400, "unknown field `usr`"),
            ("/path/42", 200, "42"),
            ("/path/4x", 400, "a user must be an integer from 0 to 9007199254740991 (2^53-1), not"),
            ("/path/%ff", 400, "UTF-8"),
        ] {
            let (given, text) = ask(Request::get(path).body(Body::empty()).unwrap()).await;
            assert_eq!(given, status, "{path}: {text}");
            assert!(text.contains(part), "{path}: {text}");
        }
    }
}
