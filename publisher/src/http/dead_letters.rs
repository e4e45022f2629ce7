//! Dead letters: list them, show one, replay one.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use futures_util::future::try_join;
use peal_proto::{DeadLetter, LetterId, Offset, Partition, ProblemKind};
use peal_serve::openapi::{Argument, Operation};
use peal_serve::{Failure, Path, Query, from_text};
use peal_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::App;
use crate::dead_letters::{self, Page, Replays};
use crate::ingest::{Seat, busy};
use crate::limits::{APPEND_TIMEOUT, LETTERS_A_PAGE, LETTERS_A_PAGE_MAX, STORE_TIMEOUT};
use crate::within::within;

/// A seat for a request that reads dead letters.
pub(super) struct LettersSeat(#[expect(dead_code, reason = "held until it is dropped")] Seat);

impl Argument for LettersSeat {
    fn describe(operation: &mut Operation<'_>) {
        operation.add_problem(ProblemKind::Unavailable, "Too many read dead letters at the moment.");
    }
}

impl FromRequestParts<Arc<App>> for LettersSeat {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        app.letters_seats.take().map(Self).ok_or_else(|| busy("readers of dead letters"))
    }
}

/// `?limit=<letters>`, and for the pages behind the first `&from=<next>`: the lowest id that the page may have.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichPage {
    /// The lowest id that the page may have.
    #[serde(default = "first", deserialize_with = "from_text")]
    from: LetterId,
    /// How many letters it may have.
    #[serde(default, deserialize_with = "from_text")]
    #[schemars(with = "usize", range(min = 1, max = LETTERS_A_PAGE_MAX))]
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

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfLetter {
    /// The letter.
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownLetter")]
pub(super) struct Shown {
    letter: LetterId,
    /// Whether it was replayed, as far as that is known.
    replayed: bool,
    #[serde(flatten)]
    content: DeadLetter,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(OfLetter { letter }): Path<OfLetter>,
    _seat: LettersSeat,
) -> Result<axum::Json<Shown>, Failure> {
    let known = async { Ok(replays(&app, letter).await?) };
    let (content, replays) = try_join(find(&app, letter), known).await?;
    let replayed = replays.has(letter.offset);
    Ok(axum::Json(Shown { letter, replayed, content }))
}

async fn replays(app: &App, letter: LetterId) -> Result<Replays, StoreError> {
    within(STORE_TIMEOUT, "log", Replays::of(&*app.stores.log, letter.partition)).await
}

/// `?again=true`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    /// Whether a letter that was replayed is replayed once more.
    #[serde(default)]
    again: bool,
}

/// Where the record of a letter stands now.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReplayedLetter")]
pub(super) struct Replayed {
    letter: LetterId,
    topic: &'static str,
    partition: Partition,
    offset: Offset,
}

/// Appends the record again, and keeps in mind that it was. An event is told once, however often; a notification once more each
/// time, so it is not done twice unasked.
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    Path(OfLetter { letter }): Path<OfLetter>,
    Query(Again { again }): Query<Again>,
    _seat: LettersSeat,
) -> Result<(StatusCode, axum::Json<Replayed>), Failure> {
    let found = find(&app, letter).await?;
    let (topic, record) = dead_letters::record_of(letter, found)
        .map_err(|why| Failure::invalid(format!("dead letter {letter} can't be replayed: {why}")))?;
    let partition = record.partition;
    let _alone = app.replaying.lock().await; // what is kept in mind replaces what was before
    let replays = replays(&app, letter).await?;
    if replays.has(letter.offset) && !again {
        let detail = format!("dead letter {letter} was replayed before; with ?again=true it is replayed once more");
        return Err(Failure::new(ProblemKind::Conflict, detail));
    }
    let appended = within(APPEND_TIMEOUT, "log", app.stores.log.append(topic, vec![record])).await;
    let nowhere = || Failure::new(ProblemKind::Internal, "the log did not say where the record stands");
    let offset = appended.map_err(|error| not_known(letter, error))?.pop().ok_or_else(nowhere)?;
    let topic = topic.name();
    if let Err(error) = within(STORE_TIMEOUT, "log", replays.keep(&*app.stores.log, letter)).await {
        tracing::warn!(%letter, %error, "a dead letter was replayed, and it is not kept in mind that it was");
    }
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
