//! Where a Redis is: one server, or some of a Redis Cluster's.
//!
//! One server has the usual URL. A cluster's has the scheme `redis+cluster` or, for TLS, `rediss+cluster`, and as many hosts
//! as one likes, of which one has to answer: `redis+cluster://user:password@host:port,host:port`.

use redis::io::tcp::TcpSettings;
use redis::{ClientTlsConfig, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates};

use super::{SILENCE_TIME_MAX, unavailable};
use crate::StoreError;

/// What comes before the hosts of a cluster, and what each of them has instead.
const CLUSTER_SCHEMES: [(&str, &str); 2] = [("redis+cluster://", "redis://"), ("rediss+cluster://", "rediss://")];

/// Where a Redis is, and who vouches for it.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) first: ConnectionInfo,
    /// The other servers of a cluster; `None` when it is none.
    pub(super) others: Option<Vec<ConnectionInfo>>,
    /// PEM; the authorities of the system when there is none.
    pub(super) authority: Option<Vec<u8>>,
}

impl Address {
    pub(super) fn parse(url: &str, authority: Option<Vec<u8>>) -> Result<Self, StoreError> {
        let read = |url: &str| read(url).map_err(|error| unavailable("redis", error));
        let cluster = CLUSTER_SCHEMES.into_iter().find_map(|(of, each)| Some((each, url.strip_prefix(of)?)));
        let Some((scheme, rest)) = cluster else {
            return Ok(Self { first: read(url)?, others: None, authority });
        };
        let (who, hosts) = rest.rsplit_once('@').map_or(("", rest), |(who, hosts)| (who, hosts));
        let at = if who.is_empty() { "" } else { "@" };
        let mut servers = hosts.split(',').map(|host| read(&format!("{scheme}{who}{at}{host}")));
        let first = servers.next().transpose()?;
        let first = first.ok_or_else(|| unavailable("redis", "the URL names no host"))?;
        Ok(Self { first, others: Some(servers.collect::<Result<_, _>>()?), authority })
    }

    /// The servers of a cluster.
    pub(super) fn servers(&self) -> impl Iterator<Item = &ConnectionInfo> {
        [&self.first].into_iter().chain(self.others.iter().flatten())
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.others.is_some()
    }

    /// For the `redis` crate.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        let root_cert = self.authority.clone()?;
        Some(TlsCertificates { client_tls: None::<ClientTlsConfig>, root_cert: Some(root_cert) })
    }
}

fn read(url: &str) -> RedisResult<ConnectionInfo> {
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(SILENCE_TIME_MAX);
    Ok(url.into_connection_info()?.set_tcp_settings(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<String> {
        let address = Address::parse(url, None).unwrap();
        address.servers().map(|server| server.addr().to_string()).collect()
    }

    #[test]
    fn a_cluster_has_several_hosts_and_one_password() {
        let url = "redis+cluster://peal:p%40ss@a:7001,b:7002,c";
        assert_eq!(hosts(url), ["a:7001", "b:7002", "c:6379"]);
        let address = Address::parse(url, None).unwrap();
        assert!(address.is_cluster());
        assert!(address.servers().all(|server| server.redis_settings().password() == Some("p@ss")));
    }

    #[test]
    fn one_server_is_no_cluster() {
        assert_eq!(hosts("redis://a:7001"), ["a:7001"]);
        assert!(!Address::parse("rediss://a", None).unwrap().is_cluster());
        assert!(Address::parse("redis+cluster://a", None).unwrap().is_cluster());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", "redis", "http://a", "redis+cluster://", "redis+cluster://a,,b"] {
            assert!(Address::parse(wrong, None).is_err(), "{wrong}");
        }
    }
}
