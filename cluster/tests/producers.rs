//! Other producers: the programs of `docs/producing/`, run with the commands of `docs/producing.md` against a real Kafka, a
//! real Redis, a publisher and a node.
//!
//! Needs the binaries of publisher and node beside `peal`, and what the page asks for: Python, a JDK with Maven, Node.js.
//! `make test-producers` sees to it.

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use peal_cluster::api::{Api, BaseUrl};
use peal_store::status::State;
use rand::Rng;
use serde_json::Value;
use tokio::time::{sleep, timeout};

const PEAL: &str = env!("CARGO_BIN_EXE_peal");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const LANGUAGES: [&str; 3] = ["python", "java", "node"];
/// Of the programs, as the page calls them.
const COMMUNITY: &str = "7";
const USER: &str = "42";

/// Ports below the range from which the system takes its own (32768 and up on Linux).
const PORTS: Range<u16> = 20_000..31_000;
/// A broker has three in a row; then Redis, publisher and node.
const PORTS_NEEDED: u16 = 6;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const TOLD_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[tokio::test]
async fn the_programs_of_the_page_tell_whom_they_mean() {
    let site = Site::start().await;
    site.peal(&["members", COMMUNITY, "add", USER]);
    let mut expected = BTreeMap::new();
    for language in LANGUAGES {
        let page = Page::of(language);
        site.run(language, &page.commands);
        site.run(language, &page.again());
        // Told as often as its producer said it: nobody claims what stands in peal.notifications.
        expected.insert(format!("{}-letter:{USER}", page.event), 2);
        // Told once: the second copy found the claim of the first.
        expected.insert(format!("{}:{USER}", page.event), 1);
        site.has_met_twice(&page.event).await;
    }
    assert_eq!(site.told(expected.values().sum()), expected);
}

/// What the page says of one language.
struct Page {
    /// Line by line, as a person would paste them.
    commands: Vec<String>,
    /// The id that the last of them posts.
    event: String,
}

impl Page {
    fn of(language: &str) -> Self {
        let page = fs::read_to_string(Path::new(ROOT).join("docs/producing.md")).unwrap();
        let mut blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
        let begins = format!("cd docs/producing/{language}\n");
        let block =
            blocks.find(|block| block.starts_with(&begins)).unwrap_or_else(|| panic!("no {begins:?} in the page"));
        let commands: Vec<_> = block.lines().map(str::to_owned).collect();
        let last = commands.last().unwrap();
        assert!(last.contains(&format!(" {COMMUNITY} {USER} ")), "{last}");
        let event = last.split(' ').next_back().unwrap().to_owned();
        Self { commands, event }
    }

    /// The program once more, with all that it needs in place.
    fn again(&self) -> Vec<String> {
        [self.commands.first(), self.commands.last()].into_iter().flatten().cloned().collect()
    }
}

/// Everything, in a directory of its own; ended when dropped.
struct Site {
    dir: PathBuf,
    /// Of the services: where they are.
    env: Vec<(String, String)>,
    api: Api,
    processes: Vec<Child>,
    _services: Services,
}

impl Site {
    async fn start() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("producers");
        fs::create_dir_all(&dir).unwrap();
        let port = free_ports();
        let (services, env) = Services::start(dir.join("services"), port);
        let (publisher, node) = (port + 4, port + 5);
        let api = Api::new(url("http", publisher).parse::<BaseUrl>().unwrap());
        let mut site = Self { dir, env, api, processes: Vec::new(), _services: services };
        site.peal(&["topics", "create", "--partitions", "12"]);
        site.spawn("peal-node", &["--node", "0", "--nodes", &url("ws", node), "--listen", &address(node)]);
        site.spawn("peal-publisher", &["--listen", &address(publisher)]);
        for port in [publisher, node] {
            let api = Api::new(url("http", port).parse().unwrap());
            until("ready", READY_TIMEOUT, async || api.ready().await.is_ok()).await;
        }
        site
    }

    fn spawn(&mut self, program: &str, args: &[&str]) {
        let path = Path::new(PEAL).with_file_name(program);
        assert!(path.exists(), "{} is missing: cargo build --package {program} --features bin", path.display());
        let log = File::create(self.dir.join(program).with_extension("log")).unwrap();
        let mut command = Command::new(path);
        command.args(args).envs(self.env.clone()).stdin(Stdio::null());
        self.processes.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// What `peal` says when it ends well.
    fn peal(&self, args: &[&str]) -> String {
        // By `timeout`: one that listens for what does not come would never end.
        let mut command = Command::new("timeout");
        command.arg(TOLD_TIMEOUT.as_secs().to_string()).arg(PEAL).args(args).envs(self.env.clone());
        run(command.env("XDG_STATE_HOME", self.dir.join("state")).env("PEAL_URL", self.api.base().to_string()))
    }

    /// Runs what the page says, in a copy of what it is about.
    fn run(&self, language: &str, commands: &[String]) {
        let to = self.dir.join("docs/producing").join(language);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(Path::new(ROOT).join("docs/producing").join(language)).unwrap() {
            let from = entry.unwrap().path();
            if from.is_file() {
                fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
            }
        }
        let mut bash = Command::new("bash");
        run(bash.args(["-euo", "pipefail", "-c", &commands.join("\n")]).current_dir(&self.dir).envs(self.env.clone()));
    }

    /// Waits until an event is told, and its second copy passed over.
    async fn has_met_twice(&self, event: &str) {
        let event = event.parse().unwrap();
        let met = async || {
            let status = self.api.account(&event).await.map(|account| account.status);
            status.is_ok_and(|status| status.state >= State::Published && (status.members, status.duplicates) == (1, 1))
        };
        until(event.as_str(), TOLD_TIMEOUT, met).await;
    }

    /// How often the user is told what, of so many notifications.
    fn told(&self, count: usize) -> BTreeMap<String, usize> {
        let lines = self.peal(&["listen", USER, "--json", "--quiet", "--count", &count.to_string()]);
        let mut told = BTreeMap::new();
        for line in lines.lines() {
            let frame: Value = serde_json::from_str(line).unwrap();
            *told.entry(frame["notification"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        told
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().and_then(|()| process.wait()).ok();
        }
    }
}

/// Kafka and Redis of `services/up.sh`, empty; wiped when dropped.
struct Services {
    dir: PathBuf,
    port: u16,
}

impl Services {
    /// Starts them, and returns what they say of where they are.
    fn start(dir: PathBuf, port: u16) -> (Self, Vec<(String, String)>) {
        let services = Self { dir, port };
        run(services.script("down.sh").arg("--wipe")); // of a run that was killed
        let says = run(&mut services.script("up.sh"));
        let words = says.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let env = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (services, env)
    }

    fn script(&self, name: &str) -> Command {
        let mut script = Command::new(Path::new(ROOT).join("services").join(name));
        script.env("PEAL_SERVICES", &self.dir).env("BROKERS", "1");
        script.env("KAFKA_PORT", self.port.to_string()).env("REDIS_PORT", (self.port + 3).to_string());
        script
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.script("down.sh").arg("--wipe").stdout(Stdio::null()).status().ok();
    }
}

fn free_ports() -> u16 {
    loop {
        let first = rand::rng().random_range(PORTS);
        if (first..first + PORTS_NEEDED).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://{}", address(port))
}

async fn until(what: &str, at_most: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            sleep(LOOK_INTERVAL).await;
        }
    };
    assert!(timeout(at_most, held).await.is_ok(), "{what}: not within {} s", at_most.as_secs());
}

/// Runs a command to its end and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}: {said}{errors}", output.status);
    said.into_owned()
}
