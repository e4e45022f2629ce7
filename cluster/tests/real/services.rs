//! Kafka, Redis and what else the scripts of `services/` start, empty, on ports of their own; wiped when dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::real::{free_ports, run};

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What the ports are for, each behind the one before; a broker has three.
const PORTS: [(&str, u16); 4] = [("KAFKA_PORT", 0), ("REDIS_PORT", 3), ("POSTGRES_PORT", 4), ("CONNECT_PORT", 5)];

pub(crate) struct Services {
    dir: PathBuf,
    ports: u16,
    /// Where Kafka and Redis are, for those who use them.
    pub(crate) env: Vec<(String, String)>,
}

impl Services {
    /// Starts Kafka and Redis.
    pub(crate) fn start(dir: PathBuf) -> Self {
        let mut services = Self { dir, ports: free_ports(6), env: Vec::new() };
        run(services.script("down.sh").arg("--wipe")); // of a run that was killed
        let says = run(&mut services.script("up.sh"));
        let words = says.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        services.env = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        services
    }

    /// One of the scripts, for these services.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut script = Command::new(Path::new(ROOT).join("services").join(name));
        script.env("PEAL_SERVICES", &self.dir).env("BROKERS", "1");
        script.envs(PORTS.map(|(name, _)| (name, self.port(name).to_string())));
        script
    }

    /// What a script is told by this name.
    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports + PORTS.into_iter().find(|(known, _)| *known == name).map(|(_, behind)| behind).unwrap()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.script("down.sh").arg("--wipe").stdout(Stdio::null()).status().ok();
    }
}

pub(crate) fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

pub(crate) fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://{}", address(port))
}
