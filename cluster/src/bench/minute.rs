//! An ordinary minute: joins at a fixed rate, whether those before them were answered or not, and none may fail.
//!
//! A join counts from when it was due, so that one which is posted late is not taken for a quick one.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use peal_proto::{CommunityId, EventId, UserId};
use peal_serve::Clock;
use peal_store::status::State;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::process::Machine;
use super::site::Site;
use super::table::{Table, millis, thousands};
use super::{Failure, histogram};
use crate::api::{Api, ApiError, Join};

/// Joins of each community, so that on average five and a half members are told of one.
const JOINS_A_COMMUNITY: u64 = 10;

/// Joins that are not answered; one that is due beyond them fails. Each may have a connection.
const UNANSWERED_MAX: usize = 15_000;

/// How often those that are due are posted.
const TICK: Duration = Duration::from_millis(1);

/// How long the last join is waited for until everybody was told.
const TOLD_MAX: Duration = Duration::from_secs(60);

/// How often it is looked for.
const TOLD_INTERVAL: Duration = Duration::from_millis(100);

/// What came of it.
pub(super) struct Minute {
    machine: Machine,
    services: bool,
    rate: u32,
    seconds: u32,
    /// From when a join was due to its 202, in microseconds.
    answers: Histogram<u64>,
    /// Why joins failed, and how many.
    errors: BTreeMap<String, u64>,
    /// CPU time of the publisher until the last answer.
    cpu_time: Duration,
    resident_bytes: u64,
    /// From the last answer until all members of that community were told.
    told_after: Option<Duration>,
}

/// Posts so many joins a second for so long.
pub(super) async fn measure(site: &Site, rate: u32, seconds: u32, services: bool) -> Result<Minute, Failure> {
    let clock = Clock::system();
    let before = site.publisher.cpu_time()?;
    let mut minute = Minute {
        machine: Machine::this(),
        services,
        rate,
        seconds,
        answers: histogram()?,
        errors: BTreeMap::new(),
        cpu_time: Duration::ZERO,
        resident_bytes: 0,
        told_after: None,
    };
    let total = u64::from(rate) * u64::from(seconds);
    let (began, mut pace) = (clock.uptime(), interval(TICK));
    let (mut joins, mut number, mut last) = (JoinSet::new(), 0, None);
    while number < total {
        pace.tick().await;
        let micros = u64::try_from((clock.uptime() - began).as_micros()).unwrap_or(u64::MAX);
        let due = (micros * u64::from(rate) / 1_000_000 + 1).min(total);
        for number in number..due {
            if joins.len() >= UNANSWERED_MAX {
                minute.fails(format!("{UNANSWERED_MAX} joins had no answer"));
                continue;
            }
            let (api, clock) = (site.api.clone(), clock.clone());
            let at = began + Duration::from_micros(number * 1_000_000 / u64::from(rate));
            let community = 1 + number % (total / JOINS_A_COMMUNITY).max(1);
            joins.spawn(async move {
                let event = join(&api, community, number).await?;
                Ok((event, clock.uptime().saturating_sub(at)))
            });
        }
        number = due;
        while let Some(answered) = joins.try_join_next() {
            minute.take(answered.map_err(io::Error::other)?, &mut last);
        }
    }
    while let Some(answered) = joins.join_next().await {
        minute.take(answered.map_err(io::Error::other)?, &mut last);
    }
    minute.cpu_time = site.publisher.cpu_time()? - before;
    minute.resident_bytes = site.publisher.resident_bytes()?;
    if let Some(last) = last {
        minute.told_after = told(&site.api, &last, &clock).await?;
    }
    Ok(minute)
}

pub(super) async fn join(api: &Api, community: u64, user: u64) -> Result<EventId, ApiError> {
    let unusable =
        |error: &dyn std::error::Error| ApiError::Foreign { url: api.base().clone(), what: error.to_string() };
    let community = CommunityId::new(community).map_err(|error| unusable(&error))?;
    let user = UserId::new(user).map_err(|error| unusable(&error))?;
    api.join(community, &Join { user, event: None, data: None, notify_self: true, ttl: None, collapse: None }).await
}

/// How long it takes until everybody was told of an event, if not too long.
pub(super) async fn told(api: &Api, event: &EventId, clock: &Clock) -> Result<Option<Duration>, Failure> {
    let began = clock.uptime();
    loop {
        let span = clock.uptime() - began;
        if api.account(event).await?.status.state >= State::Published {
            return Ok(Some(span));
        }
        if span > TOLD_MAX {
            return Ok(None);
        }
        sleep(TOLD_INTERVAL).await;
    }
}

impl Minute {
    fn take(&mut self, answered: Result<(EventId, Duration), ApiError>, last: &mut Option<EventId>) {
        match answered {
            Ok((event, after)) => {
                self.answers.saturating_record(u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1));
                *last = Some(event);
            }
            Err(error) => self.fails(error.to_string()),
        }
    }

    fn fails(&mut self, why: String) {
        *self.errors.entry(why).or_default() += 1;
    }

    /// Fails where a join failed.
    pub(super) fn outcome(&self) -> Result<(), Failure> {
        let errors: u64 = self.errors.values().sum();
        let joins = errors + self.answers.len();
        if errors == 0 { Ok(()) } else { Err(Failure::Joins { errors, joins }) }
    }

    pub(super) fn table(&self) -> Table<2> {
        Table { heads: ["", ""], rows: self.rows(), notes: vec![self.note()] }
    }

    fn rows(&self) -> Vec<[String; 2]> {
        let number = |number: u64| thousands(u32::try_from(number).map_or(f64::INFINITY, f64::from));
        let errors = self.errors.values().sum();
        let mut rows = vec![
            ["joins answered with 202".to_owned(), number(self.answers.len())],
            ["errors".to_owned(), number(errors)],
        ];
        rows.extend(self.errors.iter().map(|(why, count)| [format!("… {why}"), number(*count)]));
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)] {
            rows.push([format!("due to 202, {name}, ms"), millis(&self.answers, quantile)]);
        }
        rows.push(["CPU-seconds".to_owned(), format!("{:.1}", self.cpu_time.as_secs_f64())]);
        rows.push(["resident MiB at the end".to_owned(), number(self.resident_bytes >> 20)]);
        let told = self.told_after.map(|span| format!("{:.1}", span.as_secs_f64()));
        let told = told.unwrap_or_else(|| format!("over {}", TOLD_MAX.as_secs()));
        rows.push(["last 202 until all were told, s".to_owned(), told]);
        rows
    }

    fn note(&self) -> String {
        let Machine { cpu, cores, kernel, commit } = &self.machine;
        let Self { rate, seconds, .. } = self;
        let (services, whose) = if self.services {
            (" --services", "the publisher's; Kafka, Redis, a node and the poster ran on the same cores")
        } else {
            ("", "of `peal up`, publisher, stores and nodes together; the poster ran on the same cores")
        };
        format!(
            "Commit {commit}; {cores} cores of {cpu}, Linux {kernel}; `peal bench{services} --joins {rate} --seconds {seconds}`, a \
             release build. {JOINS_A_COMMUNITY} joins a community. CPU-seconds and memory are {whose}."
        )
    }
}
