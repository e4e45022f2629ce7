//! A real Redis with an append-only file, in a directory of its own: killed, started again, wiped, set back, followed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Process, Recipe};
use crate::real::{free_ports, until};

const READY_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Redis {
    pub(crate) port: u16,
    dir: PathBuf,
    recipe: Recipe,
    process: Option<Process>,
}

impl Redis {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::with(dir, &[]).await
    }

    /// One that follows `primary`, and has caught up with it.
    pub(crate) async fn following(primary: &Self, dir: &Path) -> Self {
        let replica = Self::with(dir, &["--replicaof", "127.0.0.1", &primary.port.to_string()]).await;
        let linked = async || replica.says(&["INFO", "replication"]).contains("master_link_status:up");
        until("the replica follows", READY_TIMEOUT, linked).await;
        replica
    }

    async fn with(dir: &Path, more: &[&str]) -> Self {
        fs::create_dir_all(dir).unwrap();
        let port = free_ports(1);
        let place = ["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", &dir.display().to_string()];
        let keeping = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];
        let rest = ["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"];
        let args = [&place[..], &keeping, &rest, more].concat();
        let recipe = Recipe {
            name: "redis-server".to_owned(),
            program: "redis-server".into(),
            args: args.into_iter().map(str::to_owned).collect(),
            env: Vec::new(),
            log: dir.join("redis.log"),
        };
        let mut redis = Self { port, dir: dir.to_owned(), recipe, process: None };
        redis.start_again().await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What Redis answers to a command.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let answer = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().unwrap();
        String::from_utf8_lossy(&answer.stdout).trim().to_owned()
    }

    /// The same, which has to be `OK`.
    pub(crate) fn does(&self, words: &[&str]) {
        assert_eq!(self.says(words), "OK", "redis {words:?}");
    }

    pub(crate) async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Its connections stay, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.process.as_ref().unwrap().freeze();
    }

    pub(crate) fn thaw(&self) {
        self.process.as_ref().unwrap().thaw();
    }

    /// With what its append-only file has, once it has read it.
    pub(crate) async fn start_again(&mut self) {
        self.process = Some(self.recipe.start());
        until("redis answers", READY_TIMEOUT, async || self.says(&["PING"]) == "PONG").await;
    }

    /// While it is down: as a new instance.
    pub(crate) fn lose_everything(&self) {
        fs::remove_dir_all(self.dir.join("appendonlydir")).unwrap();
    }

    fn tail(&self) -> PathBuf {
        let files = fs::read_dir(self.dir.join("appendonlydir")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap()
    }

    /// Bytes of the part of the append-only file that is written now.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail().metadata().unwrap().len()
    }

    /// While it is down: as a disk that had not written the end.
    pub(crate) fn lose_tail(&self, bytes: u64) {
        let file = File::options().write(true).open(self.tail()).unwrap();
        file.set_len(self.tail_bytes() - bytes).unwrap();
    }

    /// A follower takes the place of its dead primary, at the primary's address, as behind a name that was moved.
    pub(crate) fn take_the_place_of(&mut self, primary: &Self) {
        self.port_moves_to(primary.port);
    }

    fn port_moves_to(&mut self, port: u16) {
        self.does(&["CONFIG", "SET", "port", &port.to_string()]);
        self.port = port;
    }
}
