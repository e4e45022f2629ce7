//! Who sent a request: the address of the connection, or what a proxy that is trusted says about it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::{FORWARDED, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use super::Proxy;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Bits of an IPv6 address that say whose it is; one subscriber has all addresses that begin with them (RFC 6177).
const SUBSCRIBER_BITS: u32 = 64;

/// An IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl Client {
    /// The rightmost address that is none of the proxies': who added it is trusted, and what stands left of it may be made up.
    /// Without proxies, that of the connection.
    pub(super) fn of(request: &Parts, proxies: &[Proxy]) -> Self {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let mut nearest = peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let is_trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.includes(address));
        for address in named(&request.headers).into_iter().flatten() {
            match address {
                Some(address) if is_trusted(nearest) => nearest = address,
                Some(_) | None => break,
            }
        }
        Self::from(nearest)
    }
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & u128::MAX << SUBSCRIBER_BITS).into(),
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/{SUBSCRIBER_BITS}"),
        }
    }
}

/// The addresses that proxies have named, the nearest first; `None` for one that can't be read. With both headers nothing is
/// named: a proxy writes one and passes the other on as its client made it up.
fn named(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let (forwarded, x_forwarded_for) = (headers.contains_key(FORWARDED), headers.contains_key(X_FORWARDED_FOR));
    let (header, address): (_, fn(&str) -> Option<IpAddr>) = match (forwarded, x_forwarded_for) {
        (true, false) => (FORWARDED, forwarded_for),
        (false, true) => (X_FORWARDED_FOR, address_of),
        (true, true) | (false, false) => return None,
    };
    let lines: Vec<&HeaderValue> = headers.get_all(header).iter().collect();
    let texts = lines.iter().rev().map(|line| line.to_str().unwrap_or_default());
    Some(texts.flat_map(|text| text.rsplit(',').map(address)).collect())
}

/// Of one element: `for="[2001:db8::17]:4711";proto=https` (RFC 7239 §4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let is_for = |pair: &&str| pair.trim_start().get(..4).is_some_and(|name| name.eq_ignore_ascii_case("for="));
    let (_, value) = element.split(';').find(is_for)?.split_once('=')?;
    address_of(value.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::17`, `[2001:db8::17]`, `[2001:db8::17]:4711`.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare().parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// Who sent it, by way of a peer, where 10/8 and fd00::/8 are trusted.
    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().extension(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|proxy| proxy.parse().unwrap());
        Client::of(&request.body(()).unwrap().into_parts().0, &proxies).to_string()
    }

    #[test]
    fn a_proxy_that_is_trusted_says_who_sent_it_and_nobody_else_does() {
        let xff = |value| client("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(client("192.0.2.1", &[("x-forwarded-for", "198.51.100.7")]), "192.0.2.1", "it is no proxy");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(xff("198.51.100.7"), "198.51.100.7");
        assert_eq!(xff("203.0.113.9, 198.51.100.7"), "198.51.100.7", "what stands left may be made up");
        assert_eq!(xff("203.0.113.9, 198.51.100.7,10.0.0.2 , 10.9.9.9"), "198.51.100.7");
        assert_eq!(xff("10.0.0.3, 10.0.0.2"), "10.0.0.3", "all are trusted");
        assert_eq!(xff("198.51.100.7, rubbish"), "10.0.0.1");
        assert_eq!(xff("198.51.100.7, rubbish, 10.0.0.2"), "10.0.0.2");
        assert_eq!(xff("198.51.100.7:4711"), "198.51.100.7");
        assert_eq!(xff(""), "10.0.0.1");
        let two = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client("10.0.0.1", &two), "198.51.100.7");
    }

    #[test]
    fn forwarded_is_read_as_well_and_with_both_headers_none_is() {
        let forwarded = |value| client("fd00::1", &[("forwarded", value)]);
        assert_eq!(forwarded("for=198.51.100.7"), "198.51.100.7");
        assert_eq!(forwarded(r#"for=203.0.113.9, proto=https;For="198.51.100.7:80";by=10.0.0.1"#), "198.51.100.7");
        assert_eq!(forwarded(r#"for="[2001:db8:0:1:2::3]:4711""#), "2001:db8:0:1::/64");
        assert_eq!(forwarded("for=unknown"), "fd00::/64");
        assert_eq!(forwarded("by=198.51.100.7"), "fd00::/64");
        let both = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client("10.0.0.1", &both), "10.0.0.1");
    }

    #[test]
    fn addresses_of_one_subscriber_are_one_client() {
        assert_eq!(client("2001:db8::1", &[]), client("2001:db8::ffff", &[]));
        assert_ne!(client("2001:db8::1", &[]), client("2001:db8:0:1::1", &[]));
        assert_eq!(client("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }
}
