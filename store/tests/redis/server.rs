//! A real `redis-server` of its own for each test.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use peal_store::Inbox;
use peal_store::conformance::RETENTION;
use peal_store::inbox::Retention;
use peal_store::redis::{self, Redis, Settings};
use tempfile::TempDir;

use super::simulation;

/// How long a server may take to answer for the first time.
pub(super) const START_TIME_MAX: Duration = Duration::from_secs(10);

/// A Redis that writes everything to disk before it answers, on a free port, in a directory of its own.
pub(super) struct Server {
    pub(super) directory: TempDir,
    pub(super) port: u16,
    pub(super) options: Vec<&'static str>,
    pub(super) process: Child,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    pub(super) async fn start_with(options: &[&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = spawn(directory.path(), port, options);
        let server = Self { directory, port, options: options.to_vec(), process };
        server.answers().await;
        server
    }

    /// Kills it, does something to its directory, and starts it again.
    pub(super) async fn restart(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.kill();
        meanwhile(self.directory.path());
        self.process = spawn(self.directory.path(), self.port, &self.options);
        self.answers().await;
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) async fn answers(&self) {
        let answers = async {
            while self.cli(&["PING"]) != "PONG" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(START_TIME_MAX, answers).await.expect("redis-server does not answer");
    }

    /// What `redis-cli` prints.
    pub(super) fn cli(&self, arguments: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port.to_string()]).args(arguments);
        String::from_utf8(cli.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    pub(super) async fn connect(&self, retention: Retention) -> Redis {
        let url = format!("redis://127.0.0.1:{}", self.port);
        redis::connect(Settings { retention, ..Settings::new(url) }).await.unwrap()
    }

    pub(super) async fn inbox(&self) -> Arc<dyn Inbox> {
        self.connect(RETENTION).await.stores(simulation().stores().log).inbox
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub(super) fn spawn(directory: &Path, port: u16, options: &[&str]) -> Child {
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--stream-node-max-bytes", "512"]);
    server.args(options);
    server.arg("--dir").arg(directory).stdout(Stdio::null());
    server.spawn().expect("redis-server is not there: apt-get install redis-server")
}
