//! The promises of the stores' traits as named cases that every implementation has to pass unchanged.
//!
//! Assumes no more than the traits say: offsets may have holes, a scan may repeat a member, a gap may end anywhere between
//! what was lost and what follows. Owns what is promised; how an implementation is set up and opened again is its
//! [`Factory`]'s business. [`model`] holds one implementation against another with random sequences.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken promise is a panic, as in every test")]

mod append;
mod commits;
mod read;
mod slices;

mod collapse;
mod parking;
mod retention;

mod following;
mod leases;
mod members;
mod shards;
mod statuses;
mod subscriptions;

pub mod model;

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use peal_proto::CommunityId;

use crate::Stores;
use crate::inbox::Retention;

/// How many partitions the stores under test have.
pub const PARTITIONS: u32 = 4;

/// What the inbox under test keeps: little, so that the limits are met.
pub const RETENTION: Retention = Retention { notifications_max: 5, bytes_max: 1_000, ttl: Duration::from_secs(3600) };

/// How long one case may take; a wait without an end is a broken promise as well.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);

/// Stores under test.
#[async_trait]
pub trait System: Send {
    /// Handles on the stores as they are open now.
    fn stores(&self) -> Stores;

    /// Closes the stores and opens them again; handles from before are of no use.
    async fn reopen(&mut self);

    /// Adds a member as another program does that fills the sets; only for [`foreign_members`].
    async fn put_member(&mut self, community: CommunityId, member: &str) {
        panic!("{member} can't be put into {community}");
    }
}

/// Makes stores to test.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Fresh and empty stores.
    async fn fresh(&self, partitions: u32, retention: Retention) -> Subject;
}

/// Stores under test, whichever they are.
pub type Subject = Box<dyn System>;

/// One promise.
#[derive(Clone, Copy)]
pub struct Case {
    /// The promise as a sentence.
    pub name: &'static str,
    run: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

// A macro, so that no case is in the list under another case's name.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        &[$($crate::conformance::Case { name: stringify!($case), run: |subject| Box::pin($case(subject)) }),+]
    };
}
use cases;

/// What a [`Log`](crate::Log) promises.
#[must_use]
pub fn log() -> Vec<Case> {
    [append::CASES, read::CASES, slices::CASES, commits::CASES].concat()
}

/// What an [`Inbox`](crate::Inbox) promises.
#[must_use]
pub fn inbox() -> Vec<Case> {
    [parking::CASES, retention::CASES, collapse::CASES].concat()
}

/// What [`Members`](crate::Members) promise.
#[must_use]
pub fn members() -> Vec<Case> {
    members::CASES.to_vec()
}

/// What [`Members`](crate::Members) promise whose sets another program fills, with whatever it likes.
#[must_use]
pub fn foreign_members() -> Vec<Case> {
    members::FOREIGN_CASES.to_vec()
}

/// What [`Members`](crate::Members) promise that follow a table.
#[must_use]
pub fn following() -> Vec<Case> {
    following::CASES.to_vec()
}

/// What [`Statuses`](crate::Statuses) promise.
#[must_use]
pub fn statuses() -> Vec<Case> {
    statuses::CASES.to_vec()
}

/// What [`Shards`](crate::Shards) promise.
#[must_use]
pub fn shards() -> Vec<Case> {
    shards::CASES.to_vec()
}

/// What [`Leases`](crate::Leases) promise.
#[must_use]
pub fn leases() -> Vec<Case> {
    leases::CASES.to_vec()
}

/// What [`Subscriptions`](crate::Subscriptions) promise.
#[must_use]
pub fn subscriptions() -> Vec<Case> {
    subscriptions::CASES.to_vec()
}

/// Runs each case on fresh stores.
///
/// # Panics
/// When a case fails, naming all that did.
pub async fn hold(factory: &dyn Factory, cases: Vec<Case>) {
    let mut broken = Vec::new();
    for Case { name, run } in cases {
        let subject = factory.fresh(PARTITIONS, RETENTION).await;
        let case = tokio::spawn(tokio::time::timeout(CASE_TIME_MAX, run(subject)));
        match case.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => broken.push(format!("{name} (did not end)")),
            Err(_) => broken.push(name.to_owned()),
        }
    }
    assert!(broken.is_empty(), "broken promises: {broken:#?}");
}
