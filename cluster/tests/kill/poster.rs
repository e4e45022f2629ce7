//! Who posts: one task a community, one post after the other, so that the order of answers is the order of the log.
//!
//! A post that is not answered is posted again with the same event id until it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use peal_cluster::api::{Api, ApiError, Join, Post};
use peal_proto::{CommunityId, EventId, UserId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::oracle::{Oracle, newcomers};

/// Every so many posts of a community somebody joins it, as long as there is somebody left to.
const POSTS_A_JOIN: u64 = 9;

pub(crate) struct Posters {
    tasks: JoinSet<()>,
    answered: watch::Receiver<u64>,
    finish: Arc<AtomicBool>,
}

struct Poster {
    api: Api,
    oracle: Oracle,
    community: CommunityId,
    up: watch::Receiver<bool>,
    answered: Arc<watch::Sender<u64>>,
    finish: Arc<AtomicBool>,
}

impl Posters {
    pub(crate) fn start(api: &Api, oracle: &Oracle, up: watch::Receiver<bool>) -> Self {
        let (sender, answered) = watch::channel(0);
        let (sender, finish) = (Arc::new(sender), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for (community, _) in oracle.communities() {
            let (api, oracle) = (api.clone(), oracle.clone());
            let (up, answered, finish) = (up.clone(), Arc::clone(&sender), Arc::clone(&finish));
            tasks.spawn(Poster { api, oracle, community, up, answered, finish }.run());
        }
        Self { tasks, answered, finish }
    }

    /// Waits until so many more posts are answered.
    pub(crate) async fn answered(&mut self, more: u64) {
        let until = *self.answered.borrow_and_update() + more;
        self.answered.wait_for(|answered| *answered >= until).await.unwrap();
    }

    /// Lets every poster end behind the post it is at.
    pub(crate) async fn finish(self) {
        self.finish.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

impl Poster {
    async fn run(mut self) {
        let mut newcomers = newcomers(self.community).into_iter();
        for number in 1.. {
            let event: EventId = format!("c{}-{number}", self.community).parse().unwrap();
            let joiner = if number % POSTS_A_JOIN == 0 { newcomers.next() } else { None };
            self.until_answered(&event, joiner).await;
            self.oracle.answered(self.community, joiner, &event);
            self.answered.send_modify(|answered| *answered += 1);
            if self.finish.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    async fn until_answered(&mut self, event: &EventId, joiner: Option<UserId>) {
        loop {
            match self.post(event, joiner).await {
                Ok(answered) => return assert_eq!(&answered, event),
                Err(ApiError::Problem(refusal)) => assert_eq!(refusal.status, 503, "{refusal}"),
                Err(ApiError::NotRunning { .. } | ApiError::Broken { .. }) => {}
                Err(error @ ApiError::Foreign { .. }) => panic!("{error}"),
            }
            self.up.wait_for(|up| *up).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    async fn post(&self, event: &EventId, joiner: Option<UserId>) -> Result<EventId, ApiError> {
        let event = Some(event);
        match joiner {
            Some(user) => self.api.join(self.community, &Join { user, event, data: None, notify_self: true }).await,
            None => {
                let kind = "community.posted".parse().unwrap();
                self.api.post(self.community, &Post { kind: &kind, event, data: None }).await
            }
        }
    }
}
