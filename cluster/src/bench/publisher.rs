//! What a publisher costs: joins, an event to many, a batch of a million; and what the same joins and records cost a bare handler
//! around a bare producer, in its place.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use peal_proto::{CommunityId, EventId, Kind};
use peal_serve::Clock;
use peal_store::status::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::minute::{join, told};
use super::process::{Machine, Observed};
use super::site::{Running, Site};
use super::subject::become_members;
use super::table::{Table, thousands};
use super::{Failure, per_second};
use crate::api::{Api, BaseUrl, Outcome, Post};

/// Joins, each answered before the next is posted by the same poster, …
const JOINS: u32 = 100_000;

/// … of so many posters, …
const POSTERS: u32 = 256;

/// … in so many communities.
const COMMUNITIES: u32 = 10_000;

/// Members of the community that is told one event.
const MEMBERS: u32 = 1_000_000;

/// Items of the batch, each for another user.
const ITEMS: u32 = 1_000_000;

/// Pieces of a batch that are ahead of its answers.
const PIECES_AHEAD: usize = 4;

/// Items of a piece.
const PIECE_ITEMS: u32 = 1_000;

/// How long a million notifications, or the bare producer's records, may take.
const RECORDS_TIME_MAX: Duration = Duration::from_secs(300);

/// How often it is asked how far a large event is: the answer costs the publisher some milliseconds.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// A publisher rests when it takes less than this of a second.
const REST_CPU_TIME_MAX: Duration = Duration::from_millis(50);

/// What came of it; all rates are a CPU-second.
pub(super) struct Costs {
    machine: Machine,
    joins: Pair,
    /// Of an event to many.
    notifications: Pair,
    /// The same while a node parks them all and says so: until everybody was told, and until its account is settled.
    received: f64,
    settled: f64,
    /// Of the batch: until everything was answered, and then until everybody was told.
    answered: Duration,
    told: Option<Duration>,
    items: f64,
    peak_mib: u64,
}

/// The publisher's, and the floor's.
struct Pair {
    peal: f64,
    floor: f64,
}

/// Measures one after the other.
pub(super) async fn measure(mut site: Site) -> Result<Costs, Failure> {
    let clock = Clock::system();
    let publisher = site.publisher.clone();

    let cpu_time = publisher.cpu_time()?;
    let last = joins(&site.api).await?;
    let joined = per_second(JOINS, publisher.cpu_time()? - cpu_time);
    told(&site.api, &last, &clock).await?;

    let everybody = CommunityId::new(u64::from(COMMUNITIES) + 1).map_err(io::Error::other)?;
    become_members(&site.api, everybody, 0..MEMBERS).await?;
    let event = Large::post(&site.api, &publisher, everybody).await?;
    let received = event.rate_until(State::Published).await?;
    let settled = event.rate_until(State::Settled).await?;

    rests(&publisher).await?;
    let (cpu_time, began) = (publisher.cpu_time()?, clock.uptime());
    let last = batch(&site.api).await?;
    let answered = clock.uptime() - began;
    let told_after = told(&site.api, &last, &clock).await?;
    let items = per_second(ITEMS, publisher.cpu_time()? - cpu_time);
    let peak_mib = publisher.resident_bytes()? >> 20;

    rests(&publisher).await?;
    let Running::Apart(apart) = &mut site.running else {
        return Err(io::Error::other("only the publisher of a cluster on services is measured").into());
    };
    apart.end_nodes().await?;
    let event = Large::post(&site.api, &publisher, everybody).await?;
    let notified = event.rate_until(State::Published).await?;
    let floor = apart.replace_publisher().await?;
    let cpu_time = floor.observed.cpu_time()?;
    joins(&Api::new(BaseUrl::of_port(floor.port))).await?;
    let floor_joined = per_second(JOINS, floor.observed.cpu_time()? - cpu_time);
    let floor_notified = records(floor.port, &floor.observed, &event.id, everybody).await?;
    floor.end().await?;
    Ok(Costs {
        machine: Machine::this(),
        joins: Pair { peal: joined, floor: floor_joined },
        notifications: Pair { peal: notified, floor: floor_notified },
        received,
        settled,
        answered,
        told: told_after,
        items,
        peak_mib,
    })
}

/// Waits until the publisher has nothing to do, accounts among it.
async fn rests(publisher: &Observed) -> Result<(), Failure> {
    let resting = async {
        loop {
            let before = publisher.cpu_time()?;
            sleep(Duration::from_secs(1)).await;
            if publisher.cpu_time()? - before < REST_CPU_TIME_MAX {
                return Ok::<_, io::Error>(());
            }
        }
    };
    Ok(timeout(RECORDS_TIME_MAX, resting).await.map_err(io::Error::other)??)
}

/// An event to many, posted to a publisher that had nothing else to do.
struct Large<'a> {
    id: EventId,
    api: &'a Api,
    publisher: &'a Observed,
    /// The publisher's, before.
    cpu_time: Duration,
}

impl<'a> Large<'a> {
    async fn post(api: &'a Api, publisher: &'a Observed, everybody: CommunityId) -> Result<Self, Failure> {
        rests(publisher).await?;
        let (cpu_time, kind) = (publisher.cpu_time()?, Kind::joined());
        let post = Post { kind: &kind, event: None, data: None, ttl: None, collapse: None };
        Ok(Self { id: api.post(everybody, &post).await?, api, publisher, cpu_time })
    }

    /// Waits until it has got this far; its notifications a CPU-second.
    async fn rate_until(&self, state: State) -> Result<f64, Failure> {
        let reached = async {
            while self.api.account(&self.id).await?.status.state < state {
                sleep(ASK_INTERVAL).await;
            }
            Ok::<_, Failure>(())
        };
        timeout(RECORDS_TIME_MAX, reached).await.map_err(io::Error::other)??;
        Ok(per_second(MEMBERS, self.publisher.cpu_time()? - self.cpu_time))
    }
}

/// Posts the joins; the last event that was answered.
async fn joins(api: &Api) -> Result<EventId, Failure> {
    let mut posters = JoinSet::new();
    for poster in 0..POSTERS {
        let api = api.clone();
        posters.spawn(async move {
            let mut last = None;
            for number in (poster..JOINS).step_by(POSTERS as usize) {
                last = Some(join(&api, 1 + u64::from(number % COMMUNITIES), u64::from(number)).await?);
            }
            Ok::<_, Failure>(last)
        });
    }
    let mut last = None;
    while let Some(posted) = posters.join_next().await {
        last = posted.map_err(io::Error::other)??.or(last);
    }
    last.ok_or_else(|| io::Error::other("nothing was joined").into())
}

/// Posts the batch; its last event, once all items are accepted.
async fn batch(api: &Api) -> Result<EventId, Failure> {
    let (pieces, body) = mpsc::channel(PIECES_AHEAD);
    let feed = tokio::spawn(async move {
        for first in (0..ITEMS).step_by(PIECE_ITEMS as usize) {
            if pieces.send(piece(first)).await.is_err() {
                return; // the batch has ended, and says why
            }
        }
    });
    let mut answers = api.batch(body).await?;
    let mut accepted = 0;
    while let Some(answer) = answers.next().await? {
        if answer.result != Outcome::Accepted {
            return Err(io::Error::other(format!("item {}: {}", answer.item, answer.detail)).into());
        }
        accepted += 1;
    }
    feed.await.map_err(io::Error::other)?;
    if accepted != ITEMS {
        return Err(io::Error::other(format!("{accepted} of {ITEMS} items were answered")).into());
    }
    Ok(id(ITEMS - 1).parse().map_err(io::Error::other)?)
}

fn id(item: u32) -> String {
    format!("bench-{item}")
}

fn piece(first: u32) -> Bytes {
    let mut piece = BytesMut::new();
    for item in first..first + PIECE_ITEMS {
        let line = format!("{{\"event\":\"{}\",\"user\":{item},\"kind\":\"order.shipped\",\"data\":{{}}}}\n", id(item));
        piece.put_slice(line.as_bytes());
    }
    piece.freeze()
}

/// Has the bare producer write the records that the event's notifications are; a CPU-second of it.
async fn records(port: u16, floor: &Observed, event: &EventId, community: CommunityId) -> Result<f64, Failure> {
    let before = format!("{{\"id\":\"{event}:");
    let behind = format!(
        "\",\"event\":\"{event}\",\"kind\":\"community.joined\",\"community\":{community},\
         \"at\":\"2026-11-22T10:00:00.000Z\",\"data\":{{}}}}"
    );
    let body = serde_json::json!({ "users": MEMBERS, "before": before, "behind": behind });
    let body = body.to_string();
    let cpu_time = floor.cpu_time()?;
    let written = async {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let head = "POST /records HTTP/1.1\r\nhost: peal\r\nconnection: close\r\ncontent-type: application/json\r\n";
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(RECORDS_TIME_MAX, written).await.map_err(io::Error::other)??;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("the floor did not write its records: {answer}")).into());
    }
    Ok(per_second(MEMBERS, floor.cpu_time()? - cpu_time))
}

impl Costs {
    pub(super) fn table(&self) -> Table<4> {
        Table { heads: ["", "peal", "floor", "ratio"], rows: self.rows(), notes: vec![self.note()] }
    }

    fn rows(&self) -> Vec<[String; 4]> {
        let pair = |what: &str, Pair { peal, floor }: &Pair| {
            [what.to_owned(), thousands(*peal), thousands(*floor), format!("{:.2}", peal / floor.max(f64::EPSILON))]
        };
        let single = |what: &str, number: String| [what.to_owned(), number, String::new(), String::new()];
        let seconds = |span: Duration| format!("{:.1}", span.as_secs_f64());
        let told = self.told.map_or_else(|| "over 60".to_owned(), seconds);
        let items = thousands(f64::from(ITEMS));
        vec![
            pair("joins answered with 202, a CPU-second", &self.joins),
            pair(
                &format!("notifications of one event to {}, a CPU-second", thousands(f64::from(MEMBERS))),
                &self.notifications,
            ),
            single("… while a node parks them all", thousands(self.received)),
            single("… until their account is settled", thousands(self.settled)),
            single(&format!("a batch of {items} until all is answered, s"), seconds(self.answered)),
            single("… then until all are told, s", told),
            single("… items a CPU-second, told", thousands(self.items)),
            single("resident MiB at the end", self.peak_mib.to_string()),
        ]
    }

    fn note(&self) -> String {
        let Machine { cpu, cores, kernel, commit } = &self.machine;
        format!(
            "Commit {commit}; {cores} cores of {cpu}, Linux {kernel}; `peal bench --services --publisher`, a release build. \
             CPU-seconds are the publisher's, user and kernel; joins are fanned out meanwhile. The event to many is posted when the \
             nodes are ended, and before while one parks everything. Floor: in the publisher's place, an axum handler around \
             librdkafka's producer with the same settings, and that producer with the same records."
        )
    }
}
