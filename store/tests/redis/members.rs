//! Members are kept while nothing changes, and never longer.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use peal_proto::name::{FANOUT_GROUP, MEMBERS_SINCE_KEY};
use peal_proto::{CommunityId, Offset, Partition, Position, ShardMap, Timestamp, Topic, UserId};
use peal_store::conformance::RETENTION;
use peal_store::log::{Commit, Source};
use peal_store::members::MEMBERS_PAGE_MAX;
use peal_store::{Members, StoreError, Stores};

use super::server::Server;
use super::{simulation, user};

const KEY: &str = "community:7:members";

/// Long after a change is told, and long before what was kept is too old.
const HEARD_TIME_MAX: Duration = Duration::from_secs(5);

fn community() -> CommunityId {
    CommunityId::new(7).unwrap()
}

async fn stores(server: &Server) -> Stores {
    server.connect(RETENTION).await.stores(simulation().stores().log)
}

async fn all(members: &Arc<dyn Members>) -> BTreeSet<UserId> {
    let (mut users, mut from) = (BTreeSet::new(), None);
    loop {
        let page = members.scan(community(), from).await.unwrap();
        users.extend(page.users);
        from = page.next;
        if from.is_none() {
            return users;
        }
    }
}

fn users(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<UserId> {
    numbers.into_iter().map(user).collect()
}

/// How often sets have been read.
pub(super) fn reads(server: &Server) -> u64 {
    let of = |line: &str| -> Option<u64> {
        let (command, figures) = line.trim().strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let is_read = ["sscan", "smembers", "scard"].contains(&command);
        is_read.then(|| figures.split(',').next().unwrap().parse().unwrap())
    };
    server.cli(&["INFO", "commandstats"]).lines().filter_map(of).sum()
}

/// Asks until the answer is this one; how many tries it took.
pub(super) async fn until(members: &Arc<dyn Members>, expected: &BTreeSet<UserId>) {
    let asking = async {
        while all(members).await != *expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HEARD_TIME_MAX, asking).await.expect("a change is not heard");
}

/// Asks until that no longer reads anything.
pub(super) async fn until_kept(server: &Server, members: &Arc<dyn Members>) {
    let asking = async {
        loop {
            let before = reads(server);
            all(members).await;
            if reads(server) == before {
                return;
            }
        }
    };
    tokio::time::timeout(HEARD_TIME_MAX, asking).await.expect("nothing is kept");
}

/// The connections that are told of changes.
fn tracking(server: &Server) -> Vec<String> {
    let clients = server.cli(&["CLIENT", "LIST"]);
    let field = |line: &str, name: &str| line.split(' ').find_map(|field| field.strip_prefix(name).map(str::to_owned));
    let tracks = |line: &&str| field(line, "flags=").unwrap().contains('t');
    clients.lines().filter(tracks).map(|line| field(line, "id=").unwrap()).collect()
}

/// Several commands, of which nothing else comes between two.
fn at_once(server: &Server, commands: &str) {
    let mut cli = Command::new("redis-cli");
    cli.args(["-p", &server.port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut cli = cli.spawn().unwrap();
    cli.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(cli.wait().unwrap().success());
}

#[tokio::test]
async fn a_community_with_a_member_that_is_no_user_is_read_each_time_until_that_is_gone() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    server.cli(&["SADD", KEY, "1", "2"]);
    until_kept(&server, &members).await;
    server.cli(&["SADD", KEY, "alice", "007"]);
    let found = async {
        loop {
            let invalid = members.scan(community(), None).await.unwrap().invalid;
            if invalid.len() == 2 {
                return assert_eq!(&*invalid[0].set, KEY);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HEARD_TIME_MAX, found).await.expect("what is no user is not given");
    for _ in 0..3 {
        let before = reads(&server);
        assert_eq!(all(&members).await, users([1, 2]));
        assert!(reads(&server) > before);
    }
    server.cli(&["SREM", KEY, "alice", "007"]);
    assert_eq!(members.scan(community(), None).await.unwrap().invalid, []);
    until_kept(&server, &members).await;
    assert_eq!(all(&members).await, users([1, 2]));
}

#[tokio::test]
async fn a_small_community_is_kept_until_another_program_changes_it() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    let mut expected = users([0]);
    server.cli(&["SADD", KEY, "0"]);
    for number in 1..20 {
        until_kept(&server, &members).await;
        server.cli(&["SADD", KEY, &number.to_string()]);
        expected.insert(user(number));
        until(&members, &expected).await;
    }
    server.cli(&["DEL", KEY]);
    until(&members, &users([])).await;
}

#[tokio::test]
async fn what_this_process_changes_it_sees_at_once() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    let other = stores(&server).await.members;
    members.add(community(), vec![user(0)]).await.unwrap();
    until_kept(&server, &members).await;
    for number in 1..200 {
        members.add(community(), vec![user(number)]).await.unwrap();
        assert_eq!(all(&members).await, users([0, number]));
        members.remove(community(), vec![user(number)]).await.unwrap();
        assert_eq!(all(&members).await, users([0]));
    }
    until(&other, &users([0])).await;
}

#[tokio::test]
async fn nothing_that_was_kept_outlives_the_connection_that_was_told_of_changes() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    server.cli(&["SADD", KEY, "0"]);
    for number in 1..10 {
        until_kept(&server, &members).await;
        let tracking = tracking(&server);
        assert_eq!(tracking.len(), 1);
        // One transaction, so that nobody is left to be told of the change.
        at_once(&server, &format!("MULTI\nCLIENT KILL ID {}\nSADD {KEY} {number}\nEXEC\n", tracking[0]));
        until(&members, &users(0..=number)).await;
    }
}

#[tokio::test]
async fn without_being_told_of_changes_members_are_read_each_time() {
    let server = Server::start_with(&["--rename-command", "CLIENT", ""]).await;
    let members = stores(&server).await.members;
    for number in 0..10 {
        server.cli(&["SADD", KEY, &number.to_string()]);
        assert_eq!(all(&members).await, users(0..=number));
    }
}

#[tokio::test]
async fn a_community_that_is_not_small_is_not_kept() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    let large = MEMBERS_PAGE_MAX as u64 + 1;
    let script = format!("for user = 1, {large} do redis.call('SADD', KEYS[1], user) end");
    server.cli(&["EVAL", &script, "1", KEY]);
    server.cli(&["SADD", "community:8:members", "1"]);
    for _ in 0..2 {
        let before = reads(&server);
        assert_eq!(all(&members).await, users(1..=large));
        assert!(reads(&server) > before);
    }
    server.cli(&["SREM", KEY, "1"]);
    until(&members, &users(2..=large)).await;
    until_kept(&server, &members).await;
}

#[tokio::test]
async fn another_shard_map_is_told_to_every_process() {
    let server = Server::start().await;
    let (ours, theirs) = (stores(&server).await.shards, stores(&server).await.shards);
    for epoch in 1..20 {
        let map = ShardMap::new(epoch, 12, vec!["ws://127.0.0.1:7000".to_owned()]).unwrap();
        ours.store(map.clone()).await.unwrap();
        let looking = async {
            while theirs.load().await.unwrap().as_ref() != Some(&map) {
                theirs.changed().await;
            }
        };
        tokio::time::timeout(HEARD_TIME_MAX, looking).await.expect("nothing is told");
    }
}

async fn is_refused(members: &Arc<dyn Members>) {
    let refused = async {
        loop {
            match members.scan(community(), None).await {
                Err(StoreError::Missing { reason, .. }) => return reason,
                Err(other) => panic!("{other}"),
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let reason = tokio::time::timeout(HEARD_TIME_MAX, refused).await.expect("a lost set is taken for an empty one");
    assert!(reason.contains("to put them back"), "{reason}");
}

#[tokio::test]
async fn members_that_were_lost_are_waited_for_and_never_taken_to_be_none() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    assert_eq!(all(&members).await, users([]), "a new cluster has lost nothing");
    server.cli(&["SADD", KEY, "1", "2"]);
    assert_eq!(all(&members).await, users([1, 2]));
    server.cli(&["FLUSHALL"]);
    is_refused(&members).await;
    server.cli(&["SADD", KEY, "1", "2", "3"]);
    until(&members, &users([1, 2, 3])).await;
}

#[tokio::test]
async fn members_that_were_not_put_back_in_time_are_none_since_then() {
    let server = Server::start().await;
    let members = stores(&server).await.members;
    assert_eq!(members.scan(community(), None).await.unwrap().none_since, None);
    server.cli(&["SET", MEMBERS_SINCE_KEY, "1795341600"]); // long ago
    let none_since = Timestamp::from_millis(1_795_341_660_000);
    assert_eq!(members.scan(community(), None).await.unwrap().none_since, Some(none_since));
    server.cli(&["SADD", KEY, "1"]);
    until(&members, &users([1])).await;
    assert_eq!(members.scan(community(), None).await.unwrap().none_since, None);
}

#[tokio::test]
async fn a_process_that_starts_on_an_empty_redis_knows_from_the_log_that_it_had_members() {
    let server = Server::start().await;
    let log = simulation().stores().log;
    let source = Source { group: FANOUT_GROUP, topic: Topic::Events, partition: Partition::new(0) };
    let commit = Commit { position: Position::at(Offset::new(5)), metadata: String::new() };
    log.commit(source, commit).await.unwrap();
    let members = server.connect(RETENTION).await.stores(log).members;
    is_refused(&members).await;
}
