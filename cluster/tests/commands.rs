//! The commands as a person types them: what they print, how they end, and what they say when it can't be done.

#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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
    let (complaint, _) = place.complains(&["post", "7", "k", "--ttl", "0"]);
    assert!(complaint.contains("a ttl is a whole number of seconds from 1 to 604800 (7 days), not 0"), "{complaint}");
    let second = place.says(&["listen", "42", "--count", "1", "--json", "--quiet"]);
    let frame: serde_json::Value = serde_json::from_str(&second).unwrap();
    assert_eq!(frame["notification"]["data"]["text"], "hi");
    let for_the_joiner = place.says(&["listen", "45", "-n1"]);
    assert!(for_the_joiner.contains("community.posted"), "{for_the_joiner}");
    let settled = || Some(place.says(&["event", "e2"])).filter(|status| status.contains("settled for 5 members"));
    let status = std::iter::repeat_with(settled).flatten().next().unwrap();
    assert!(status.starts_with("e2: community.posted"), "{status}");
}

#[tokio::test]
async fn who_was_away_is_told_the_newest_of_a_collapse_key_and_how_many_it_stands_for() {
    let mut place = Place::new();
    let recipe = place.recipe();
    let _cluster = recipe.start().await.unwrap();
    place.url = Some(recipe.url().to_string());
    place.says(&["members", "7", "add", "42"]);
    for joiner in 1..=17 {
        let (joiner, event) = (joiner.to_string(), format!("join-{joiner}"));
        place.says(&["join", "7", &joiner, "--event", &event, "--no-notify-self", "--collapse", "joins.7"]);
    }
    place.says(&["post", "7", "community.posted", "--event", "brief", "--ttl", "1"]);
    place.says(&["post", "7", "community.posted", "--event", "last"]);
    while !place.says(&["event", "last"]).contains("parked") || !place.says(&["event", "brief"]).contains("expired") {}
    let heard = place.says(&["listen", "42", "--count", "2"]);
    let lines: Vec<_> = heard.lines().collect();
    assert!(lines[0].contains(r#"{"user":17}  (and 16 before it)"#), "{heard}");
    assert!(lines[1].starts_with("-- a gap") && lines[1].ends_with("its time was over"), "{heard}");
    assert!(lines[2].contains("community.posted"), "{heard}");
    let replaced = place.says(&["event", "join-1"]);
    assert!(replaced.ends_with("settled for 1 member: 1 replaced"), "{replaced}");
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
    let stand = "0-0 stands again in peal.events/0 at 5\n0-2 stands again in peal.events/0 at 6";
    assert_eq!(place.says(&["dead-letters", "replay", "--all"]), stand);
    settle(&place, "e3");
    let list = place.says(&["dead-letters", "list"]);
    let marks = |line: &str| line.split(": it is not").next().unwrap().split(" bytes").nth(1).unwrap().to_owned();
    let marks: Vec<_> = list.lines().map(marks).collect();
    assert_eq!(marks, [", replayed", ", replayed", ", attempt 2, replayed", ", attempt 2", ", attempt 3"], "{list}");

    let (complaint, code) = place.complains(&["dead-letters", "show", "0-99"]);
    assert!(
        complaint.starts_with("peal: There is no such thing here (404): there is no dead letter 0-99"),
        "{complaint}"
    );
    assert_eq!((complaint.lines().count(), code), (1, 1));
    let (complaint, _) = place.complains(&["dead-letters", "replay", "0-0"]);
    assert!(complaint.contains("(409): dead letter 0-0 was replayed before; with ?again=true"), "{complaint}");
    let output = place.run(&["dead-letters", "replay", "0-99", "0-0", "--again"]);
    assert_eq!(
        (text(&output.stdout).as_str(), output.status.code()),
        ("0-0 stands again in peal.events/0 at 8", Some(1))
    );
    let complaint = text(&output.stderr);
    assert!(complaint.contains("there is no dead letter 0-99"), "{complaint}");
    assert!(complaint.ends_with("\npeal: 1 of 2 dead letters were not replayed"), "{complaint}");
}

/// A file of these items.
fn file(place: &Place, name: &str, items: &[&str]) -> String {
    let path = place.directory.path().join(name).display().to_string();
    fs::write(&path, items.join("\n")).unwrap();
    path
}

/// What it says of how many, without how fast.
fn tally(output: &Output) -> String {
    let text = text(&output.stdout);
    text.rsplit_once(" in ").unwrap_or_else(|| panic!("{text:?}, {:?}", output.stderr)).0.to_owned()
}

#[tokio::test]
async fn a_batch_says_what_became_of_its_items() {
    let mut place = Place::new();
    let recipe = place.recipe();
    let _cluster = recipe.start().await.unwrap();
    place.url = Some(recipe.url().to_string());
    let one = r#"{"user":42,"kind":"k","event":"e1"}"#;
    let good = file(&place, "good", &[one, "", r#"{"user":42,"kind":"k"}"#, r#"{"user":43,"kind":"k","event":"e3"}"#]);
    let output = place.run(&["batch", &good]);
    assert_eq!(
        (tally(&output).as_str(), text(&output.stderr).as_str()),
        ("3 accepted, 0 duplicate, 0 refused, 0 unknown", "")
    );
    assert!(output.status.success());
    assert_eq!(place.says(&["listen", "42", "-n2", "--json", "--quiet"]).lines().count(), 2);
    assert!(place.says(&["event", "e3"]).contains("for user 43"));

    let (bad, again) =
        (file(&place, "bad", &[one, "rubbish", "[]", r#"{"kind":"k"}"#]), file(&place, "again", &["old"]));
    let output = place.run(&["batch", &bad, "--failed", &again]);
    assert_eq!(tally(&output), "0 accepted, 1 duplicate, 3 refused, 0 unknown");
    let complaint = text(&output.stderr);
    for part in [
        "line 2 was refused: the item must be a JSON object",
        "line 3 was refused: a line is one object",
        "line 4 was refused: the item: it names nobody",
    ] {
        assert!(complaint.contains(part), "{complaint}");
    }
    assert!(complaint.ends_with("peal: 3 of 4 items were refused, and will be again as they are"), "{complaint}");
    assert_eq!((output.status.code(), fs::read_to_string(again).unwrap().as_str()), (Some(1), ""));

    let mut command = place.command(&["batch", "-"]);
    let mut batch = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = BufWriter::new(batch.stdin.take().unwrap());
    let many = 10_000;
    for number in 0..many {
        writeln!(stdin, r#"{{"user":{number},"kind":"k","event":"many{number}"}}"#).unwrap();
    }
    drop(stdin);
    let output = batch.wait_with_output().unwrap();
    assert_eq!(tally(&output), format!("{many} accepted, 0 duplicate, 0 refused, 0 unknown"));
}

/// A publisher that answers this once it has read the last of [`ITEMS`], and reads no more of the batch; whether it ends the
/// answer in order, or cuts it off.
fn publisher_of(answers: &'static str, in_order: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_until(&mut stream, b"\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        read_until(&mut stream, b"\"e3\"");
        write!(stream, "{:x}\r\n{answers}\r\n{}", answers.len(), if in_order { "0\r\n\r\n" } else { "" }).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut stream, &mut io::sink()).ok(); // a socket closed with something unread takes the answer with it
    });
    url
}

fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        read.extend(byte);
    }
}

const ITEMS: [&str; 4] =
    [r#"{"user":1,"kind":"k","event":"e1"}"#, "", r#"{"user":2,"kind":"k"}"#, r#"{"user":3,"kind":"k","event":"e3"}"#];

#[test]
fn a_batch_that_is_cut_off_says_what_is_not_known_and_what_to_send_again() {
    let mut place = Place::new();
    let items = file(&place, "items", &ITEMS);
    let accepted = "{\"item\":1,\"result\":\"accepted\",\"event\":\"e1\"}\n";
    place.url = Some(publisher_of(accepted, false));
    let output = place.run(&["batch", &items]);
    assert_eq!(
        (tally(&output).as_str(), output.status.code()),
        ("1 accepted, 0 duplicate, 0 refused, 2 unknown", Some(1))
    );
    let complaint = text(&output.stderr);
    assert!(complaint.starts_with(&format!("peal: {} did not answer: ", place.url.as_ref().unwrap())), "{complaint}");
    assert!(complaint.contains(". 2 items of lines 3 to 4 may be stored or not"), "{complaint}");
    assert!(complaint.contains(". Send it again from line 3 on"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);

    place.url = Some(publisher_of(accepted, false));
    let output = place.run(&["batch", &items, "--failed", &items]);
    assert_eq!(
        (tally(&output).as_str(), output.status.code()),
        ("1 accepted, 0 duplicate, 0 refused, 2 unknown", Some(1))
    );
    let complaint = text(&output.stderr);
    assert!(
        complaint.ends_with(&format!(". What has to be sent again stands in {items}: peal batch {items}")),
        "{complaint}"
    );
    let again = fs::read_to_string(&items).unwrap();
    let again: Vec<serde_json::Value> = again.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((again.len(), &again[0]["user"], &again[1]["event"]), (2, &2.into(), &"e3".into()));
    assert!(again[0]["event"].is_string(), "it keeps the id that it was sent with");
}

#[test]
fn a_batch_whose_log_does_not_answer_says_so() {
    let mut place = Place::new();
    let many: Vec<_> = (0..50_000).map(|_| ITEMS[3]).collect();
    let items = file(&place, "items", &[&ITEMS[..], &many].concat());
    let answers =
        "{\"item\":1,\"result\":\"accepted\"}\n{\"item\":2,\"result\":\"unknown\",\"detail\":\"log: no answer\"}\n";
    place.url = Some(publisher_of(answers, true));
    let output = place.run(&["batch", &items]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(complaint.starts_with("peal: line 3 is unknown: log: no answer\npeal: log: no answer. "), "{complaint}");
    assert!(complaint.contains("of lines 3 to ") && complaint.contains("nothing behind line "), "{complaint}");

    place.url = Some(publisher_of(answers, true));
    let again = place.directory.path().join("again");
    let output = place.run(&["batch", &items, "--failed", again.to_str().unwrap()]);
    assert!(tally(&output).contains(" unknown, "), "{output:?}");
    assert!(text(&output.stderr).starts_with("peal: log: no answer. "), "{output:?}");
    let again = fs::read_to_string(&again).unwrap();
    assert_eq!(again.lines().count(), many.len() + 2);
    assert!(again.lines().skip(1).all(|line| line == ITEMS[3]));
}

#[test]
fn a_batch_that_cannot_begin_names_the_file() {
    let place = Place { url: Some("http://127.0.0.1:1".to_owned()), ..Place::new() };
    let items = file(&place, "items", &ITEMS);
    let (complaint, code) = place.complains(&["batch", "/nowhere/items"]);
    assert_eq!(
        (complaint.as_str(), code),
        ("peal: /nowhere/items can't be read: No such file or directory (os error 2)", 1)
    );
    for failed in ["/nowhere/again", "/dev/null"] {
        let (complaint, code) = place.complains(&["batch", &items, "--failed", failed]);
        assert!(complaint.starts_with(&format!("peal: {failed} can't be written: ")), "{complaint}");
        assert_eq!((complaint.lines().count(), code), (1, 1));
    }
    let (complaint, _) = place.complains(&["batch", &items, "--failed", &items]);
    assert!(complaint.contains("no cluster answers"), "{complaint}");
    assert_eq!(fs::read_to_string(&items).unwrap(), ITEMS.join("\n"), "nothing was sent, and it is still there");
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
    for words in [
        &["join", "7", "42"][..],
        &["listen", "42"],
        &["members", "7"],
        &["event", "e"],
        &["dead-letters", "list"],
        &["batch", "-"],
    ] {
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
    fs::write(&file, "").unwrap();
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
