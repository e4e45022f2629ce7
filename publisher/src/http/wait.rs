//! Waiting for an event: a post that is answered once the event is published or settled, and a stream of its account.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use peal_proto::EventId;
use peal_serve::{Failure, Path, from_text};
use peal_store::status::{Account, State as Progress};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::events::{Accepted, OfEvent, unknown};
use crate::App;
use crate::accounts::Waiter;
use crate::ingest::busy;
use crate::limits::{STORE_TIMEOUT, STREAM_PAUSE, STREAM_SILENCE_MAX, WAIT_DEFAULT, WAIT_MAX};
use crate::within::within;

/// A time to wait, as JSON Schemas say it: to [`WAIT_MAX`]. What people write in other ways is taken as well.
const LIMIT_PATTERN: &str = "^(0|(30|[12]?[0-9])s|(30000|[12]?[0-9]{1,4})ms)$";

/// `?wait=published|settled&timeout=3s`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// What is waited for before the answer.
    #[serde(default, deserialize_with = "until")]
    #[schemars(with = "String", extend("enum" = ["published", "settled"]))]
    wait: Option<Progress>,
    /// How long: 3s unless it says so, 30s at most.
    #[serde(default, deserialize_with = "from_text")]
    #[schemars(with = "String", regex(pattern = LIMIT_PATTERN))]
    timeout: Limit,
}

fn until<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Progress>, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    match &*text {
        "published" => Ok(Some(Progress::Published)),
        "settled" => Ok(Some(Progress::Settled)),
        other => Err(serde::de::Error::custom(format!("it must be published or settled, not {other:?}"))),
    }
}

/// How long to wait.
struct Limit(Duration);

impl Default for Limit {
    fn default() -> Self {
        Self(WAIT_DEFAULT)
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit = humantime::parse_duration(text).ok().filter(|limit| *limit <= WAIT_MAX);
        let max = WAIT_MAX.as_secs();
        limit.map(Self).ok_or_else(|| format!("it must be a time such as 500ms or 3s, at most {max}s, not {text:?}"))
    }
}

impl Wait {
    /// Someone who waits, if the request wants that. Before the event is taken in: too many who wait must keep it out.
    pub(super) fn enter(&self, app: &App, event: &EventId) -> Result<Option<Waiter>, Failure> {
        match self.wait {
            Some(_) => app.accounts.enter(event).map(Some).ok_or_else(|| busy("waiters")),
            None => Ok(None),
        }
    }

    /// 200 with the account once the event is so far; 202 with the account so far when the time is up, or with the event alone
    /// when nothing is known of it: it was accepted, whatever becomes of the wait.
    pub(super) async fn answer(&self, app: &App, waiter: Waiter, event: EventId) -> (StatusCode, axum::Json<Accepted>) {
        let Self { wait, timeout: Limit(limit) } = self;
        let state = wait.unwrap_or(Progress::Published);
        let reached = app.accounts.reaches(waiter, state, *limit);
        let account = within(*limit + STORE_TIMEOUT, "store of statuses", reached).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "an event that was waited for can't be looked at");
            None
        });
        match account {
            Some(account) if account.status.state >= state => {
                (StatusCode::OK, axum::Json(Accepted::Account(account.into())))
            }
            Some(account) => (StatusCode::ACCEPTED, axum::Json(Accepted::Account(account.into()))),
            None => (StatusCode::ACCEPTED, axum::Json(Accepted::Event { event })),
        }
    }
}

/// The account whenever it changes, until nothing of it can change any more. A client that comes back with the last id it saw
/// is told only of what has changed since, and with 204, which ends an `EventSource`, when nothing will (HTML, "Server-sent
/// events", 9.2).
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Path(OfEvent { event }): Path<OfEvent>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let waiter = app.accounts.enter(&event).ok_or_else(|| busy("waiters"))?;
    let account = within(STORE_TIMEOUT, "store of statuses", app.accounts.watched(&waiter)).await?;
    let account = account.ok_or_else(|| unknown(&event))?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    if is_final(&account) && seen.as_deref() == Some(&id(&account)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let following = Following { app, waiter, seen, ended: false };
    let messages = Sse::new(messages(following)).keep_alive(KeepAlive::new().interval(STREAM_SILENCE_MAX));
    Ok(([("x-accel-buffering", "no")], messages).into_response()) // nginx would hold messages back
}

/// A stream on its way.
struct Following {
    app: Arc<App>,
    waiter: Waiter,
    /// The last that the client has.
    seen: Option<String>,
    ended: bool,
}

fn messages(following: Following) -> impl Stream<Item = Result<Message, Infallible>> {
    stream::unfold(following, async |mut following| {
        let message = following.next().await?;
        Some((Ok(message), following))
    })
}

impl Following {
    /// The next account that the client does not have; `None` when there will be none. A store that is away is waited for.
    async fn next(&mut self) -> Option<Message> {
        while !self.ended {
            match within(STORE_TIMEOUT, "store of statuses", self.app.accounts.watched(&self.waiter)).await {
                Ok(None) => return None, // forgotten meanwhile
                Ok(Some(account)) => {
                    self.ended = is_final(&account);
                    let id = id(&account);
                    if self.seen.as_ref() != Some(&id) {
                        let data = serde_json::to_string(&account).unwrap_or_default(); // an account is always JSON
                        self.seen = Some(id.clone());
                        return Some(Message::default().event("account").id(id).data(data));
                    }
                }
                Err(_) => sleep(STREAM_SILENCE_MAX).await,
            }
            drop(timeout(STREAM_SILENCE_MAX, self.waiter.told()).await); // or what is parked may have expired
            sleep(STREAM_PAUSE).await;
        }
        None
    }
}

/// Nothing of it is on its way or waits.
fn is_final(account: &Account) -> bool {
    let is_done = account.status.state >= Progress::Settled;
    is_done && account.parked == 0
}

/// What the account says, so that two that say the same have one id.
fn id(account: &Account) -> String {
    let Account { status, delivered, parked, expired, replaced } = account;
    let (state, members, published, failed) = (status.state as u8, status.members, status.published, status.failed);
    format!("{state}.{members}.{published}.{delivered}.{parked}.{expired}.{replaced}.{failed}.{}", status.duplicates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_document_has_is_taken_and_the_longest_is_the_limit() {
        let document = serde_json::json!({ "pattern": LIMIT_PATTERN });
        let document = jsonschema::validator_for(&document).unwrap();
        let longest = format!("{}s", WAIT_MAX.as_secs());
        let beyond = format!("{}ms", WAIT_MAX.as_millis() + 1);
        for (text, taken) in [
            ("0", true),
            ("0s", true),
            ("9s", true),
            (&longest, true),
            ("30000ms", true),
            ("29999ms", true),
            ("31s", false),
            (&beyond, false),
            ("-1s", false),
            ("soon", false),
        ] {
            assert_eq!(document.is_valid(&serde_json::json!(text)), taken, "{text}");
            assert_eq!(text.parse::<Limit>().is_ok(), taken, "{text}");
        }
    }
}
