//! The cluster, measured, by clients in this process.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use peal_proto::{CommunityId, EventId, Kind, UserId};
use peal_store::members::MEMBERS_PAGE_MAX;
use tokio::task::JoinSet;
use tokio::time::sleep;

#[cfg(feature = "services")]
use super::baseline::open_sockets;
use super::heard::Heard;
use super::site::Site;
use super::{
    BURST, BURST_MEMBERS, BURSTS, Failure, LATENCY_MEMBERS, LATENCY_RATE, LATENCY_SPAN, Numbers, SINGLES, UNACKED,
    each, histogram, per_second,
};
#[cfg(feature = "services")]
use super::{site::Running, tally::Tally};
use crate::api::{Api, ApiError, Change, Post};
use crate::client::Client;
use crate::limits::ACK_INTERVAL;

/// Posts at a time: a few bursts.
const POSTS: usize = 64;

/// How long memory, and acks that are still under way, may take to settle.
const SETTLE: Duration = Duration::from_secs(3);

struct Subject {
    site: Site,
    heard: Arc<Heard>,
    sockets: u32,
    posted: u64,
}

/// What was measured of a cluster.
pub(super) struct Measured {
    pub(super) numbers: Numbers,
    /// Bytes of a frame that carries a notification.
    pub(super) frame_bytes: usize,
    /// Deliveries a CPU-second, singles and bursts, of the least there can be in the nodes' place.
    pub(super) floor: Option<(f64, f64)>,
}

/// Measures a cluster with so many sockets.
pub(super) async fn measure(site: Site, sockets: u32) -> Result<Measured, Failure> {
    let mut subject = Subject { site, heard: Arc::new(Heard::new()), sockets, posted: 0 };
    let (everybody, some) = (community(1)?, community(2)?);
    subject.become_members(everybody, 0..sockets).await?;
    subject.become_members(some, 0..LATENCY_MEMBERS).await?;
    let small = subject.small_communities().await?;
    sleep(SETTLE).await;

    let observed = subject.site.observed.clone();
    let (resident, cpu_time) = (observed.resident_bytes()?, observed.cpu_time()?);
    let clients = subject.open_sockets().await?;
    let handshakes = per_second(sockets, observed.cpu_time()? - cpu_time);
    sleep(SETTLE).await;
    let socket_bytes = each(sockets, resident, observed.resident_bytes()?);

    subject.unacknowledged(&[everybody], UNACKED).await?; // what is allocated once
    let unacked = subject.unacknowledged(&[everybody], UNACKED).await?;
    let singles = subject.rounds(&[everybody], SINGLES, 1).await?;
    let bursts = subject.rounds(&small, BURSTS, BURST).await?;
    let latency = subject.latency(some).await?;
    drop(clients);
    let frame_bytes = subject.heard.frame_bytes.load(Ordering::Relaxed);
    #[cfg(feature = "services")]
    let floor = subject.beneath(&[everybody], &small, frame_bytes).await?;
    #[cfg(not(feature = "services"))]
    let floor = None;
    let numbers = Numbers { socket_bytes, handshakes, unacked, singles, bursts, latency };
    Ok(Measured { numbers, frame_bytes, floor })
}

fn community(number: u64) -> io::Result<CommunityId> {
    CommunityId::new(number).map_err(io::Error::other)
}

pub(super) async fn become_members(api: &Api, community: CommunityId, users: Range<u32>) -> Result<(), Failure> {
    let users: Vec<UserId> = users.filter_map(|user| UserId::new(user.into()).ok()).collect();
    for page in users.chunks(MEMBERS_PAGE_MAX) {
        api.change(community, &Change { add: page.to_vec(), ..Change::default() }).await?;
    }
    Ok(())
}

impl Subject {
    async fn become_members(&self, community: CommunityId, users: Range<u32>) -> Result<(), Failure> {
        become_members(&self.site.api, community, users).await
    }

    /// Everybody is in one of them.
    async fn small_communities(&self) -> Result<Vec<CommunityId>, Failure> {
        let mut communities = Vec::new();
        for (number, first) in (3..).zip((0..self.sockets).step_by(BURST_MEMBERS as usize)) {
            let community = community(number)?;
            self.become_members(community, first..self.sockets.min(first + BURST_MEMBERS)).await?;
            communities.push(community);
        }
        Ok(communities)
    }

    /// Opens a socket a user, at its owner, and waits until all are greeted.
    async fn open_sockets(&self) -> Result<JoinSet<()>, Failure> {
        let mut clients = JoinSet::new();
        for user in (0..u64::from(self.sockets)).filter_map(|user| UserId::new(user).ok()) {
            let client = Client::new(self.site.api.clone(), user, None, self.heard.clock.clone());
            let client = client.beginning_at(self.site.node_url(user));
            let client = client.acknowledging_unless(Arc::clone(&self.heard.acks_held));
            let heard = Arc::clone(&self.heard);
            let seat = self.heard.opening.acquire().await.map_err(io::Error::other)?;
            seat.forget(); // given back when the socket is greeted
            clients.spawn(async move { heard.listen(client).await });
        }
        self.heard.sockets.reaches(self.sockets.into()).await?;
        Ok(clients)
    }

    /// The same with clients that keep their acks to themselves until the end, which is not measured.
    async fn unacknowledged(&mut self, communities: &[CommunityId], times: u32) -> Result<f64, Failure> {
        self.heard.acks_held.store(true, Ordering::Relaxed);
        let before = self.site.observed.cpu_time()?;
        self.deliver(communities, times, 1).await?;
        let unacked = per_second(times * self.sockets, self.site.observed.cpu_time()? - before);
        self.heard.acks_held.store(false, Ordering::Relaxed);
        self.rounds(communities, 1, 1).await?;
        Ok(unacked)
    }

    /// [`Subject::deliver`], with every ack.
    async fn rounds(&mut self, communities: &[CommunityId], times: u32, events: u32) -> Result<f64, Failure> {
        let before = self.site.observed.cpu_time()?;
        self.deliver(communities, times, events).await?;
        sleep(ACK_INTERVAL * 2).await; // the last acks are part of the cost
        Ok(per_second(times * events * self.sockets, self.site.observed.cpu_time()? - before))
    }

    /// Posts so many events to each of the communities, so many times, each time waiting until everybody has them.
    async fn deliver(&mut self, communities: &[CommunityId], times: u32, events: u32) -> Result<(), Failure> {
        for _ in 0..times {
            self.post(communities, events).await?;
            self.posted += u64::from(events) * u64::from(self.sockets);
            self.heard.notifications.reaches(self.posted).await?;
        }
        Ok(())
    }

    /// So many events to each of the communities.
    async fn post(&self, communities: &[CommunityId], events: u32) -> Result<(), Failure> {
        let posts: Vec<_> = communities.iter().flat_map(|community| (0..events).map(|_| *community)).collect();
        for at_once in posts.chunks(POSTS) {
            let mut posting = JoinSet::new();
            for community in at_once.iter().copied() {
                let api = self.site.api.clone();
                posting.spawn(async move { post(&api, community, None).await });
            }
            posting.join_all().await.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// The same rounds, where the nodes are processes of their own, with the least there can be in their place.
    #[cfg(feature = "services")]
    async fn beneath(
        &mut self,
        everybody: &[CommunityId],
        small: &[CommunityId],
        frame_bytes: usize,
    ) -> Result<Option<(f64, f64)>, Failure> {
        let Running::Apart(apart) = &mut self.site.running else { return Ok(None) };
        let mut floor = apart.replace_nodes(self.sockets, frame_bytes).await?;
        let (tally, mut bytes) = (Arc::new(Tally::default()), 0);
        open_sockets(floor.port, self.sockets, &tally).await?;
        floor.reads().await?;
        let mut made = Vec::new();
        for (communities, times, events) in [(everybody, 1, 1), (everybody, SINGLES, 1), (small, BURSTS, BURST)] {
            let before = floor.observed.cpu_time()?;
            for _ in 0..times {
                self.post(communities, events).await?;
                bytes += u64::from(events * self.sockets) * frame_bytes as u64;
                tally.reaches(bytes).await?;
            }
            made.push(per_second(times * events * self.sockets, floor.observed.cpu_time()? - before));
        }
        floor.end().await?;
        Ok(made.get(1).copied().zip(made.get(2).copied()))
    }

    /// From the arrival of the 202 at the poster to that of the notification at each member.
    async fn latency(&mut self, community: CommunityId) -> Result<Histogram<u64>, Failure> {
        let (heard, members) = (Arc::clone(&self.heard), u64::from(LATENCY_MEMBERS));
        heard.looking.store(true, Ordering::Relaxed);
        let (until, mut number) = (heard.clock.uptime() + LATENCY_SPAN, 0_u64);
        let mut pace = tokio::time::interval(Duration::from_secs(1) / LATENCY_RATE);
        let mut posts = JoinSet::new();
        while heard.clock.uptime() < until {
            pace.tick().await;
            number += 1;
            let (api, clock) = (self.site.api.clone(), heard.clock.clone());
            let event: EventId = format!("latency-{number}").parse().map_err(io::Error::other)?;
            posts.spawn(async move {
                post(&api, community, Some(&event)).await?;
                Ok::<_, ApiError>((event, clock.uptime()))
            });
        }
        let answered: Result<std::collections::HashMap<_, _>, _> = posts.join_all().await.into_iter().collect();
        let answered = answered?;
        self.posted += number * members;
        heard.notifications.reaches(self.posted).await?;
        let mut latency = histogram()?;
        for (event, arrived) in heard.arrivals.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let Some(at) = answered.get(&event) else { continue };
            let micros = u64::try_from(arrived.saturating_sub(*at).as_micros()).unwrap_or(u64::MAX);
            latency.saturating_record(micros.max(1));
        }
        Ok(latency)
    }
}

async fn post(api: &Api, community: CommunityId, event: Option<&EventId>) -> Result<(), ApiError> {
    let kind = Kind::joined();
    api.post(community, &Post { kind: &kind, event, data: None, ttl: None, collapse: None }).await.map(drop)
}
