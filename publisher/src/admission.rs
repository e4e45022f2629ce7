//! How many events a second are let in: a token bucket a client, and one a community, each only where a rate was set.
//!
//! Owns the buckets and who a client is. How much may be in flight is [`ingest`](crate::ingest)'s business, and how a refusal
//! reads over HTTP is decided here, as it is the same for all.

mod buckets;
mod client;
mod proxy;
mod rate;

use std::fmt;
use std::time::Duration;

use axum::http::request::Parts;
use peal_proto::CommunityId;
use peal_serve::{Clock, Failure};

use self::buckets::Buckets;
pub(crate) use self::client::Client;
pub use self::proxy::Proxy;
pub use self::rate::Rate;
use crate::config::Settings;

/// The buckets of one publisher.
pub(crate) struct Admission {
    clients: Option<Buckets<Client>>,
    communities: Option<Buckets<CommunityId>>,
    proxies: Vec<Proxy>,
}

/// Which buckets an event has still to take from. What it took is struck off, so that to ask again costs nothing twice.
#[derive(Debug)]
pub(crate) struct Toll {
    client: Option<Client>,
    community: Option<CommunityId>,
}

impl Toll {
    pub(crate) const fn new(client: Option<Client>, community: Option<CommunityId>) -> Self {
        Self { client, community }
    }
}

/// A bucket that is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverRate {
    /// The limit's name, as the metrics have it.
    limit: &'static str,
    whose: String,
    rate: Rate,
    /// Until the next token.
    pub(crate) wait: Duration,
}

impl Admission {
    pub(crate) fn new(clock: &Clock, settings: &Settings) -> Self {
        let keys_max = settings.rate_keys_max;
        let rates = &settings.admission;
        Self {
            clients: rates.client_rate.map(|rate| Buckets::new("client", rate, keys_max, clock.clone())),
            communities: rates.community_rate.map(|rate| Buckets::new("community", rate, keys_max, clock.clone())),
            proxies: rates.trusted_proxies.clone(),
        }
    }

    /// Whether nothing is limited.
    pub(crate) const fn is_off(&self) -> bool {
        self.clients.is_none() && self.communities.is_none()
    }

    /// Who sent a request, if that matters.
    pub(crate) fn client(&self, request: &Parts) -> Option<Client> {
        self.clients.as_ref().map(|_| Client::of(request, &self.proxies))
    }

    /// Takes what the event has still to take, the client's token first.
    pub(crate) fn admit(&self, toll: &mut Toll) -> Result<(), OverRate> {
        take(self.clients.as_ref(), &mut toll.client)?;
        take(self.communities.as_ref(), &mut toll.community)
    }
}

fn take<K>(buckets: Option<&Buckets<K>>, owed: &mut Option<K>) -> Result<(), OverRate>
where
    K: std::hash::Hash + Eq + Clone + fmt::Display,
{
    if let Some((buckets, key)) = buckets.zip(owed.as_ref()) {
        let over = |wait| OverRate { limit: buckets.limit, whose: key.to_string(), rate: buckets.rate, wait };
        buckets.take(key).map_err(over)?;
    }
    *owed = None;
    Ok(())
}

impl OverRate {
    /// The event is refused.
    pub(crate) fn refusal(self) -> Failure {
        metrics::counter!("peal_rate_refused_total", "limit" => self.limit).increment(1);
        let Self { limit, whose, rate, wait } = self;
        let detail = format!(
            "{limit} {whose} has used up its {} events a second and {} at once (--{limit}-rate {rate}); nothing was stored, \
             try again later",
            rate.per_second(),
            rate.burst()
        );
        Failure::too_many(detail, wait)
    }

    /// The event of a batch waits.
    pub(crate) fn delay(&self) {
        metrics::counter!("peal_rate_waits_total", "limit" => self.limit).increment(1);
    }
}
