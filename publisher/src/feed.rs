//! What is read of one partition, a batch ahead of the worker: so that it can see what is at hand without waiting.

use std::sync::Arc;

use peal_proto::{Partition, Position, Topic};
use peal_store::log::{Reader, Record};
use peal_store::{Log, StoreError};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::QUIET_MAX;

type Read = Result<Vec<Record>, StoreError>;

/// The records of a partition from a position on. After an error there are no more.
pub(crate) struct Feed {
    read: mpsc::Receiver<Read>,
    _reading: AbortOnDropHandle<()>,
}

impl Feed {
    pub(crate) fn open(log: Arc<dyn Log>, topic: Topic, partition: Partition, from: Position) -> Self {
        let (send, read) = mpsc::channel(1);
        let reading = tokio::spawn(async move {
            if let Err(error) = follow(&*log, topic, partition, from, &send).await {
                drop(send.send(Err(error)).await); // the worker may be gone
            }
        });
        Self { read, _reading: AbortOnDropHandle::new(reading) }
    }

    /// The next records; waits until there are some. Cancel safe.
    pub(crate) async fn next(&mut self) -> Read {
        let ended = || StoreError::Unavailable { store: "log", reason: "nothing is read any more".to_owned() };
        self.read.recv().await.unwrap_or_else(|| Err(ended()))
    }

    /// The next records, if there are some.
    pub(crate) fn at_hand(&mut self) -> Read {
        self.read.try_recv().unwrap_or_else(|_| Ok(Vec::new()))
    }
}

/// Reads on until the worker is gone.
async fn follow(
    log: &dyn Log,
    topic: Topic,
    partition: Partition,
    mut from: Position,
    send: &mpsc::Sender<Read>,
) -> Result<(), StoreError> {
    let mut reader = log.reader(topic, partition, from).await?;
    while let Ok(place) = send.reserve().await {
        let records = heard(log, topic, partition, from, &mut reader).await?;
        from = records.last().map_or(from, |last| Position::behind(last.offset));
        place.send(Ok(records));
    }
    Ok(())
}

async fn heard(
    log: &dyn Log,
    topic: Topic,
    partition: Partition,
    from: Position,
    reader: &mut Box<dyn Reader>,
) -> Read {
    loop {
        tokio::select! {
            biased;
            records = reader.next() => return records,
            () = has_more(log, topic, partition, from) => {
                tracing::warn!(%partition, "deaf to what is in the log; listening anew");
                // The one before is let go of only then: while there are two, the log gives the second a connection of
                // its own, and what made the first deaf is left behind.
                *reader = log.reader(topic, partition, from).await?;
            }
        }
    }
}

/// Waits until the log has had something behind a position for a while.
async fn has_more(log: &dyn Log, topic: Topic, partition: Partition, from: Position) {
    let mut looks = 0;
    while looks < 2 {
        sleep(QUIET_MAX).await;
        let end = log.end(topic, partition).await;
        looks = if end.is_ok_and(|end| end > from) { looks + 1 } else { 0 };
    }
}
