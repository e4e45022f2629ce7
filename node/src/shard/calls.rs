//! What a partition asks of its stores: each call a future that ends in the input that answers it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use peal_proto::name::NODES_GROUP;
use peal_proto::{Partition, Position, Topic, UserId};
use peal_store::StoreError;
use peal_store::inbox::{Entry, Marker, PageRequest};
use peal_store::log::Source;

use super::Shard;
use crate::core::commit::Settled;
use crate::core::{Input, Unavailable};

/// A call on its way.
pub(super) type Call = Pin<Box<dyn Future<Output = Input> + Send>>;

/// Where the commits of a partition belong.
pub(super) const fn source(partition: Partition) -> Source {
    Source { group: NODES_GROUP, topic: Topic::Notifications, partition }
}

impl Shard {
    pub(super) fn park(&self, expected: Option<Marker>, marker: Marker, entries: Vec<Entry>) -> Call {
        let (inbox, now) = (Arc::clone(&self.stores.inbox), self.clock.now());
        self.call(
            "park",
            async move |partition| inbox.park(partition, expected, marker, entries, now).await,
            Input::Parked,
        )
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

    pub(super) fn trim(&self, trims: Vec<(UserId, Position)>) -> Call {
        let inbox = Arc::clone(&self.stores.inbox);
        self.call("trim", async move |partition| inbox.trim(partition, trims).await.map(drop), Input::Trimmed)
    }

    pub(super) fn commit(&self, settled: Settled) -> Call {
        let log = Arc::clone(&self.stores.log);
        let commit = settled.to_commit();
        self.call("commit", async move |partition| log.commit(source(partition), commit).await, Input::Committed)
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
