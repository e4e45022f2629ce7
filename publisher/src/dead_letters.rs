//! The dead letters: read from the log page by page, and put back where they came from.
//!
//! The log is all there is of them: every request reads them anew, and none is taken away. Who writes them is the fan-out's and
//! the nodes' business, and which were replayed is known to [`replays`].

mod replays;

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::{StreamExt, stream};
use peal_proto::dead_letter::LetterHeader;
use peal_proto::name::{ATTEMPT_HEADER, REPLAYED_HEADER};
use peal_proto::{DeadLetter, LetterId, LetterTopic, Offset, Partition, Position, Topic};
use peal_store::log::{Headers, NewRecord, Reader, Record};
use peal_store::{Log, StoreError};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{sleep, timeout};

pub(crate) use self::replays::Replays;
use crate::limits::{LETTERS_PAGE_TIME, LETTERS_PARTITIONS_AT_ONCE, LETTERS_WAIT_MAX};

/// A letter as it is listed: without its value.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedLetter")]
pub(crate) struct Listed {
    letter: LetterId,
    /// Whether it was replayed, as far as that is known.
    replayed: bool,
    reason: String,
    /// Which attempt at its record this was.
    attempt: u32,
    topic: String,
    partition: Partition,
    offset: Offset,
    key: Option<u64>,
    /// Of the value, as it was.
    bytes: u64,
}

impl Listed {
    fn of(id: LetterId, replayed: bool, letter: DeadLetter) -> Self {
        let DeadLetter { reason, attempt, topic, partition, offset, key, value, cut_from, .. } = letter;
        let bytes = cut_from.unwrap_or(value.len() as u64);
        let topic = topic.to_string();
        Self { letter: id, replayed, reason, attempt, topic, partition, offset, key, bytes }
    }
}

/// Some letters by their ids, and the id to go on from when there may be more.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LettersPage")]
pub(crate) struct Page {
    letters: Vec<Listed>,
    next: Option<LetterId>,
}

/// At most `limit` letters from an id on, by their ids: partition after partition, and in each as they were written. May be
/// fewer, and none, with an id to go on from: a log that has let go of its oldest records is slow to show it.
pub(crate) async fn page(log: &Arc<dyn Log>, from: LetterId, limit: usize) -> Result<Page, StoreError> {
    let read = |partition| {
        let first = if partition == from.partition { from.offset } else { Offset::new(0) };
        read(Arc::clone(log), LetterId { partition, offset: first }, limit)
    };
    let partitions = (from.partition.get()..log.partitions()).map(Partition::new);
    let mut reads = pin!(stream::iter(partitions.map(read)).buffered(LETTERS_PARTITIONS_AT_ONCE));
    let mut late = pin!(sleep(LETTERS_PAGE_TIME));
    let (mut letters, mut next) = (Vec::new(), None);
    loop {
        let read = tokio::select! {
            biased;
            read = reads.next() => read,
            () = &mut late, if next.is_some() => return Ok(Page { letters, next }),
        };
        let Some(read) = read else { return Ok(Page { letters, next: None }) };
        let Read { listed, next: behind } = read?;
        letters.extend(listed);
        next = Some(behind);
        if letters.len() >= limit {
            letters.truncate(limit);
            let behind = letters.last().map(|last| following(last.letter));
            return Ok(Page { letters, next: behind });
        }
    }
}

/// What one partition holds.
struct Read {
    listed: Vec<Listed>,
    /// Where the next partition begins.
    next: LetterId,
}

/// Reads a partition to its end, or a little more than `limit` of it.
async fn read(log: Arc<dyn Log>, from: LetterId, limit: usize) -> Result<Read, StoreError> {
    let partition = from.partition;
    let end = log.end(Topic::DeadLetters, partition).await?;
    let listed = if Position::at(from.offset) < end {
        let (letters, replays) = try_join(letters(&*log, from, end, limit), Replays::of(&*log, partition)).await?;
        letters.into_iter().map(|(id, letter)| Listed::of(id, replays.has(id.offset), letter)).collect()
    } else {
        Vec::new()
    };
    let next = LetterId { partition: Partition::new(partition.get() + 1), offset: Offset::new(0) };
    Ok(Read { listed, next })
}

async fn letters(
    log: &dyn Log,
    LetterId { partition, offset }: LetterId,
    end: Position,
    limit: usize,
) -> Result<Vec<(LetterId, DeadLetter)>, StoreError> {
    let mut position = Position::at(offset);
    let mut letters = Vec::new();
    let mut reader = log.reader(Topic::DeadLetters, partition, position).await?;
    while position < end && letters.len() < limit {
        for record in next(log, partition, &mut *reader).await? {
            position = Position::behind(record.offset);
            let id = LetterId { partition, offset: record.offset };
            if !record.headers.canary {
                letters.push((id, letter_of(id, record)));
            }
        }
    }
    Ok(letters)
}

/// The next records. Where the log ends behind the last one that can be read (the others are past retention, or marks of
/// transactions) none would come, and who waits could not tell that from a log that is slow: so a canary is sent after them,
/// which comes when all before it have. From then on the partition ends with a record.
async fn next(log: &dyn Log, partition: Partition, reader: &mut dyn Reader) -> Result<Vec<Record>, StoreError> {
    if let Ok(records) = timeout(LETTERS_WAIT_MAX, reader.next()).await {
        return records;
    }
    let headers = Headers { canary: true, ..Headers::default() };
    log.append(Topic::DeadLetters, vec![NewRecord { partition, key: 0, headers, value: Bytes::new() }]).await?;
    reader.next().await
}

fn following(id: LetterId) -> LetterId {
    LetterId { offset: Position::behind(id.offset).next(), ..id }
}

/// The letter of this id; `None` when there is none, or none any more.
pub(crate) async fn letter(log: &dyn Log, id: LetterId) -> Result<Option<DeadLetter>, StoreError> {
    let LetterId { partition, offset } = id;
    if partition.get() >= log.partitions() || !log.end(Topic::DeadLetters, partition).await?.covers(offset) {
        return Ok(None);
    }
    let mut reader = log.reader(Topic::DeadLetters, partition, Position::at(offset)).await?;
    let first = next(log, partition, &mut *reader).await?.into_iter().next();
    let first = first.filter(|record| record.offset == offset && !record.headers.canary);
    Ok(first.map(|record| letter_of(id, record)))
}

/// The letter that a record is. What is none is made one about itself, so that it is seen.
fn letter_of(LetterId { partition, offset }: LetterId, record: Record) -> DeadLetter {
    serde_json::from_slice(&record.value).unwrap_or_else(|error| {
        let reason = format!("it is not a dead letter: {error}");
        DeadLetter::new(reason, Topic::DeadLetters, partition, offset, record.key, &record.value)
    })
}

/// Why a letter can't go back to where it came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoReplay {
    /// Nobody reads its topic.
    #[error("it is of {0}, and only what is of {events}, {notifications} or {offline} can be processed", events = Topic::Events, notifications = Topic::Notifications, offline = Topic::Offline)]
    Topic(LetterTopic),
    /// Whom the record is for is not known.
    #[error(
        "its record had no number as its key, and the key says whom it is for; post what it should have said instead"
    )]
    Key,
    /// Not all of the record is kept.
    #[error("only the beginning of its {0} bytes is kept; the record itself may still be in the log")]
    Cut(u64),
}

/// The record of a letter, as it was; its headers say that it is another attempt, and at what.
pub(crate) fn record_of(id: LetterId, letter: DeadLetter) -> Result<(Topic, NewRecord), NoReplay> {
    let DeadLetter { attempt, topic, partition, headers: given, key, value, cut_from, .. } = letter;
    let topic = match topic {
        LetterTopic::Log(topic @ (Topic::Events | Topic::Notifications | Topic::Offline)) => topic,
        LetterTopic::Log(Topic::Receipts | Topic::DeadLetters) | LetterTopic::Other(_) => {
            return Err(NoReplay::Topic(topic));
        }
    };
    if let Some(bytes) = cut_from {
        return Err(NoReplay::Cut(bytes));
    }
    let key = key.ok_or(NoReplay::Key)?;
    let mut headers = Headers::default();
    for LetterHeader { name, value } in given {
        if *name != *ATTEMPT_HEADER && *name != *REPLAYED_HEADER {
            headers.add(&name, &value);
        }
    }
    headers.add(ATTEMPT_HEADER, attempt.saturating_add(1).to_string().as_bytes());
    headers.add(REPLAYED_HEADER, id.to_string().as_bytes());
    Ok((topic, NewRecord { partition, key, headers, value }))
}
