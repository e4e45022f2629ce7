//! `peal batch`: posts events of any number, and says what became of them.
//!
//! Items go up (`lines`, each with an `id`) while their answers come down. What is between the two is bounded, and kept until it
//! is answered, so that the `ledger` can say what never was.

mod again;
mod id;
mod ledger;
mod lines;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use peal_serve::Clock;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::id::with_id;
use self::ledger::Ledger;
use self::lines::{Line, Lines};
use crate::api::{Answers, ApiError};
use crate::config::batch::Batch;
use crate::limits::{
    BATCH_ANSWER_TIMEOUT, BATCH_KEEP_ALIVE, BATCH_UNANSWERED_BYTES_MAX, BATCH_UNANSWERED_MAX, INPUT_BYTES_READ,
    INPUT_READS_AHEAD,
};
use crate::output;

/// Why not everything was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was sent.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// There is nothing to send.
    #[error("{path} can't be read")]
    Unreadable {
        /// What should be sent.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nor is there more to send than what was sent.
    #[error("{path} can't be read behind line {line}; everything up to there was sent")]
    Unfinished {
        /// What should be sent.
        path: PathBuf,
        /// The last line that could be read.
        line: u64,
        /// Why not the next.
        source: io::Error,
    },
    /// What has to be sent again can't be written down.
    #[error("{path} can't be written")]
    Unwritable {
        /// Where it should stand.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Some lines are no items; each was named when it was found.
    #[error("{count} of {all} items were refused, and will be again as they are")]
    Refused {
        /// How many.
        count: u64,
        /// Of how many.
        all: u64,
    },
    /// Some items have to be sent again.
    #[error("{why}. {what}. {remedy}")]
    Stopped {
        /// What happened.
        why: String,
        /// What may be stored or not, and what was not sent.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The summary can't be printed.
    #[error("stdout can't be written")]
    Output(#[from] io::Error),
}

/// An item that has no answer yet.
struct Sent {
    /// Its number for the publisher, which counts the empty lines as well that keep the batch alive.
    item: u64,
    line: Line,
    /// Its share of the bytes that may be without an answer.
    _weight: Option<OwnedSemaphorePermit>,
}

/// `peal batch`.
///
/// # Errors
/// [`Failure`], also when everything was sent and something was not accepted.
pub async fn run(batch: &Batch) -> Result<(), Failure> {
    let unreadable = |source| Failure::Unreadable { path: batch.input.clone(), source };
    let mut lines = Lines::of(&batch.input).map_err(unreadable)?;
    let mut ledger = Ledger::open(batch.failed.as_deref())?;
    let (body, items) = mpsc::channel(INPUT_READS_AHEAD);
    let answers = batch.which.api().batch(items).await?;

    let (clock, over) = (Clock::system(), CancellationToken::new());
    let begun = clock.uptime();
    let (sent, mut unanswered) = mpsc::channel(BATCH_UNANSWERED_MAX);
    let hearing = async {
        let heard = hear(answers, &mut unanswered, &mut ledger).await;
        over.cancel();
        heard
    };
    let (fed, heard) = tokio::join!(feed(&mut lines, body, sent, &over), hearing);
    let why = heard?;
    while let Ok(sent) = unanswered.try_recv() {
        ledger.not_answered(&sent.line)?;
    }
    let read = match fed {
        Ok(Fed::All) => Ok(()),
        Ok(Fed::Stopped) => rest(&mut lines, &mut ledger).await?,
        Err(error) => Err(error),
    };
    ledger.refused += lines.unfit();
    match read {
        Err(source) if lines.number() == 0 => Err(unreadable(source)),
        read => {
            output::line(ledger.summary(clock.uptime().saturating_sub(begun)))?;
            let closed = ledger.close(why);
            let (path, line) = (batch.input.clone(), lines.number());
            read.map_err(|source| Failure::Unfinished { path, line, source })?;
            closed
        }
    }
}

/// How the sending ended.
enum Fed {
    /// Everything is sent.
    All,
    /// The answers were over before.
    Stopped,
}

/// Sends lines as there is room for them: many together, as what arrives together is written to the log together.
async fn feed(lines: &mut Lines, body: Sender<Bytes>, sent: Sender<Sent>, over: &CancellationToken) -> io::Result<Fed> {
    let room = Arc::new(Semaphore::new(BATCH_UNANSWERED_BYTES_MAX as usize));
    let mut text = BytesMut::new();
    let mut items = 0;
    loop {
        if sent.capacity() == 0 || text.len() >= INPUT_BYTES_READ {
            send(&body, &mut text, over).await;
        }
        let Some(Ok(place)) = over.run_until_cancelled(sent.reserve()).await else { return Ok(Fed::Stopped) };
        let line = match lines.next().now_or_never() {
            Some(line) => line?,
            None => {
                send(&body, &mut text, over).await;
                tokio::select! {
                    biased;
                    () = over.cancelled() => return Ok(Fed::Stopped),
                    line = lines.next() => line?,
                    () = sleep(BATCH_KEEP_ALIVE) => Some(Line::EMPTY),
                }
            }
        };
        let Some(line) = line else { break };
        items += 1;
        let line = Line { item: with_id(line.item), ..line };
        let bytes = u32::try_from(line.item.len()).unwrap_or(0); // far below its limit
        if room.available_permits() < line.item.len() {
            send(&body, &mut text, over).await;
        }
        let weight = over.run_until_cancelled(Arc::clone(&room).acquire_many_owned(bytes)).await;
        text.extend_from_slice(&line.item);
        text.extend_from_slice(b"\n");
        if !line.item.is_empty() {
            place.send(Sent { item: items, line, _weight: weight.and_then(Result::ok) });
        }
    }
    send(&body, &mut text, over).await;
    Ok(Fed::All)
}

/// What can't be sent has no answer, and is found by that.
async fn send(body: &Sender<Bytes>, text: &mut BytesMut, over: &CancellationToken) {
    if !text.is_empty() {
        over.run_until_cancelled(body.send(text.split().freeze())).await.unwrap_or(Ok(())).ok();
    }
}

/// Reads answers until there are no more; why, if that is too early.
async fn hear(
    mut answers: Answers,
    unanswered: &mut Receiver<Sent>,
    ledger: &mut Ledger<'_>,
) -> Result<Option<String>, Failure> {
    loop {
        let answer = match timeout(BATCH_ANSWER_TIMEOUT, answers.next()).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Ok(Some(error.to_string())),
            Err(_) if unanswered.is_empty() => continue,
            Err(_) => {
                let late = format!("no answer in {} s", BATCH_ANSWER_TIMEOUT.as_secs());
                return Ok(Some(answers.broken(late).to_string()));
            }
        };
        match unanswered.try_recv() {
            Ok(sent) if sent.item == answer.item => ledger.answered(&sent.line, &answer)?,
            Ok(sent) => {
                ledger.not_answered(&sent.line)?;
                return Ok(Some(
                    answers.foreign(format!("it answers item {}, not {}", answer.item, sent.item)).to_string(),
                ));
            }
            Err(_) => return Ok(Some(answer.detail)), // of what was not sent: why no more is read
        }
    }
}

/// What was not sent: it is only read if it is to be written down.
async fn rest(lines: &mut Lines, ledger: &mut Ledger<'_>) -> Result<io::Result<()>, Failure> {
    ledger.stopped_behind(lines.number());
    while ledger.writes_down() {
        match lines.next().await {
            Ok(Some(line)) => ledger.not_sent(&line)?,
            Ok(None) => break,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}
