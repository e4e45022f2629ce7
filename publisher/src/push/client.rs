//! How a push leaves the process: one HTTPS request, bounded in time and in what is read of its answer.
//!
//! The addresses of push services come from whoever may register a subscription, and could name what only this machine can
//! reach. So where a URL leads is looked at behind its name: [`Reach::Public`] connects to public addresses only, whatever DNS
//! says at that moment. Redirects are not followed.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, vec};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use peal_proto::Timestamp;
use tokio::time::timeout;
use tower::Service;

use crate::limits::{
    PUSH_ANSWER_BYTES_MAX, PUSH_IDLE_MAX, PUSH_SENDS_AN_ORIGIN_MAX, PUSH_TIMEOUT, PUSH_WORDS_CHARS_MAX,
};

/// Where requests may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To public addresses, and by HTTPS.
    Public,
    /// Anywhere.
    Anywhere,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// An answer.
    Status {
        status: StatusCode,
        /// How long not to come back.
        retry_after: Option<Duration>,
        /// The beginning of what it says, for a person.
        words: String,
    },
    /// None, and why.
    Nothing(String),
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub(super) struct Client {
    reach: Reach,
    http: legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
}

impl Client {
    /// Connections to wherever `reach` allows, trusting whom the system trusts.
    ///
    /// # Errors
    /// When the system's certificates can't be read.
    pub(super) fn open(reach: Reach) -> io::Result<Self> {
        let mut connector = HttpConnector::new_with_resolver(Resolver(reach));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PUSH_TIMEOUT / 2));
        let provider = rustls::crypto::ring::default_provider();
        let schemes = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
        let schemes = if reach == Reach::Public { schemes.https_only() } else { schemes.https_or_http() };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(PUSH_IDLE_MAX)
            .pool_max_idle_per_host(PUSH_SENDS_AN_ORIGIN_MAX)
            .build(schemes.enable_http1().wrap_connector(connector));
        Ok(Self { reach, http })
    }

    /// Sends a request, and waits for its answer for [`PUSH_TIMEOUT`] at most.
    pub(super) async fn call(&self, request: Request<Full<Bytes>>, now: Timestamp) -> Answer {
        // An address in the place of a name is never resolved.
        let literal = request.uri().host().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        if let Some(address) = literal.filter(|address| !may_reach(self.reach, *address)) {
            return Answer::Nothing(not_public(address).to_string());
        }
        match timeout(PUSH_TIMEOUT, self.exchange(request, now)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Nothing(format!("no answer in {} s", PUSH_TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, now: Timestamp) -> Answer {
        let response = match self.http.request(request).await {
            Ok(response) => response,
            Err(error) => return Answer::Nothing(cause(&error)),
        };
        let (head, body) = response.into_parts();
        // Read to its end, so that the connection can be used again; what is longer closes it.
        let body = Limited::new(body, PUSH_ANSWER_BYTES_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let words = String::from_utf8_lossy(&body).chars().take(PUSH_WORDS_CHARS_MAX).collect();
        Answer::Status { status: head.status, retry_after: retry_after(&head.headers, now), words }
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = Timestamp::from(httpdate::parse_http_date(text).ok()?);
    Some(Duration::from_millis(date.millis().saturating_sub(now.millis())))
}

/// The innermost error, which says what happened.
fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(PUSH_WORDS_CHARS_MAX).collect()
}

/// Names to addresses that may be connected to.
#[derive(Debug, Clone, Copy)]
struct Resolver(Reach);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self(reach) = *self;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match found.iter().find(|address| !may_reach(reach, address.ip())) {
                Some(address) => Err(not_public(address.ip())),
                None => Ok(found.into_iter()),
            }
        })
    }
}

fn not_public(address: IpAddr) -> io::Error {
    io::Error::other(format!("{address} is not a public address"))
}

fn may_reach(reach: Reach, address: IpAddr) -> bool {
    reach == Reach::Anywhere || is_public(address)
}

/// Whether an address is of the internet, and not of a machine, a network or a use of its own (the registries of RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocols = (a, b, c) == (192, 0, 0);
    let is_benchmarks = a == 198 && (b == 18 || b == 19);
    let is_own = address.is_private() || address.is_loopback() || address.is_link_local();
    !(is_own || address.is_documentation() || is_shared || is_protocols || is_benchmarks || a == 0 || a >= 224)
}

/// Global unicast, without what leads to IPv4 addresses (6to4, Teredo) or is for documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a) && a != 0x2002 && (a, b) != (0x2001, 0) && (a, b) != (0x2001, 0x0db8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_public() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for text in ["1.1.1.1", "142.250.1.1", "172.15.0.1", "2606:4700::1111", "2a00:1450::5", "::ffff:1.1.1.1"] {
            assert!(public(text), "{text}");
        }
        let own = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"];
        let other =
            ["::1", "::", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1"];
        for text in own.into_iter().chain(other).chain(["255.255.255.255", "192.0.0.8", "198.18.0.1", "2001:db8::1"]) {
            assert!(!public(text), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_connected_to_by_address_or_by_name() {
        let client = Client::open(Reach::Public).unwrap();
        for url in ["https://127.0.0.1:1/", "https://[::1]:1/", "https://localhost:1/"] {
            let request = Request::post(url).body(Full::default()).unwrap();
            let Answer::Nothing(why) = client.call(request, Timestamp::from_millis(0)).await else { panic!("{url}") };
            assert!(why.ends_with("is not a public address"), "{url}: {why}");
        }
    }

    #[test]
    fn who_asks_to_come_back_later_is_understood() {
        let after = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, Timestamp::from_millis(784_111_770_000))
        };
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }
}
