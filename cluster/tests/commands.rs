//! The commands as a person types them: what they print, how they end, and what they say when it can't be done.

#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use peal_cluster::child::Recipe;
use peal_proto::{Partition, Topic};
use peal_store::embedded::{self, Settings};
use peal_store::log::{Headers, NewRecord};
use tempfile::TempDir;

const PEAL: &str = env!("CARGO_BIN_EXE_peal");

/// A state directory of its own and a data directory, gone with it.
struct Place {
    directory: TempDir,
    url: Option<String>,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), url: None }
    }

    fn recipe(&self) -> Recipe {
        Recipe::new(Path::new(PEAL), 3, &self.directory.path().join("data")).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PEAL);
        command.args(words).env_clear().env("XDG_STATE_HOME", self.directory.path().join("state")).stdin(Stdio::null());
        command.envs(self.url.as_ref().map(|url| ("PEAL_URL", url)));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it prints when it ends well.
    fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The one line it complains with, and its exit code.
    fn complains(&self, words: &[&str]) -> (String, i32) {
        let output = self.run(words);
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        (text(&output.stderr), output.status.code().unwrap())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn who_listens_sees_what_is_posted_and_goes_on_where_it_stopped() {
    let mut place = Place::new();
    let recipe = place.recipe();
    let _cluster = recipe.start().await.unwrap();
    place.url = Some(recipe.url().to_string());
    assert_eq!(place.says(&["members", "7", "add", "41..43,50"]), "4 added to community 7");
    assert_eq!(place.says(&["members", "7", "add", "43", "44"]), "1 added to community 7; 1 were members before");
    assert_eq!(place.says(&["members", "7", "remove", "50"]), "1 removed from community 7");
    assert_eq!(place.says(&["members", "7"]), "community 7 has 4 members: 41, 42, 43, 44");
    assert_eq!(place.says(&["members", "7", "list"]), "41\n42\n43\n44");

    assert_eq!(place.says(&["join", "7", "45", "--event", "e1", "--no-notify-self"]), "e1");
    let first = place.says(&["listen", "42", "--count", "1"]);
    assert!(first.contains("community.joined  in 7  {\"user\":45}"), "{first}");
    assert_eq!(place.says(&["post", "7", "community.posted", r#"{"text":"hi"}"#, "--event", "e2"]), "e2");
    assert_eq!(place.says(&["post", "7", "community.posted", r#"{"text":"hi"}"#, "--event", "e2"]), "e2");
    let second = place.says(&["listen", "42", "--count", "1", "--json", "--quiet"]);
    let frame: serde_json::Value = serde_json::from_str(&second).unwrap();
    assert_eq!(frame["notification"]["data"]["text"], "hi");
    let for_the_joiner = place.says(&["listen", "45", "-n1"]);
    assert!(for_the_joiner.contains("community.posted"), "{for_the_joiner}");
    let status = place.says(&["event", "e2"]);
    assert!(status.contains("published to 5 members") && status.starts_with("e2: community.posted"), "{status}");
}

/// Writes to the events log what no publisher would; the cluster must not run.
async fn write_events(recipe: &Recipe, values: &[&'static [u8]]) {
    let store = embedded::open(&recipe.data, Settings::default()).unwrap();
    let record = |value: &&'static [u8]| NewRecord {
        partition: Partition::new(0),
        key: 0,
        headers: Headers::default(),
        value: (*value).into(),
    };
    store.stores().log.append(Topic::Events, values.iter().map(record).collect()).await.unwrap();
}

/// Waits until everything that was posted to community 0 before is told, or was found to be no event.
fn settle(place: &Place, event: &str) {
    place.says(&["post", "0", "k", "--event", event]);
    place.says(&["listen", "42", "--count", "1"]);
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_replayed() {
    let mut place = Place::new();
    let recipe = place.recipe();
    write_events(&recipe, &[b"rubbish", b"\xff\x1b"]).await;
    let _cluster = recipe.start().await.unwrap();
    place.url = Some(recipe.url().to_string());
    place.says(&["members", "0", "add", "42"]);
    settle(&place, "e1");

    let list = place.says(&["dead-letters", "list"]);
    let (first, second) = list.split_once('\n').unwrap();
    assert!(first.starts_with("0-0  peal.events/0 at 0, key 0, 7 bytes: it is not an event: expected value"), "{list}");
    assert!(second.starts_with("0-1  peal.events/0 at 1, key 0, 2 bytes: it is not an event"), "{list}");
    let list = place.says(&["dead-letters", "list", "--json"]);
    let ids = list.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["letter"].take());
    assert_eq!(ids.collect::<Vec<_>>(), ["0-0", "0-1"]);
    let shown = place.says(&["dead-letters", "show", "0-1"]);
    assert!(shown.ends_with("\nfrom peal.events/0 at 1, key 0, 2 bytes:\n\\xff\\x1b"), "{shown}");
    let shown = place.says(&["dead-letters", "show", "0-0", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["letter"], &shown["value"]), (&"0-0".into(), &"rubbish".into()));

    assert_eq!(place.says(&["dead-letters", "replay", "0-1"]), "0-1 stands again in peal.events/0 at 3");
    settle(&place, "e2");
    let stand = "0-0 stands again in peal.events/0 at 5\n0-1 stands again in peal.events/0 at 6\n0-2 stands again in \
                 peal.events/0 at 7";
    assert_eq!(place.says(&["dead-letters", "replay", "--all"]), stand);
    settle(&place, "e3");
    assert_eq!(place.says(&["dead-letters", "list"]).lines().count(), 6, "those of the replays are not there");

    let (complaint, code) = place.complains(&["dead-letters", "show", "0-99"]);
    assert!(
        complaint.starts_with("peal: There is no such thing here (404): there is no dead letter 0-99"),
        "{complaint}"
    );
    assert_eq!((complaint.lines().count(), code), (1, 1));
    let output = place.run(&["dead-letters", "replay", "0-99", "0-0"]);
    assert_eq!(
        (text(&output.stdout).as_str(), output.status.code()),
        ("0-0 stands again in peal.events/0 at 9", Some(1))
    );
    let complaint = text(&output.stderr);
    assert!(complaint.contains("there is no dead letter 0-99"), "{complaint}");
    assert!(complaint.ends_with("\npeal: 1 of 2 dead letters were not replayed"), "{complaint}");
}

#[tokio::test]
async fn a_problem_is_one_line() {
    let mut place = Place::new();
    let recipe = place.recipe();
    let _cluster = recipe.start().await.unwrap();
    place.url = Some(recipe.url().to_string());
    let (complaint, code) = place.complains(&["event", "nobody-posted-this"]);
    assert!(complaint.starts_with("peal: There is no such thing here (404): event nobody-posted-this"), "{complaint}");
    assert_eq!((complaint.lines().count(), code), (1, 1));
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(70_000));
    let (complaint, code) = place.complains(&["post", "7", "community.posted", &large]);
    assert!(complaint.starts_with("peal: The body is too large (413)"), "{complaint}");
    assert_eq!((complaint.lines().count(), code), (1, 1));
}

#[test]
fn a_cluster_that_does_not_run_is_said_with_how_to_start_one() {
    let place = Place { url: Some("http://127.0.0.1:1".to_owned()), ..Place::new() };
    for words in
        [&["join", "7", "42"][..], &["listen", "42"], &["members", "7"], &["event", "e"], &["dead-letters", "list"]]
    {
        let (complaint, code) = place.complains(words);
        assert!(complaint.contains("no cluster answers at http://127.0.0.1:1 (connection refused)"), "{complaint}");
        assert!(complaint.contains("`peal up`"), "{complaint}");
        assert_eq!((complaint.lines().count(), code), (1, 1));
    }
}

#[tokio::test]
async fn a_second_cluster_on_the_same_directory_or_ports_says_so_and_stops() {
    let place = Place::new();
    let recipe = place.recipe();
    let cluster = recipe.start().await.unwrap();
    let (data, other) = (recipe.data.to_str().unwrap(), place.directory.path().join("other"));
    let (complaint, code) = place.complains(&["up", "--port", "0", "--data", data]);
    let holder = format!("{data} is in use by process {}", cluster.id().unwrap());
    assert!(complaint.contains(&holder) && complaint.contains("--data"), "{complaint}");
    assert_eq!((complaint.lines().count(), code), (1, 1));
    let port = (recipe.port + 1).to_string();
    let (complaint, code) = place.complains(&["up", "--port", &port, "--data", other.to_str().unwrap()]);
    assert!(complaint.contains(&format!("the publisher can't listen on 127.0.0.1:{port}")), "{complaint}");
    assert!(complaint.contains("--port"), "{complaint}");
    assert_eq!((complaint.lines().count(), code), (1, 1));
    assert!(cluster.stop().await.unwrap());
}

#[tokio::test]
async fn a_directory_keeps_its_partitions() {
    let place = Place::new();
    let recipe = place.recipe();
    assert!(recipe.start().await.unwrap().stop().await.unwrap());
    let data = recipe.data.to_str().unwrap();
    let (complaint, code) = place.complains(&["up", "--port", "0", "--data", data, "--partitions", "60"]);
    assert!(complaint.contains("has 120 partitions, not 60") && complaint.contains("--partitions"), "{complaint}");
    assert_eq!((complaint.lines().count(), code), (1, 1));
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_the_reason() {
    let place = Place::new();
    let file = place.directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("data");
    let (complaint, code) = place.complains(&["up", "--port", "0", "--data", inside.to_str().unwrap()]);
    assert!(complaint.contains(inside.to_str().unwrap()) && complaint.contains("Not a directory"), "{complaint}");
    assert_eq!((complaint.lines().count(), code), (1, 1));
}

#[test]
fn what_makes_no_sense_is_a_usage_fault_that_says_everything_at_once() {
    let place = Place::new();
    let (complaint, code) = place.complains(&["up", "--nodes", "7", "--listen", "0.0.0.0"]);
    assert!(complaint.contains("6 or 8 would") && complaint.contains("--advertise"), "{complaint}");
    assert!(complaint.contains("Usage: peal up"), "{complaint}");
    assert_eq!(code, 2);
    for (words, part) in [
        (&["replay"][..], "<ID>"),
        (&["replay", "--all", "7-0"], "cannot be used with"),
        (&["show", "7.0"], "the id of a dead letter is <partition>-<offset>, such as 7-0"),
    ] {
        let (complaint, code) = place.complains(&[&["dead-letters"], words].concat());
        assert!(complaint.contains(part), "{complaint}");
        assert_eq!(code, 2);
    }
    let (complaint, code) = place.complains(&["join", "7", "9007199254740992"]);
    assert!(complaint.contains("a user must be an integer from 0 to 9007199254740991"), "{complaint}");
    assert_eq!(code, 2);
}
