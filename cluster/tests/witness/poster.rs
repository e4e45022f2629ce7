//! Who posts: one task a community, one post after the other, so that the order of answers is the order of the log.
//!
//! A post that is not answered is posted again with the same event id until it is. A refusal has to say when to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use peal_cluster::api::{Api, ApiError, Join, Post};
use peal_proto::{CommunityId, EventId, UserId};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::oracle::Oracle;
use super::recovery::Recovery;
use super::scene::{Load, newcomers};

/// Every so many posts of a community somebody joins it, as long as there is somebody left to.
const POSTS_A_JOIN: u64 = 9;

/// Before the same is posted again to a publisher that was not there.
const AGAIN: Duration = Duration::from_millis(100);

/// Posts to a cluster and tells the oracle what was answered.
#[derive(Clone)]
pub(crate) struct Poster {
    pub(crate) api: Api,
    pub(crate) oracle: Oracle,
    pub(crate) recovery: Recovery,
    /// How many attempts were refused with 503, and told when to come back.
    pub(crate) refused: Arc<AtomicU64>,
}

/// What is posted.
enum What {
    Join(UserId),
    Event(Box<RawValue>),
}

impl Poster {
    /// Posts until answered.
    pub(crate) async fn post(&self, community: CommunityId, event: &EventId, data_bytes: usize) {
        let data = RawValue::from_string(format!(r#"{{"text":"{}"}}"#, "x".repeat(data_bytes))).unwrap();
        self.until_answered(community, event, &What::Event(data)).await;
        self.oracle.answered(community, None, event);
    }

    /// Joins until answered.
    pub(crate) async fn join(&self, community: CommunityId, event: &EventId, user: UserId) {
        self.until_answered(community, event, &What::Join(user)).await;
        self.oracle.answered(community, Some(user), event);
    }

    async fn until_answered(&self, community: CommunityId, event: &EventId, what: &What) {
        self.recovery.posts(event);
        loop {
            match self.once(community, event, what).await {
                Ok(answered) => return assert_eq!(&answered, event),
                Err(ApiError::Problem(refusal)) => {
                    assert_eq!(refusal.status, 503, "{refusal}");
                    let wait = refusal.retry_after.unwrap_or_else(|| panic!("no Retry-After: {refusal}"));
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    sleep(wait).await;
                }
                Err(ApiError::NotRunning { .. } | ApiError::Broken { .. }) => sleep(AGAIN).await,
                Err(error @ ApiError::Foreign { .. }) => panic!("{error}"),
            }
        }
    }

    async fn once(&self, community: CommunityId, event: &EventId, what: &What) -> Result<EventId, ApiError> {
        let event = Some(event);
        match what {
            What::Join(user) => {
                self.api
                    .join(
                        community,
                        &Join { user: *user, event, data: None, notify_self: true, ttl: None, collapse: None },
                    )
                    .await
            }
            What::Event(data) => {
                let kind = "community.posted".parse().unwrap();
                self.api
                    .post(community, &Post { kind: &kind, event, data: Some(data), ttl: None, collapse: None })
                    .await
            }
        }
    }
}

/// The posters of a row's load.
pub(crate) struct Posters {
    tasks: JoinSet<()>,
    finish: Arc<AtomicBool>,
}

impl Posters {
    pub(crate) fn start(poster: &Poster, load: &Load, communities: impl Iterator<Item = CommunityId>) -> Self {
        let finish = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for community in communities {
            tasks.spawn(posts(poster.clone(), load.clone(), community, Arc::clone(&finish)));
        }
        Self { tasks, finish }
    }

    /// Lets every poster end behind the post it is at.
    pub(crate) async fn finish(self) {
        self.finish.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

async fn posts(poster: Poster, load: Load, community: CommunityId, finish: Arc<AtomicBool>) {
    let mut newcomers = newcomers(community).into_iter();
    let mut pace = interval(load.pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1.. {
        pace.tick().await;
        if finish.load(Ordering::Relaxed) {
            return;
        }
        let event: EventId = format!("c{community}-{number}").parse().unwrap();
        let joins = load.joins && number % POSTS_A_JOIN == 0;
        match if joins { newcomers.next() } else { None } {
            Some(user) => poster.join(community, &event, user).await,
            None => poster.post(community, &event, load.data_bytes).await,
        }
    }
}
