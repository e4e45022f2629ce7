//! Members that are a table: a real PostgreSQL, a real Debezium connector under Kafka Connect, and two publishers that follow
//! it, all killed under writes; then the sets are compared with the table.
//!
//! Needs the binaries of publisher and node beside `peal`, Java, Maven, and PostgreSQL, which `services/table.sh` installs as
//! root on Debian. `make test-cdc` sees to it all.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what cannot go on fails the test, and it says how far it is"
)]

mod real;
#[path = "real/services.rs"]
mod services;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use peal_cluster::api::{Api, Post};
use peal_proto::CommunityId;
use peal_store::status::State;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use real::{PEAL, free_ports, program, run, until};
use services::{Services, address, url};

const TOPIC: &str = "shop.public.memberships";
const COMMUNITIES: Range<u64> = 1..9;
const USERS: Range<u64> = 1..200;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the sets may take to be equal again: as long as Kafka takes to see that a publisher is gone, and Debezium that
/// PostgreSQL is back.
const EQUAL_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sets_stay_equal_to_the_table_whatever_is_killed() {
    let mut site = Site::start().await;
    site.is_equal("the snapshot of what was there before").await;

    let writer = Writer::start(&site);
    writer.goes_on().await;
    site.end("publisher-1");
    writer.goes_on().await;
    site.publisher(1).await;

    site.kill_service("connect").await;
    writer.goes_on().await;
    run(site.services.script("table.sh").env("VALUE_SCHEMAS", "true")); // from now on changes have their schema around them

    site.sql("alter table memberships add column since timestamptz default now()");
    writer.goes_on().await;

    site.kill_service("postgres").await;
    site.table("postgres");
    writer.goes_on().await;
    site.end("publisher-0");
    site.end("publisher-1");
    writer.goes_on().await;
    site.publisher(0).await;
    site.publisher(1).await;

    site.signal("publisher-0", "-STOP");
    until("the other follows all partitions", READY_TIMEOUT, async || site.follows_all(1)).await;
    writer.goes_on().await;
    site.signal("publisher-0", "-CONT");
    writer.goes_on().await;

    site.redis(&["flushall"]);
    writer.goes_on().await;
    writer.stop();
    site.is_equal("after all of it").await;

    site.redis(&["flushall"]);
    site.tells_all("while the sets are made again").await;
    site.is_equal("with a Redis that was emptied and a table that is quiet").await;

    site.sql("insert into memberships values (9, 9007199254740992), (9, 5)");
    site.sql("delete from memberships where community_id = 9 and user_id > 9007199254740991");
    until("a row that names no user is a dead letter", EQUAL_TIMEOUT, async || {
        site.peal(&["dead-letters", "list"]).contains(&format!("{TOPIC}/"))
    })
    .await;
    site.is_equal("beside a dead letter").await;

    site.peal(&["members", "1", "add", "9000"]);
    let verified = site.verify(&[]);
    let says = String::from_utf8(verified.stdout).unwrap();
    assert_eq!(says.trim(), "community 1: user 9000 is a member and should not be");
    assert_eq!(verified.status.code(), Some(1));
    assert!(site.verify(&["--repair"]).status.success());
    assert!(site.verify(&[]).status.success());
}

/// Writes to the table until it is stopped, whether PostgreSQL is there or not.
struct Writer {
    stopped: Arc<AtomicBool>,
    /// Batches that went through.
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(site: &Site) -> Self {
        let (stopped, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count, postgres) = (Arc::clone(&stopped), Arc::clone(&written), site.postgres());
        let write = move || {
            let mut rng = StdRng::seed_from_u64(7);
            while !until.load(Ordering::Relaxed) {
                let batch: String = (0..50).map(|_| statement(&mut rng)).collect();
                if psql(&postgres, &batch).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        Self { stopped, written, thread: Some(std::thread::spawn(write)) }
    }

    /// Waits until some more was written.
    async fn goes_on(&self) {
        let before = self.written.load(Ordering::Relaxed);
        until("writes", READY_TIMEOUT, async || self.written.load(Ordering::Relaxed) >= before + 10).await;
    }

    fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Joins, leaves, changes of another column, moves to another community, and all that at once.
fn statement(rng: &mut StdRng) -> String {
    let mut draw = || (rng.random_range(COMMUNITIES), rng.random_range(USERS), rng.random_range(0..10));
    let ((community, user, what), (to, until, _)) = (draw(), draw());
    let row = format!("community_id = {community} and user_id = {user}");
    match what {
        0..5 => format!("insert into memberships values ({community}, {user}, 'x') on conflict do nothing;\n"),
        5..7 => format!("delete from memberships where {row};\n"),
        7 => format!("update memberships set role = 'y' where {row};\n"),
        8 => format!(
            "update memberships set community_id = {to} where {row} and not exists \
             (select 1 from memberships where community_id = {to} and user_id = {user});\n"
        ),
        _ => format!(
            "begin; delete from memberships where community_id = {community} and user_id between {user} and {user} + 5; \
             insert into memberships values ({community}, {until}) on conflict do nothing; commit;\n"
        ),
    }
}

/// Everything, in a directory of its own; ended when dropped.
struct Site {
    dir: PathBuf,
    services: Services,
    node: u16,
    /// Two in a row.
    publishers: u16,
    processes: BTreeMap<String, Child>,
}

impl Site {
    async fn start() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cdc");
        fs::create_dir_all(&dir).unwrap();
        let services = Services::start(dir.join("services"));
        let (node, publishers) = (free_ports(1), free_ports(2));
        let mut site = Self { dir, services, node, publishers, processes: BTreeMap::new() };
        site.table("postgres");
        site.sql(
            "create table memberships (community_id bigint, user_id bigint, role text, primary key (community_id, user_id)); \
             insert into memberships select c, u from generate_series(1, 8) c, generate_series(1, 150) u",
        );
        site.table("");
        site.peal(&["topics", "create", "--partitions", "12"]);
        let (node, listen) = (url("ws", site.node), address(site.node));
        site.spawn("peal-node", "node", &["--node", "0", "--nodes", &node, "--listen", &listen]);
        site.publisher(0).await;
        site.publisher(1).await;
        site
    }

    async fn publisher(&mut self, number: u16) {
        let port = self.publishers + number;
        let args = ["--listen", &address(port), "--cdc-topic", TOPIC];
        self.spawn("peal-publisher", &format!("publisher-{number}"), &args);
        let api = Api::new(url("http", port).parse().unwrap());
        until("ready", READY_TIMEOUT, async || api.ready().await.is_ok()).await;
    }

    fn spawn(&mut self, binary: &str, name: &str, args: &[&str]) {
        let log = File::options().append(true).create(true).open(self.dir.join(name).with_extension("log")).unwrap();
        let mut command = Command::new(program(binary));
        command.args(args).envs(self.services.env.clone()).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.processes.insert(name.to_owned(), child);
    }

    /// `kill -9`.
    fn end(&mut self, name: &str) {
        let mut process = self.processes.remove(name).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn signal(&self, name: &str, signal: &str) {
        run(Command::new("kill").args([signal, &self.processes[name].id().to_string()]));
    }

    /// Whether a publisher says that every partition of the table is its own.
    fn follows_all(&self, publisher: u16) -> bool {
        let ready = format!("{}/readyz", url("http", self.publishers + publisher));
        let says = run(Command::new("curl").args(["-s", "--max-time", "5", &ready]));
        serde_json::from_str::<Value>(&says).unwrap()["cdc"]["assigned"] == 3
    }

    /// `kill -9` of what a script started; waits until it is gone.
    async fn kill_service(&self, name: &str) {
        let file = fs::read_to_string(self.dir.join("services").join(name).with_extension("pid")).unwrap();
        let pid = file.split(' ').next().unwrap();
        run(Command::new("kill").args(["-9", pid]));
        let is_gone =
            async || fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        until(&format!("{name} is gone"), READY_TIMEOUT, is_gone).await;
    }

    /// Starts PostgreSQL, and the connector unless it is left away, where they do not run.
    fn table(&self, what: &str) {
        run(self.services.script("table.sh").args((!what.is_empty()).then_some(what)));
    }

    fn postgres(&self) -> String {
        format!("postgresql://postgres@{}/postgres", address(self.services.port("POSTGRES_PORT")))
    }

    fn sql(&self, statements: &str) -> String {
        psql(&self.postgres(), statements).unwrap()
    }

    fn redis(&self, args: &[&str]) -> String {
        run(Command::new("redis-cli").args(["-p", &self.services.port("REDIS_PORT").to_string()]).args(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg(READY_TIMEOUT.as_secs().to_string()).arg(PEAL).args(args).envs(self.services.env.clone());
        command.env("PEAL_URL", url("http", self.publishers));
        command
    }

    /// What `peal` says when it ends well.
    fn peal(&self, args: &[&str]) -> String {
        run(&mut self.command(args))
    }

    /// Who is in which community, `community,user` a line, ascending; as the table says …
    fn rows(&self) -> String {
        self.sql("copy (select community_id, user_id from memberships order by 1, 2) to stdout csv")
    }

    /// … and as the sets do.
    fn members(&self) -> String {
        let mut members = Vec::new();
        for key in self.redis(&["keys", "community:*:members"]).lines().filter(|key| !key.is_empty()) {
            let community: u64 = key.split(':').nth(1).unwrap().parse().unwrap();
            members
                .extend(self.redis(&["smembers", key]).lines().map(|user| (community, user.parse::<u64>().unwrap())));
        }
        members.sort_unstable();
        members.iter().map(|(community, user)| format!("{community},{user}\n")).collect()
    }

    /// Posts an event to each community at once; everybody who is in the table has to be told.
    async fn tells_all(&self, when: &str) {
        let api = Api::new(url("http", self.publishers).parse().unwrap());
        let mut posted = Vec::new();
        for community in COMMUNITIES {
            let kind = "community.posted".parse().unwrap();
            let post = Post { event: None, kind: &kind, ttl: None, collapse: None, data: None };
            posted.push((community, api.post(CommunityId::new(community).unwrap(), &post).await.unwrap()));
        }
        for (community, event) in posted {
            let mut account = None;
            let published = async || {
                account = api.account(&event).await.ok();
                account.as_ref().is_some_and(|account| account.status.state >= State::Published)
            };
            until("published", EQUAL_TIMEOUT, published).await;
            let members = self.sql(&format!("select count(*) from memberships where community_id = {community}"));
            assert_eq!(account.unwrap().status.members.to_string(), members.trim(), "community {community}, {when}");
        }
    }

    async fn is_equal(&self, when: &str) {
        let equal = async || self.rows() == self.members();
        until(&format!("table and sets are equal: {when}"), EQUAL_TIMEOUT, equal).await;
        let verified = self.verify(&[]);
        assert!(verified.status.success(), "{when}: {}", String::from_utf8_lossy(&verified.stdout));
        let count = self.rows().lines().count();
        assert!(count > 100, "{count} rows are no test");
        println!("equal {when}: {count} memberships");
    }

    /// `peal members verify` with a dump of the table.
    fn verify(&self, more: &[&str]) -> Output {
        let dump = self.dir.join("members.csv");
        let rows = self.sql("copy (select community_id, user_id from memberships) to stdout csv header");
        fs::write(&dump, rows).unwrap();
        let all: Vec<_> = COMMUNITIES.map(|community| community.to_string()).collect();
        let args = ["members", "verify", "--file", dump.to_str().unwrap(), "--also", &all.join(",")];
        self.command(&args).args(more).output().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            process.kill().and_then(|()| process.wait()).ok();
        }
    }
}

/// Runs statements, all of them even if one fails; what they print, unless PostgreSQL is away.
fn psql(postgres: &str, statements: &str) -> Result<String, String> {
    let mut psql = Command::new("psql");
    psql.args([postgres, "-qAtX", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(statements.as_bytes()).ok(); // it may have ended
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(errors) }
}
