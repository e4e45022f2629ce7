//! Whose word is taken for where a request comes from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address, or all of a network: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxy {
    network: IpAddr,
    prefix: u8,
}

/// Why a text names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is an IP address, such as 10.0.0.1, or a network, such as 10.0.0.0/8")]
pub struct InvalidProxy;

impl Proxy {
    /// Whether the address is one of it.
    #[must_use]
    pub fn includes(&self, address: IpAddr) -> bool {
        let rest = |of: IpAddr| bits(of) - self.prefix;
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(rest(self.network).into()).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(rest(self.network).into()).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| InvalidProxy)?)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| InvalidProxy)?;
        let prefix = prefix.unwrap_or(bits(network));
        if prefix <= bits(network) { Ok(Self { network, prefix }) } else { Err(InvalidProxy) }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_includes_what_begins_like_it() {
        let includes = |proxy: &str, address: &str| proxy.parse::<Proxy>().unwrap().includes(address.parse().unwrap());
        for (proxy, address) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("0.0.0.0/0", "203.0.113.9"),
            ("fd00::/8", "fd12::1"),
            ("::/0", "2001:db8::1"),
            ("::1", "::1"),
        ] {
            assert!(includes(proxy, address), "{proxy} {address}");
        }
        for (proxy, address) in
            [("10.0.0.1", "10.0.0.2"), ("10.0.0.0/8", "11.0.0.1"), ("fd00::/8", "fc00::1"), ("0.0.0.0/0", "::1")]
        {
            assert!(!includes(proxy, address), "{proxy} {address}");
        }
        for text in ["", "proxy", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/8/8", "/8"] {
            assert_eq!(text.parse::<Proxy>(), Err(InvalidProxy), "{text:?}");
        }
    }
}
