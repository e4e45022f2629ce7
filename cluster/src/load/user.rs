//! One virtual user: plays the steps of a plan, one after the other, until it is through or one of them fails.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method as Verb, StatusCode};
use rand::Rng;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

use super::account::Account;
use super::course::Run;
use super::ledger::{Audience, Posted};
use super::plan::{After, Method, Request, Step, Word};
use super::scene::Seat;
use super::{bulk, template};

/// What a user's own variables are called; all others are the plan's.
pub(super) const VARIABLES: [&str; 6] = ["user", "community", "size", "speaks", "event", "posted"];

/// Why a user goes no further.
pub(super) type Outcome = Result<(), String>;

/// A virtual user.
pub(super) struct User {
    run: Arc<Run>,
    /// Whether it arrived in the phase that looks for the limit.
    is_at_limit: bool,
    seat: Seat,
    event: String,
    posted: Duration,
    turn: Option<OwnedMutexGuard<()>>,
}

impl User {
    pub(super) fn new(run: Arc<Run>, is_at_limit: bool) -> Self {
        let seat = run.scene.seat(0);
        Self { run, is_at_limit, seat, event: String::new(), posted: Duration::ZERO, turn: None }
    }

    /// From the first step to the last.
    pub(super) async fn plays(mut self) -> Outcome {
        let run = Arc::clone(&self.run);
        self.steps(&run.plan.flow).await
    }

    fn steps<'s>(&'s mut self, steps: &'s [Step]) -> Pin<Box<dyn Future<Output = Outcome> + Send + 's>> {
        Box::pin(async move {
            for step in steps {
                match step {
                    Step::Function(word) => self.word(*word).await?,
                    Step::Request(method, request) => self.request(*method, request).await?,
                    Step::Think(seconds) => sleep(Duration::try_from_secs_f64(*seconds).unwrap_or_default()).await,
                    Step::Loop(steps, count) => {
                        let count = template::value(count, &|name| self.variable(name));
                        for _ in 0..count.as_u64().ok_or_else(|| format!("a loop can't run {count} times"))? {
                            self.steps(steps).await?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    async fn word(&mut self, word: Word) -> Outcome {
        let run = Arc::clone(&self.run);
        let (audience, Seat { user, community, size, .. }) = (&run.audience, self.seat);
        match word {
            Word::Pick => self.seat = run.scene.seat(rand::rng().random_range(0..run.scene.users)),
            Word::Arrive => self.seat = run.scene.seat(run.arrivals.fetch_add(1, Ordering::Relaxed)),
            Word::Open => audience.open(user).await?,
            Word::Drop => audience.drop(user).await,
            Word::Close => audience.close(user).await,
            Word::Hear => audience.hear(user).await?,
            Word::Meet => audience.meet(Some(community), size).await?,
            Word::MeetAll => audience.meet(None, run.scene.users).await?,
            Word::TakeTurn => self.turn = Some(audience.take_turn(community).await?),
            Word::PassTurn => self.turn = None,
            Word::Bulk => bulk::run(&run).await?,
            Word::Follow => Account::settled(&run.api, &self.event, run.scene.patience).await?.adds_up(size)?,
        }
        Ok(())
    }

    async fn request(&mut self, method: Method, request: &Request) -> Outcome {
        if request.if_true.as_deref().is_some_and(|name| self.variable(name) != Value::Bool(true)) {
            return Ok(());
        }
        if request.before_request.is_some() {
            let number = self.run.posts.fetch_add(1, Ordering::Relaxed);
            (self.event, self.posted) = (format!("{}-{number}", self.run.scene.first()), self.run.clock.uptime());
        }
        let path = template::text(&request.url, &|name| self.variable(name));
        let body = request.json.as_ref().map(|json| template::value(json, &|name| self.variable(name)));
        let joiner = body.as_ref().and_then(|body| body.get("user")?.as_u64());
        let body = body.map(|body| Bytes::from(body.to_string()));
        let verb = match method {
            Method::Post => Verb::POST,
            Method::Delete => Verb::DELETE,
        };
        let answered = timeout(Duration::from_secs(self.run.plan.timeout), self.run.api.exchange(verb, &path, body));
        match answered.await {
            Ok(Ok((status, _, body))) => self.answered(request.after_response, status, &body, joiner).await,
            Ok(Err(error)) => self.too_much(request.after_response, error.to_string()),
            Err(_) => {
                self.too_much(request.after_response, format!("a request had no answer in {} s", self.run.plan.timeout))
            }
        }
    }

    /// The cluster could not take it now, and may have taken it all the same; at the limit that is no failure.
    fn too_much(&self, after: After, why: String) -> Outcome {
        if !self.is_at_limit || after == After::Left {
            return self.failed(after, why);
        }
        self.run.audience.ledger().unknown(&self.event);
        self.run.record.notes().refused += 1;
        Ok(())
    }

    fn failed(&self, after: After, why: String) -> Outcome {
        if after != After::Left {
            self.run.audience.ledger().unknown(&self.event);
        }
        Err(why)
    }

    async fn answered(&self, after: After, status: StatusCode, body: &[u8], joiner: Option<u64>) -> Outcome {
        let now = self.run.clock.uptime();
        let words = || String::from_utf8_lossy(body).into_owned();
        if after == After::Left {
            if !status.is_success() {
                return Err(format!("leaving was answered {status}: {}", words()));
            }
            self.run.audience.ledger().left(self.seat.community, self.seat.user, now);
            return Ok(());
        }
        let why = || format!("a post was answered {status}: {}", words());
        match status {
            StatusCode::ACCEPTED | StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => return self.too_much(after, why()),
            _ => return self.failed(after, why()),
        }
        let audience = Audience::Community(self.seat.community);
        let posted = Posted { audience, joiner, began: self.posted, answered: now };
        self.run.audience.ledger().accepted(&self.event, posted);
        self.run.record.notes().accepted(self.posted, now);
        match (after, status) {
            (After::Settled, StatusCode::OK) => Account::read(body)?.adds_up(self.seat.size),
            // Not yet; a poster goes on to follow it.
            (After::Settled, _) => {
                let account = Account::settled(&self.run.api, &self.event, self.run.scene.patience).await?;
                account.adds_up(self.seat.size)
            }
            (After::Answered | After::Left, _) => Ok(()),
        }
    }

    fn variable(&self, name: &str) -> Value {
        let Seat { user, community, size, speaks } = self.seat;
        match name {
            "user" => user.into(),
            "community" => community.into(),
            "size" => size.into(),
            "speaks" => speaks.into(),
            "event" => self.event.clone().into(),
            "posted" => u64::try_from(self.posted.as_micros()).unwrap_or(u64::MAX).into(),
            name => self.run.plan.variables.get(name).cloned().unwrap_or_default(),
        }
    }
}
