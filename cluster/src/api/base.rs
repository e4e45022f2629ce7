//! Where a cluster is: the URL of its publisher.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

const SCHEME: &str = "http://";

/// `http://host:port`, perhaps with a path; the API lies under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why a text is not the URL of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// No URL at all.
    #[error("the URL of a publisher is http://HOST:PORT, such as http://127.0.0.1:7000")]
    Shape,
    /// Another scheme.
    #[error(
        "only http:// is spoken here; put a proxy that speaks TLS in front, and name it by http:// on this machine"
    )]
    Tls,
}

impl FromStr for BaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| InvalidUrl::Shape)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(InvalidUrl::Tls),
            Some(_) | None => return Err(InvalidUrl::Shape),
        }
        let authority = uri.authority().ok_or(InvalidUrl::Shape)?.to_string();
        if uri.query().is_some() || authority.contains('@') {
            return Err(InvalidUrl::Shape);
        }
        Ok(Self(format!("{SCHEME}{authority}{}", uri.path().trim_end_matches('/'))))
    }
}

impl BaseUrl {
    /// A publisher on this machine.
    #[must_use]
    pub(crate) fn of_port(port: u16) -> Self {
        Self(format!("{SCHEME}127.0.0.1:{port}"))
    }

    /// The URL of a path under this one.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// What a file about this cluster is called: `host:port`, and the path without its slashes.
    pub(crate) fn file_name(&self) -> String {
        self.0.trim_start_matches(SCHEME).replace('/', "%2F")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_may_have_a_path_and_loses_its_last_slash() {
        let join = |text: &str| text.parse::<BaseUrl>().unwrap().join("/v1/locate");
        assert_eq!(join("http://127.0.0.1:7000"), "http://127.0.0.1:7000/v1/locate");
        assert_eq!(join("http://peal.example/bells/"), "http://peal.example/bells/v1/locate");
        assert_eq!(join("http://[::1]:7000/"), "http://[::1]:7000/v1/locate");
        assert_eq!("http://a:1/bells/b".parse::<BaseUrl>().unwrap().file_name(), "a:1%2Fbells%2Fb");
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for text in ["", "127.0.0.1:7000", "localhost", "ftp://a", "http://", "http://a/?b", "http://me:pw@a"] {
            assert_eq!(text.parse::<BaseUrl>(), Err(InvalidUrl::Shape), "{text}");
        }
        assert_eq!("https://a".parse::<BaseUrl>(), Err(InvalidUrl::Tls));
    }
}
