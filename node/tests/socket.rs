//! A real node on loopback with real WebSocket clients: what a client may do, and what it is told when it does something
//! else. The stores are the simulated ones, so that they can be taken away.

#![expect(clippy::unwrap_used, reason = "a connection that breaks fails the test")]

mod loopback;

use std::time::Duration;

use futures_util::FutureExt;
use peal_node::limits::Limits;
use peal_proto::frame::{GapReason, NodeFrame};
use peal_proto::{CloseCode, Partition, Position, Topic};
use peal_store::inbox::Retention;
use peal_store::log::{Headers, NewRecord};
use peal_store::simulated::{Outage, Simulation, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use self::loopback::{PARTITIONS, node, start};

#[tokio::test]
async fn a_client_with_a_cursor_sees_each_notification_once_and_in_order() {
    let bench = node(Limits::default()).await;
    bench.notify([2, 2], "before").await;
    let mut client = bench.connect("user=2").await;
    let start = client.hello().await;
    let (first, _) = client.notification().await;
    let (_, cursor) = client.notification().await;
    bench.notify([2, 4, 2], "live").await;
    let (live, _) = client.notification().await;
    assert_eq!((first.as_str(), live.as_str()), ("before:2", "live:2"));
    assert!(start.ends_with(".0"), "{start} has seen nothing");
    drop(client);

    let mut again = bench.connect(&format!("user=2&cursor={cursor}")).await;
    assert_eq!(again.hello().await, cursor);
    let (replayed, _) = again.notification().await;
    let (_, last) = again.notification().await;
    assert_eq!(replayed, "live:2");
    again.ack(&last).await;
    bench.notify([2], "then").await;
    assert_eq!(again.notification().await.0, "then:2");
}

#[tokio::test]
async fn every_socket_of_a_user_receives_and_the_ninth_replaces_the_first() {
    let bench = node(Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..9 {
        let mut client = bench.connect("user=2").await;
        client.hello().await;
        clients.push(client);
    }
    let (code, reason) = clients.remove(0).closed().await;
    assert_eq!(code, CloseCode::Replaced.number(), "{reason}");
    bench.notify([2], "all").await;
    for client in &mut clients {
        assert_eq!(client.notification().await.0, "all:2");
    }
}

#[tokio::test]
async fn what_a_client_must_not_say_closes_its_socket_with_a_reason_and_no_other() {
    let bench = node(Limits::default()).await;
    let mut bystander = bench.connect("user=4").await;
    bystander.hello().await;
    let cases: [(Message, &str); 7] = [
        (Message::binary(vec![1, 2, 3]), "binary, of 3 bytes"),
        ("ack".into(), "not a frame of peal.v1"),
        (r#"{"type":"nack"}"#.into(), "unknown variant `nack`"),
        (r#"{"type":"ack","cursor":"1.0","more":1}"#.into(), "unknown field `more`"),
        (r#"{"type":"ack","cursor":"x"}"#.into(), "a cursor is <generation>.<position>"),
        (r#"{"type":"ack","cursor":"1.99"}"#.into(), "ahead of"),
        (" ".repeat(2_000).into(), "too long"),
    ];
    for (message, part) in cases {
        let mut client = bench.connect("user=2").await;
        let start = client.hello().await;
        assert_eq!(start, "1.0");
        client.send(message).await;
        client.refused(part).await;
    }
    let mut client = bench.connect("user=2").await;
    client.hello().await;
    client.ack("7.0").await;
    client.refused("ack 7.0 is of another generation").await;
    bench.notify([4], "undisturbed").await;
    assert_eq!(bystander.notification().await.0, "undisturbed:4");
    assert!(bench.get("/metrics").await.contains("peal_node_sessions_closed_total{reason=\"protocol_error\"}"));
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_the_socket_with_a_reason() {
    let bench = node(Limits::default()).await;
    let mut client = bench.connect("user=2").await;
    client.hello().await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!("no TLS here") };
    // A masked text frame (RFC 6455 §5.2) of two bytes that no UTF-8 text has; the mask is 0.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await.unwrap();
    client.refused("UTF-8").await;
}

#[tokio::test]
async fn a_query_that_is_wrong_is_told_to_a_page_as_a_close_and_to_curl_as_a_problem() {
    let bench = node(Limits::default()).await;
    for (query, part) in [
        ("user=x", "a user must be an integer"),
        ("user=9007199254740992", "2^53-1"),
        ("cursor=1.0", "missing field `user`"),
        ("user=2&cursor=abc", "a cursor is <generation>.<position>"),
        ("user=2&cursor=1.7", "ahead of the log, which ends at 1.0"),
        ("user=2&colour=red", "unknown field `colour`"),
    ] {
        bench.connect(query).await.refused(part).await;
    }
    let answer = bench.get("/v1/socket?user=x").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains("a user must be an integer"), "{answer}");
    assert!(bench.get("/v1/socket?user=2").await.contains("takes a WebSocket handshake"));
    assert!(bench.get("/v1/nothing").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_socket_at_the_wrong_node_is_refused_before_the_upgrade_with_the_owner() {
    let bench = node(Limits::default()).await;
    let Err(Error::Http(answer)) = bench.try_connect("user=3").await else { panic!("node 1 owns user 3") };
    let problem: serde_json::Value = serde_json::from_slice(answer.body().as_ref().unwrap()).unwrap();
    assert_eq!(answer.status(), 421);
    assert_eq!(problem["url"], "ws://127.0.0.1:9");
    let located = bench.get("/v1/locate?user=3").await;
    assert!(located.ends_with(r#"{"user":3,"node":1,"epoch":5,"url":"ws://127.0.0.1:9"}"#), "{located}");
}

#[tokio::test]
async fn a_cursor_of_another_generation_gets_a_gap_and_then_what_is_there() {
    let bench = node(Limits::default()).await;
    bench.notify([2], "kept").await;
    let mut client = bench.connect("user=2&cursor=9.4").await;
    assert_eq!(client.hello().await, "9.4");
    let text = client.text().await;
    let NodeFrame::Gap { from, to, reason } = NodeFrame::parse(&text).unwrap() else { panic!("{text}") };
    assert_eq!((from.to_string(), to.to_string(), reason), ("9.4".into(), "1.0".into(), GapReason::Generation));
    assert_eq!(client.notification().await.0, "kept:2");
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_only_itself() {
    peal_serve::telemetry::install_metrics();
    let limits = Limits { slow_timeout: Duration::from_secs(1), ..Limits::default() };
    let roomy = Retention { notifications_max: 1_000_000, bytes_max: 1 << 30, ..Retention::default() };
    let bench = start(Simulation::new(1, PARTITIONS, roomy), limits).await;
    let mut slow = bench.connect("user=2").await;
    slow.hello().await;
    let mut quick = bench.connect("user=4").await;
    quick.hello().await;
    let filling = "x".repeat(20_000);
    let mut given = 0;
    // The kernel buffers a few MiB for the one that does not read.
    while !bench.get("/metrics").await.contains("reason=\"too_slow\"") {
        bench.notify([2, 4], &format!("{given}-{filling}")).await;
        let (id, cursor) = quick.notification().await;
        assert!(id.starts_with(&format!("{given}-")));
        quick.ack(&cursor).await;
        given += 1;
    }
    drop(slow);
    let mut again = bench.connect("user=2").await;
    again.hello().await;
    for expected in 0..given {
        let (id, cursor) = again.notification().await;
        assert!(id.starts_with(&format!("{expected}-")), "{expected} comes next, not {}", &id[..10]);
        again.ack(&cursor).await;
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_dropped() {
    let limits = Limits { heartbeat: Duration::from_millis(250), ..Limits::default() };
    let bench = node(limits).await;
    let mut alive = bench.connect("user=2").await;
    alive.hello().await;
    let mut silent = TcpStream::connect(&bench.address).await.unwrap();
    let handshake = "GET /v1/socket?user=4 HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    silent.write_all(handshake.as_bytes()).await.unwrap();
    let ended = async {
        let mut received = Vec::new();
        silent.read_to_end(&mut received).await.unwrap();
    };
    tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(20), ended) => ended.unwrap(),
        text = alive.text() => panic!("nothing was sent, but {text} came"),
    }
    bench.notify([2], "still here").await;
    assert_eq!(alive.notification().await.0, "still here:2");
}

#[tokio::test]
async fn live_delivery_goes_on_without_the_inbox_and_readiness_says_so() {
    let bench = node(Limits::default()).await;
    let mut client = bench.connect("user=2").await;
    client.hello().await;
    bench.notify([2], "first").await;
    client.notification().await;
    bench.services.break_down(Store::Inbox, Outage::Refuse);
    bench.notify([4, 2], "without").await; // user 4 is away and can't be parked
    assert_eq!(client.notification().await.0, "without:2");
    while !bench.get("/readyz").await.starts_with("HTTP/1.1 503") {}
    bench.services.heal(Store::Inbox);
    while !bench.get("/readyz").await.starts_with("HTTP/1.1 200") {}
    let mut away = bench.connect("user=4").await;
    away.hello().await;
    assert_eq!(away.notification().await.0, "without:4");
}

#[tokio::test]
async fn a_partition_whose_window_is_full_is_read_no_further_until_the_inbox_is_back_and_the_others_go_on() {
    const AWAY: usize = 300;
    let bench = node(Limits { window_records_max: 100, ..Limits::default() }).await;
    let mut behind = bench.connect("user=6").await; // in the partition of user 2
    behind.hello().await;
    let mut other = bench.connect("user=4").await;
    other.hello().await;
    bench.services.break_down(Store::Inbox, Outage::Refuse);
    // One by one, as what is read at once is taken whole.
    for number in 0..AWAY {
        bench.notify([2, 4], &number.to_string()).await; // user 2 is away and can't be parked
        let (id, cursor) = other.notification().await;
        assert_eq!(id, format!("{number}:4"));
        other.ack(&cursor).await;
    }
    bench.notify([6, 4], "behind").await;
    other.notification().await;
    assert!(behind.text().now_or_never().is_none(), "the window took more than it holds");
    bench.services.heal(Store::Inbox);
    assert_eq!(behind.notification().await.0, "behind:6");
    let mut away = bench.connect("user=2").await;
    away.hello().await;
    for number in 0..AWAY {
        assert_eq!(away.notification().await.0, format!("{number}:2"));
    }
}

#[tokio::test]
async fn a_node_is_ready_once_it_hears_its_canaries_which_nobody_sees_and_not_when_it_is_deaf() {
    let canaries = Limits { canary_interval: Some(Duration::from_millis(300)), ..Limits::default() };
    let node = node(canaries).await; // which waits until it is ready
    let mut client = node.connect("user=2").await;
    client.hello().await;
    let heard = node.services.stores().log.end(Topic::Notifications, Partition::new(2)).await.unwrap();
    assert_ne!(heard, Position::START, "a canary is a record");
    node.notify([2], "e1").await;
    assert_eq!(client.notification().await.0, "e1:2");
    node.services.break_down(Store::Log, Outage::Hang);
    let deaf = async {
        while !node.get("/readyz").await.contains(r#""deaf":2"#) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), deaf).await.unwrap();
    assert!(node.get("/readyz").await.starts_with("HTTP/1.1 503"));
    node.services.heal(Store::Log);
    while !node.get("/readyz").await.starts_with("HTTP/1.1 200") {}
}

#[tokio::test]
async fn a_partition_that_is_deaf_to_what_is_in_the_log_listens_anew() {
    let canaries = Limits { canary_interval: Some(Duration::from_millis(300)), ..Limits::default() };
    let node = node(canaries).await;
    let mut client = node.connect("user=2").await;
    client.hello().await;
    node.notify([2], "heard").await;
    assert_eq!(client.notification().await.0, "heard:2");
    node.services.deafen_readers();
    node.notify([2], "in the log").await;
    assert_eq!(client.notification().await.0, "in the log:2");
    while !node.get("/readyz").await.starts_with("HTTP/1.1 200") {}
}

#[tokio::test]
async fn a_record_that_is_no_notification_goes_to_the_dead_letters_and_blocks_nothing() {
    let bench = node(Limits::default()).await;
    let mut client = bench.connect("user=2").await;
    client.hello().await;
    let log = bench.services.stores().log;
    let poison = |key, value: &'static [u8]| NewRecord {
        partition: Partition::new(2),
        key,
        headers: Headers::default(),
        value: value.into(),
    };
    let records =
        vec![poison(u64::MAX, b"{}"), poison(2, b"\xff"), poison(3, b"{}"), poison(2, b"{}}"), poison(2, b"[]")];
    log.append(Topic::Notifications, records).await.unwrap();
    bench.notify([2], "behind").await;
    assert_eq!(client.notification().await.0, "behind:2");
    let mut letters = log.reader(Topic::DeadLetters, Partition::new(2), Position::START).await.unwrap();
    let mut reasons = Vec::new();
    while reasons.len() < 5 {
        for letter in letters.next().await.unwrap() {
            let letter: serde_json::Value = serde_json::from_slice(&letter.value).unwrap();
            reasons.push(letter["reason"].as_str().unwrap().to_owned());
        }
    }
    assert!(reasons[0].contains("its key is not a user") && reasons[1].contains("its value is not UTF-8"));
    assert!(reasons[2].contains("it is for user 3, whose partition is 3 of"), "{}", reasons[2]);
    assert!(reasons[3..].iter().all(|reason| reason.contains("its value is not a JSON object")), "{reasons:?}");
    let metrics = bench.get("/metrics").await;
    for reason in ["key", "partition", "not-utf-8", "not-an-object"] {
        let counted = format!(r#"peal_dead_letters_total{{topic="peal.notifications",reason="{reason}"}}"#);
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

#[tokio::test]
async fn a_node_that_leaves_closes_its_sockets_and_loses_nothing() {
    let bench = node(Limits::default()).await;
    let mut client = bench.connect("user=2").await;
    client.hello().await;
    bench.notify([2], "unacknowledged").await;
    client.notification().await;
    bench.stop.cancel();
    let (code, _) = client.closed().await;
    assert_eq!(code, CloseCode::GoingAway.number());
    bench.running.await.unwrap();
    let next = start(bench.services, Limits::default()).await;
    let mut client = next.connect("user=2").await;
    client.hello().await;
    assert_eq!(client.notification().await.0, "unacknowledged:2");
}
