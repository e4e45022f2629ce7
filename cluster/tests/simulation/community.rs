//! The community service: posts joins and events, and says who is a member. What is not answered it says again, with the
//! same event id, until it is or its patience ends.

mod accounts;
mod batch;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peal_proto::{Audience, CommunityId, EventId, UserId};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

pub(crate) use self::batch::{Batch, Form, Item};
use crate::book::{Book, Change, Join, Keep, Post, Published};
use crate::wire::{Answer, now, request};

/// Where it finds the publisher.
const PUBLISHER: &str = "publisher";

/// How long it waits for an answer before it asks again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long it waits between two attempts.
const RETRY: Duration = Duration::from_millis(400);

/// How often it asks how far an event is.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Connections it has at a time: those that a held-up network lets go at once must fit the publisher's backlog of 64, also when
/// each was given up and tried again.
const CONNECTIONS_MAX: usize = 12;

/// Something for the service to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Post an event.
    Post {
        community: CommunityId,
        event: EventId,
        /// Bytes of padding in its data.
        bytes: usize,
        keep: Keep,
        /// How often it is sent at most.
        attempts_max: u32,
    },
    /// Post many at once.
    Batch(Batch),
    /// Ask for the accounts of these events.
    Accounts(Vec<EventId>),
    /// Post a join.
    Join { community: CommunityId, user: UserId, event: EventId, notify_self: bool, attempts_max: u32 },
    /// Add members, all in one request.
    Add { community: CommunityId, users: Vec<UserId> },
    /// Remove one member.
    Remove { community: CommunityId, user: UserId },
    /// Have the users spread over so many nodes.
    Reshard { nodes: u32 },
}

/// Where errands are put for the service.
#[derive(Clone)]
pub(crate) struct Desk {
    book: Book,
    waiting: Arc<Mutex<VecDeque<Errand>>>,
    more: Arc<Notify>,
    connections: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(book: Book) -> Self {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { book, waiting: Arc::default(), more: Arc::default(), connections }
    }

    /// Another errand, to be begun at once.
    pub(crate) fn put(&self, errand: Errand) {
        self.book.open().errands += 1;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(errand);
        self.more.notify_one();
    }

    fn take(&self) -> Option<Errand> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The host's software.
    pub(crate) async fn serve(self) {
        loop {
            while let Some(errand) = self.take() {
                let desk = self.clone();
                tokio::task::spawn_local(async move {
                    desk.run(errand).await;
                    desk.book.open().errands -= 1;
                });
            }
            self.more.notified().await;
        }
    }

    async fn run(&self, errand: Errand) {
        match errand {
            Errand::Post { community, event, bytes, keep, attempts_max } => {
                let mut body =
                    json!({"event": event, "kind": "community.posted", "data": {"padding": "x".repeat(bytes)}});
                keep.write(&mut body);
                let path = format!("/v1/communities/{community}/events");
                self.note_sent(&event, Audience::Community(community), None, keep, None);
                self.post(&event, &path, &body, attempts_max).await;
            }
            Errand::Batch(batch) => self.post_batch(&batch).await,
            Errand::Accounts(events) => self.ask_accounts(&events).await,
            Errand::Join { community, user, event, notify_self, attempts_max } => {
                let body = json!({"event": event, "user": user, "notify_self": notify_self});
                let path = format!("/v1/communities/{community}/joins");
                let join = Some(Join { user, notify_self });
                self.note_sent(&event, Audience::Community(community), join, Keep::default(), None);
                self.post(&event, &path, &body, attempts_max).await;
            }
            Errand::Add { community, users } => {
                let path = format!("/v1/communities/{community}/members");
                let body = json!({"add": users}).to_string();
                self.change(community, &users, true, "POST", &path, &body).await;
            }
            Errand::Remove { community, user } => {
                let path = format!("/v1/communities/{community}/members/{user}");
                self.change(community, &[user], false, "DELETE", &path, "").await;
            }
            Errand::Reshard { nodes } => self.reshard(nodes).await,
        }
    }

    async fn post(&self, event: &EventId, path: &str, body: &Value, attempts_max: u32) {
        let body = body.to_string();
        for attempt in 0..attempts_max {
            if attempt > 0 {
                sleep(RETRY).await;
            }
            let answer = self.ask("POST", path, &body).await;
            self.book.trace(|| format!("service: {event} attempt {attempt}: {}", outcome(&answer)));
            match answer {
                Ok(answer) if answer.status == 202 => {
                    self.note_accepted(event);
                    return self.watch(vec![event]).await;
                }
                Ok(answer) => assert!(answer.status >= 500, "{event} was refused: {answer:?}"),
                Err(_) => {}
            }
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        let _connection = self.connections.acquire().await;
        request(PUBLISHER, method, path, body, ANSWER_TIMEOUT).await
    }

    /// Notes an event that is about to be sent, unless it was sent before.
    fn note_sent(&self, event: &EventId, audience: Audience, join: Option<Join>, keep: Keep, behind: Option<EventId>) {
        let post = || Post { audience, join, keep, sent: now(), accepted: None, behind, published: None };
        self.book.open().posts.entry(event.clone()).or_insert_with(post);
    }

    /// Notes that an event was answered to be durable.
    fn note_accepted(&self, event: &EventId) {
        if let Some(post) = self.book.open().posts.get_mut(event) {
            post.accepted = post.accepted.or_else(|| Some(now()));
        }
    }

    /// Asks for the status of each until it says that all members are told.
    async fn watch(&self, mut events: Vec<&EventId>) {
        while !events.is_empty() {
            sleep(STATUS_INTERVAL).await;
            for event in std::mem::take(&mut events) {
                if !self.is_published(event).await {
                    events.push(event);
                }
            }
        }
    }

    async fn is_published(&self, event: &EventId) -> bool {
        let path = format!("/v1/events/{event}");
        let Ok(answer) = self.ask("GET", &path, "").await else { return false };
        let Ok(status) = serde_json::from_str::<Value>(&answer.body) else { return false };
        if status["state"] != "published" && status["state"] != "settled" {
            return false;
        }
        self.book.trace(|| format!("service: {event} is published: {}", answer.body));
        let number = |name: &str| status[name].as_u64().unwrap();
        let published = Published { at: now(), members: number("members"), published: number("published") };
        if let Some(post) = self.book.open().posts.get_mut(event) {
            post.published = Some(published);
        }
        true
    }

    async fn change(&self, community: CommunityId, users: &[UserId], adds: bool, method: &str, path: &str, body: &str) {
        loop {
            let attempt = {
                let changes = &mut self.book.open().changes;
                let change = Change { community, users: users.to_vec(), adds, sent: now(), answered: None };
                changes.push(change);
                changes.len() - 1
            };
            let answer = self.ask(method, path, body).await;
            self.book.trace(|| format!("service: {method} {path} {users:?}: {}", outcome(&answer)));
            if answer.is_ok_and(|answer| answer.is_success()) {
                self.book.open().changes[attempt].answered = Some(now());
                return;
            }
            sleep(RETRY).await;
        }
    }
}

impl Desk {
    async fn reshard(&self, nodes: u32) {
        let body = json!({ "nodes": nodes }).to_string();
        while !self.ask("PUT", "/v1/shards", &body).await.is_ok_and(|answer| answer.is_success()) {
            sleep(RETRY).await;
        }
        self.book.trace(|| format!("service: {nodes} nodes"));
    }
}

fn outcome(answer: &Result<Answer, String>) -> String {
    match answer {
        Ok(answer) => answer.status.to_string(),
        Err(error) => error.clone(),
    }
}
