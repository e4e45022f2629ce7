//! Two real nodes on loopback, of which clients know one: sockets of the other's users are relayed.

#![expect(clippy::unwrap_used, reason = "a connection that breaks fails the test")]

mod loopback;

use std::sync::Arc;
use std::time::Duration;

use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::{CloseCode, NodeId, ShardMap};
use peal_serve::{Clock, ConnectionLimits};
use peal_store::inbox::Retention;
use peal_store::leases::{Holder, Seat};
use peal_store::simulated::Simulation;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Error;
use tokio_util::sync::CancellationToken;

use self::loopback::{Bench, PARTITIONS};

/// What clients are told.
const ONE_NAME: &str = "ws://peal.example";

/// A node that relays, and listens here; the map says that the nodes are at these addresses.
async fn relaying(
    services: Simulation,
    listener: peal_serve::accept::Tcp,
    node: u32,
    urls: [String; 2],
    limits: Limits,
) -> Bench {
    peal_serve::telemetry::install_metrics();
    let address = axum::serve::Listener::local_addr(&listener).unwrap().to_string();
    let (_, map) = watch::channel(Arc::new(ShardMap::new(5, PARTITIONS, urls.to_vec()).unwrap()));
    let seat = Seat::new(NodeId::new(node), format!("ws://{address}"), Holder::new(format!("node {node}")));
    let node = Node::new(seat, services.stores(), map, Clock::system(), limits).relaying(ONE_NAME.to_owned());
    let stop = CancellationToken::new();
    tokio::spawn(peal_serve::serve(listener, node.router(), ConnectionLimits::default(), stop.clone()));
    let running = tokio::spawn(node.run(stop.clone()));
    let bench = Bench { services, address, stop, running };
    while !bench.get("/readyz").await.starts_with("HTTP/1.1 200") {}
    bench
}

async fn listen() -> (peal_serve::accept::Tcp, String) {
    let listener = peal_serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("ws://{}", axum::serve::Listener::local_addr(&listener).unwrap());
    (listener, url)
}

/// Node 0, where clients connect, and node 1, which owns the odd users; each has its own part of the services.
async fn two(roomy: Retention, limits: Limits) -> (Bench, Bench) {
    let ((first, first_url), (second, second_url)) = (listen().await, listen().await);
    let urls = || [first_url.clone(), second_url.clone()];
    let door = relaying(Simulation::new(1, PARTITIONS, roomy), first, 0, urls(), Limits::default()).await;
    let owner = relaying(Simulation::new(1, PARTITIONS, roomy), second, 1, urls(), limits).await;
    (door, owner)
}

async fn problem(bench: &Bench, query: &str) -> (u16, String, String) {
    let Err(Error::Http(answer)) = bench.try_connect(query).await else { panic!("{query} is refused") };
    let again = answer.headers()["retry-after"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), again, String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap())
}

#[tokio::test]
async fn a_socket_of_another_nodes_user_is_as_if_it_were_at_its_owner() {
    let (door, owner) = two(Retention::default(), Limits::default()).await;
    owner.notify([3], "before").await;
    let mut client = door.connect("user=3").await;
    assert!(client.text().await.contains(r#""node":1"#), "the owner greets");
    let (id, cursor) = client.notification().await;
    assert_eq!(id, "before:3");
    client.ack(&cursor).await;
    owner.notify([3], "live").await;
    assert_eq!(client.notification().await.0, "live:3");
    client.send("no frame").await;
    client.refused("not a frame of peal.v1").await;
    door.connect("user=3&cursor=abc").await.refused("a cursor is").await;

    let mut again = door.connect(&format!("user=3&cursor={cursor}")).await;
    assert_eq!(again.hello().await, cursor);
    assert_eq!(again.notification().await.0, "live:3");
    owner.stop.cancel();
    assert_eq!(again.closed().await.0, CloseCode::GoingAway.number(), "what the owner says reaches the client");
    let located = door.get("/v1/locate?user=3").await;
    assert!(located.ends_with(r#"{"user":3,"node":1,"epoch":5,"url":"ws://peal.example"}"#), "{located}");
}

#[tokio::test]
async fn what_the_owner_refuses_is_refused_and_one_that_is_away_is_waited_for() {
    let (door, owner) = two(Retention::default(), Limits { memory_max: Some(1), ..Limits::default() }).await;
    while !owner.get("/readyz").await.contains(r#""shed":"live""#) {}
    let (status, again, words) = problem(&door, "user=3").await;
    assert_eq!((status, again.as_str()), (503, "10"), "{words}");
    assert!(words.contains("node 1 has no memory for more sockets"), "{words}");
    owner.stop.cancel();
    owner.running.await.unwrap();
    let away =
        async { while !problem(&door, "user=3").await.2.contains("node 1, whose user it is, can't be reached") {} };
    tokio::time::timeout(Duration::from_secs(60), away).await.unwrap();
}

#[tokio::test]
async fn nodes_whose_maps_disagree_make_no_circle() {
    let ((first, first_url), (second, second_url)) = (listen().await, listen().await);
    let services = || Simulation::new(1, PARTITIONS, Retention::default());
    let limits = Limits::default();
    let one = relaying(services(), first, 0, [first_url.clone(), second_url.clone()], limits).await;
    // By its map it is node 0, too, and user 3 is the other's.
    let other = relaying(services(), second, 0, [second_url, first_url], limits).await;
    for (node, user) in [(&one, 3), (&other, 3)] {
        let (status, again, words) = problem(node, &format!("user={user}")).await;
        assert_eq!((status, again.as_str()), (503, "2"), "{words}");
        assert!(words.contains("do not agree yet whose user it is"), "{words}");
    }
}

#[tokio::test]
async fn a_relayed_client_that_does_not_read_costs_only_itself() {
    let roomy = Retention { notifications_max: 1_000_000, bytes_max: 1 << 30, ..Retention::default() };
    let limits = Limits { slow_timeout: Duration::from_secs(1), ..Limits::default() };
    let (door, owner) = two(roomy, limits).await;
    let mut slow = door.connect("user=3").await;
    slow.hello().await;
    let mut quick = door.connect("user=5").await;
    quick.hello().await;
    let filling = "x".repeat(20_000);
    let mut given = 0;
    while !owner.get("/metrics").await.contains("reason=\"too_slow\"") {
        owner.notify([3, 5], &format!("{given}-{filling}")).await;
        let (id, cursor) = quick.notification().await;
        assert!(id.starts_with(&format!("{given}-")));
        quick.ack(&cursor).await;
        given += 1;
        assert!(given < 10_000, "200 MB lie somewhere between the owner and a client that does not read");
    }
    drop(slow);
    let mut again = door.connect("user=3").await;
    again.hello().await;
    for expected in 0..given {
        let (id, cursor) = again.notification().await;
        assert!(id.starts_with(&format!("{expected}-")), "{expected} comes next, not {}", &id[..10]);
        again.ack(&cursor).await;
    }
}
