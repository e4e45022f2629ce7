//! A real Kafka of one or three brokers, of `services/up.sh`, in a directory and on ports of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::spawn_blocking;

use crate::real::{free_ports, run};

/// A broker every ten ports, its controller on the next.
const PORTS_A_BROKER: u16 = 10;

#[derive(Clone)]
struct Place {
    dir: PathBuf,
    brokers: u16,
    port: u16,
    redis_port: u16,
}

/// It is stopped and wiped when this is dropped.
pub(crate) struct Kafka(Place);

impl Kafka {
    /// Starts it, empty. The directory is used again by the next run: it keeps the jars.
    pub(crate) async fn start(brokers: u16) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failures-kafka-{brokers}"));
        fs::create_dir_all(&dir).unwrap();
        let (port, redis_port) = (free_ports(brokers * PORTS_A_BROKER), free_ports(1));
        let kafka = Self(Place { dir, brokers, port, redis_port });
        kafka.0.wipe();
        kafka.start_what_is_down().await;
        assert!(kafka.0.broker(1).is_some(), "Kafka has to be a process of this machine to be killed: install Java");
        kafka
    }

    pub(crate) fn addresses(&self) -> String {
        let Place { brokers, port, .. } = self.0;
        let addresses: Vec<_> = (0..brokers).map(|n| format!("127.0.0.1:{}", port + n * PORTS_A_BROKER)).collect();
        addresses.join(",")
    }

    pub(crate) fn brokers(&self) -> u16 {
        self.0.brokers
    }

    /// Kills one broker, counted from 1, as a power cut does.
    pub(crate) fn kill(&self, broker: u16) {
        self.0.signal(broker, Signal::KILL);
    }

    /// Stops one broker in mid-word: its connections stay, and nothing is answered.
    pub(crate) fn freeze(&self, broker: u16) {
        self.0.signal(broker, Signal::STOP);
    }

    pub(crate) fn thaw(&self, broker: u16) {
        self.0.signal(broker, Signal::CONT);
    }

    /// Waits until every broker answers again.
    pub(crate) async fn start_what_is_down(&self) {
        let place = self.0.clone();
        spawn_blocking(move || run(&mut place.script("up.sh"))).await.unwrap();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for broker in 1..=self.0.brokers {
            self.0.signal(broker, Signal::KILL);
        }
        self.0.wipe();
    }
}

impl Place {
    fn script(&self, name: &str) -> Command {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../services").join(name));
        script.env("PEAL_SERVICES", &self.dir).env("BROKERS", self.brokers.to_string());
        script.env("KAFKA_PORT", self.port.to_string()).env("REDIS_PORT", self.redis_port.to_string());
        script
    }

    fn wipe(&self) {
        run(self.script("down.sh").arg("--wipe"));
    }

    fn signal(&self, broker: u16, signal: Signal) {
        if let Some(pid) = self.broker(broker) {
            kill_process(pid, signal).unwrap();
        }
    }

    /// The process of a broker that runs. The pid file says when it started, too: a number that was given out again is left
    /// alone.
    fn broker(&self, broker: u16) -> Option<Pid> {
        let file = fs::read_to_string(self.dir.join(format!("kafka-{broker}.pid"))).ok()?;
        let (pid, started) = file.trim().split_once(' ')?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let now = stat.rsplit(") ").next()?.split_whitespace().nth(19)?;
        if now == started { Pid::from_raw(pid.parse().ok()?) } else { None }
    }
}
