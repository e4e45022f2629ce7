//! Dead letters: list them, show one, replay one.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use peal_proto::{DeadLetter, LetterId, Offset, Partition, ProblemKind};
use peal_serve::{Failure, Path, Query, from_text};
use peal_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::dead_letters::{self, Page};
use crate::ingest::{Seat, busy};
use crate::limits::{APPEND_TIMEOUT, LETTERS_A_PAGE, LETTERS_A_PAGE_MAX, STORE_TIMEOUT};
use crate::within::within;

/// A seat for a request that reads dead letters.
pub(super) struct LettersSeat(#[expect(dead_code, reason = "held until it is dropped")] Seat);

impl FromRequestParts<Arc<App>> for LettersSeat {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        app.letters_seats.take().map(Self).ok_or_else(|| busy("readers of dead letters"))
    }
}

/// `?limit=<letters>`, and for the pages behind the first `&from=<next>`: the lowest id that the page may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichPage {
    #[serde(default = "first", deserialize_with = "from_text")]
    from: LetterId,
    #[serde(default, deserialize_with = "from_text")]
    limit: Limit,
}

/// The lowest id there can be.
fn first() -> LetterId {
    LetterId { partition: Partition::new(0), offset: Offset::new(0) }
}

/// How many letters a page may have.
struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(LETTERS_A_PAGE)
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit = text.parse().ok().filter(|limit| (1..=LETTERS_A_PAGE_MAX).contains(limit));
        limit.map(Self).ok_or_else(|| format!("it must be an integer from 1 to {LETTERS_A_PAGE_MAX}, not {text:?}"))
    }
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(WhichPage { from, limit: Limit(limit) }): Query<WhichPage>,
    _seat: LettersSeat,
) -> Result<axum::Json<Page>, Failure> {
    let page = within(STORE_TIMEOUT, "log", dead_letters::page(&app.stores.log, from, limit)).await?;
    Ok(axum::Json(page))
}

#[derive(Deserialize)]
pub(super) struct OfLetter {
    #[serde(deserialize_with = "from_text")]
    letter: LetterId,
}

async fn find(app: &App, id: LetterId) -> Result<DeadLetter, Failure> {
    let letter = within(STORE_TIMEOUT, "log", dead_letters::letter(&*app.stores.log, id)).await?;
    letter.ok_or_else(|| {
        let detail = format!("there is no dead letter {id}, or it is older than what the log keeps");
        Failure::new(ProblemKind::NotFound, detail)
    })
}

/// A letter with its value, as it stands in the log.
#[derive(Serialize)]
pub(super) struct Shown {
    letter: LetterId,
    #[serde(flatten)]
    content: DeadLetter,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(OfLetter { letter }): Path<OfLetter>,
    _seat: LettersSeat,
) -> Result<axum::Json<Shown>, Failure> {
    Ok(axum::Json(Shown { letter, content: find(&app, letter).await? }))
}

/// Where the record of a letter stands now.
#[derive(Serialize)]
pub(super) struct Replayed {
    letter: LetterId,
    topic: &'static str,
    partition: Partition,
    offset: Offset,
}

/// Appends the record again. An event is told once, however often; a notification once more each time.
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    Path(OfLetter { letter }): Path<OfLetter>,
    _seat: LettersSeat,
) -> Result<(StatusCode, axum::Json<Replayed>), Failure> {
    let found = find(&app, letter).await?;
    let (topic, record) = dead_letters::record_of(found)
        .map_err(|why| Failure::invalid(format!("dead letter {letter} can't be replayed: {why}")))?;
    let partition = record.partition;
    let appended = within(APPEND_TIMEOUT, "log", app.stores.log.append(topic, vec![record])).await;
    let nowhere = || Failure::new(ProblemKind::Internal, "the log did not say where the record stands");
    let offset = appended.map_err(|error| not_known(letter, error))?.pop().ok_or_else(nowhere)?;
    let topic = topic.name();
    tracing::info!(%letter, topic, %partition, %offset, "a dead letter was replayed");
    metrics::counter!("peal_dead_letters_replayed_total", "topic" => topic).increment(1);
    Ok((StatusCode::ACCEPTED, axum::Json(Replayed { letter, topic, partition, offset })))
}

fn not_known(letter: LetterId, error: StoreError) -> Failure {
    let mut failure = Failure::from(error);
    let how = format!(
        "; it is not known whether dead letter {letter} was replayed. To do it again is harmless for an event; a notification \
         may come twice"
    );
    failure.problem.detail.push_str(&how);
    failure
}
