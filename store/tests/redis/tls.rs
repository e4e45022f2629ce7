//! TLS, with an authority that only the settings name.

use std::process::Command;

use peal_proto::CommunityId;
use peal_store::StoreError;
use peal_store::redis::{self, Settings};
use tempfile::TempDir;

use super::server::{Server, free_port};
use super::{simulation, user};

/// An authority, and the certificate it gave a server on this machine.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let certificates = Self(tempfile::tempdir().unwrap());
        certificates
            .openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt");
        certificates.openssl("req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr");
        std::fs::write(certificates.0.path().join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
        let sign = "x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names";
        certificates.openssl(&format!("{sign} -out server.crt"));
        certificates
    }

    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        let done = openssl.args(arguments.split(' ')).current_dir(self.0.path()).output();
        assert!(done.expect("openssl is not there: apt-get install openssl").status.success(), "{arguments}");
    }

    fn path(&self, name: &str) -> &'static str {
        self.0.path().join(name).to_str().unwrap().to_owned().leak()
    }

    fn authority(&self) -> Vec<u8> {
        std::fs::read(self.path("ca.crt")).unwrap()
    }

    /// A server that speaks TLS too, and the URL for it.
    async fn server(&self) -> (Server, String) {
        let port = free_port();
        let [key, certificate, authority] = ["server.key", "server.crt", "ca.crt"].map(|name| self.path(name));
        let options = [
            ["--tls-port", port.to_string().leak()],
            ["--tls-key-file", key],
            ["--tls-cert-file", certificate],
            ["--tls-ca-cert-file", authority],
            ["--tls-auth-clients", "no"],
        ];
        (Server::start_with(options.as_flattened()).await, format!("rediss://127.0.0.1:{port}"))
    }
}

#[tokio::test]
async fn a_server_with_tls_is_reached_and_tells_what_changes() {
    let certificates = Certificates::new();
    let (server, url) = certificates.server().await;
    let settings = Settings { authority: Some(certificates.authority()), ..Settings::new(url) };
    let members = redis::connect(settings).await.unwrap().stores(simulation().stores().log).members;
    let community = CommunityId::new(7).unwrap();
    assert_eq!(members.add(community, vec![user(1)]).await.unwrap(), 1);
    super::members::until_kept(&server, &members).await;
    server.cli(&["SADD", "community:7:members", "2"]);
    super::members::until(&members, &[user(1), user(2)].into()).await;
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let (server, url) = Certificates::new().server().await;
    let other = Certificates::new().authority();
    for authority in [None, Some(other)] {
        let refused = redis::connect(Settings { authority, ..Settings::new(&url) }).await.err();
        assert!(matches!(refused, Some(StoreError::Unavailable { .. })), "{refused:?}");
    }
    drop(server);
}
