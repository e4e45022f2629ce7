//! Other producers: the programs of `docs/producing/`, run with the commands of `docs/producing.md` against a real Kafka, a
//! real Redis, a publisher and a node.
//!
//! Needs the binaries of publisher and node beside `peal`, and what the page asks for: Python, a JDK with Maven, Node.js.
//! `make test-producers` sees to it.

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the test")]

mod real;
#[path = "real/services.rs"]
mod services;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use peal_cluster::api::{Api, BaseUrl};
use peal_store::status::State;
use serde_json::Value;

use real::{PEAL, free_ports, program, run, until};
use services::{ROOT, Services, address, url};

const LANGUAGES: [&str; 3] = ["python", "java", "node"];
/// Of the programs, as the page calls them.
const COMMUNITY: &str = "7";
const USER: &str = "42";

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const TOLD_TIMEOUT: Duration = Duration::from_secs(30);

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
    services: Services,
    api: Api,
    processes: Vec<Child>,
}

impl Site {
    async fn start() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("producers");
        fs::create_dir_all(&dir).unwrap();
        let services = Services::start(dir.join("services"));
        let (publisher, node) = (free_ports(1), free_ports(1));
        let api = Api::new(url("http", publisher).parse::<BaseUrl>().unwrap());
        let mut site = Self { dir, services, api, processes: Vec::new() };
        site.peal(&["topics", "create", "--partitions", "12"]);
        site.spawn("peal-node", &["--node", "0", "--nodes", &url("ws", node), "--listen", &address(node)]);
        site.spawn("peal-publisher", &["--listen", &address(publisher)]);
        for port in [publisher, node] {
            let api = Api::new(url("http", port).parse().unwrap());
            until("ready", READY_TIMEOUT, async || api.ready().await.is_ok()).await;
        }
        site
    }

    fn spawn(&mut self, name: &str, args: &[&str]) {
        let log = File::create(self.dir.join(name).with_extension("log")).unwrap();
        let mut command = Command::new(program(name));
        command.args(args).envs(self.services.env.clone()).stdin(Stdio::null());
        self.processes.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// What `peal` says when it ends well.
    fn peal(&self, args: &[&str]) -> String {
        // By `timeout`: one that listens for what does not come would never end.
        let mut command = Command::new("timeout");
        command.arg(TOLD_TIMEOUT.as_secs().to_string()).arg(PEAL).args(args).envs(self.services.env.clone());
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
        run(bash
            .args(["-euo", "pipefail", "-c", &commands.join("\n")])
            .current_dir(&self.dir)
            .envs(self.services.env.clone()));
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
