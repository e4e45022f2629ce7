//! What a partition asks of its stores: each call a future that ends in the input that answers it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use peal_proto::name::NODES_GROUP;
use peal_proto::{Offline, Partition, Position, Receipt, Settled, Topic, UserId};
use peal_store::inbox::{Entry, Marker, PageRequest};
use peal_store::log::{Commit, Source};
use peal_store::{Log, StoreError};

use super::Shard;
use super::receipts::{entries, records, replaced, replayed};
use crate::core::{Input, Unavailable};
use crate::limits::WARM_UP_TIMEOUT;

/// A call on its way.
pub(super) type Call = Pin<Box<dyn Future<Output = Input> + Send>>;

/// Asks the log once for what a takeover asks it: the first question costs a client a second, and so it is asked before the node says
/// that it is there, and not while users of a partition wait. Whether it is answered does not matter.
pub(crate) async fn warm_up(log: &dyn Log) {
    let asked = tokio::time::timeout(WARM_UP_TIMEOUT, log.committed(source(Partition::new(0)))).await;
    tracing::debug!(?asked, "the log was asked for a commit");
}

/// Where the commits of a partition belong.
pub(super) const fn source(partition: Partition) -> Source {
    Source { group: NODES_GROUP, topic: Topic::Notifications, partition }
}

impl Shard {
    /// What goes from the inbox because a newer one takes its place is written down before it goes, as nothing says later that it
    /// was there. If the batch is not parked after all and the older one is delivered, that counts.
    pub(super) fn park(&self, expected: Option<Marker>, marker: Marker, entries: Vec<Entry>) -> Call {
        let (inbox, log, now) = (Arc::clone(&self.stores.inbox), Arc::clone(&self.stores.log), self.clock.now());
        let park = async move |partition| {
            let receipts = replaced(&*inbox, partition, &entries, now).await?;
            if !receipts.is_empty() {
                log.append(Topic::Receipts, records(&*log, partition, receipts)).await?;
            }
            inbox.park(partition, expected, marker, entries, now).await
        };
        self.call("park", park, Input::Parked)
    }

    pub(super) fn fetch(&self, requests: Vec<PageRequest>) -> Call {
        let (inbox, now) = (Arc::clone(&self.stores.inbox), self.clock.now());
        let pages = async move |partition| {
            let pages = inbox.pages(partition, requests, now).await?;
            // Read after the pages: whatever was wiped before them, this sees it.
            Ok((inbox.marker(partition).await?, pages))
        };
        self.call("fetch", pages, Input::Fetched)
    }

    /// What is dropped is read once more, so that it is known of which events it was. A crash before it is dropped leaves it
    /// there, and what is written down twice is counted once.
    pub(super) fn trim(&self, trims: Vec<(UserId, Position)>) -> Call {
        let (inbox, log, now) = (Arc::clone(&self.stores.inbox), Arc::clone(&self.stores.log), self.clock.now());
        let trim = async move |partition| {
            let receipts = replayed(&*inbox, partition, &trims, now).await?;
            let marker = inbox.marker(partition).await?; // whatever was wiped before, this sees it
            if !receipts.is_empty() {
                log.append(Topic::Receipts, records(&*log, partition, receipts)).await?;
            }
            inbox.trim(partition, trims).await?;
            Ok(marker)
        };
        self.call("trim", trim, Input::Trimmed)
    }

    pub(super) fn commit(&self, settled: Settled, receipts: Vec<Receipt>, offline: Vec<Offline>) -> Call {
        let log = Arc::clone(&self.stores.log);
        let commit = Commit { position: settled.position, metadata: settled.metadata() };
        let write_down_and_commit = async move |partition| {
            if !offline.is_empty() {
                log.append(Topic::Offline, entries(&*log, offline)).await?;
            }
            let receipts = records(&*log, partition, receipts);
            log.commit_behind(Topic::Receipts, receipts, source(partition), commit).await
        };
        self.call("commit", write_down_and_commit, Input::Committed)
    }

    /// A call whose failure is told once, here; the core tries again.
    fn call<T, C, F>(&self, what: &'static str, call: C, answer: fn(Result<T, Unavailable>) -> Input) -> Call
    where
        T: 'static,
        C: FnOnce(Partition) -> F + Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (partition, shared) = (self.partition, Arc::clone(&self.shared));
        Box::pin(async move {
            let result = call(partition).await;
            shared.note(result.is_ok());
            answer(result.map_err(|error| {
                tracing::warn!(partition = partition.get(), what, %error, "a store did not answer; trying again");
                Unavailable
            }))
        })
    }
}
