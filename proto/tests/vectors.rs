//! Holds the Rust side to the golden vectors that the browser client reads as well.

#![expect(clippy::unwrap_used, reason = "a vector that is not there fails the test")]

use bytes::BytesMut;
use peal_proto::close::Again;
use peal_proto::frame::{ClientFrame, NodeFrame, write_gap, write_hello, write_notification};
use peal_proto::{CloseCode, Cursor, ShardMap, UserId};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn array<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

#[test]
fn cursors_are_read_and_written_as_the_vectors_say() {
    let vectors = vectors("cursors");
    for case in array(&vectors, "valid") {
        let text = case["text"].as_str().unwrap();
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!(u64::from(cursor.generation.get()), case["generation"]);
        assert_eq!(cursor.position.next().get(), case["position"]);
        assert_eq!(cursor.to_string(), text);
    }
    for case in array(&vectors, "invalid") {
        let text = case["text"].as_str().unwrap();
        assert!(text.parse::<Cursor>().is_err(), "{text:?} must be refused");
    }
    let ordered: Vec<Cursor> =
        array(&vectors, "ordered").iter().map(|c| c.as_str().unwrap().parse().unwrap()).collect();
    assert!(ordered.is_sorted());
}

#[test]
fn node_frames_are_written_byte_for_byte() {
    for case in array(&vectors("frames"), "node") {
        let text = case["text"].as_str().unwrap();
        let mut out = BytesMut::new();
        match NodeFrame::parse(text).unwrap() {
            NodeFrame::Hello(hello) => write_hello(&mut out, &hello),
            NodeFrame::Notification { cursor, replaced, notification } => {
                write_notification(&mut out, cursor, replaced, notification.get().as_bytes());
                assert!(out.len() <= peal_proto::frame::notification_bytes(notification.get().len()));
            }
            NodeFrame::Gap { from, to, reason } => write_gap(&mut out, from, to, reason),
        }
        assert_eq!(std::str::from_utf8(&out).unwrap(), text);
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), case["frame"]);
    }
}

#[test]
fn client_frames_are_read_strictly() {
    let vectors = vectors("frames");
    for case in array(&vectors, "client") {
        let frame = ClientFrame::parse(case["text"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::to_value(frame).unwrap(), case["frame"]);
    }
    for case in array(&vectors, "client_invalid") {
        assert!(ClientFrame::parse(case["text"].as_str().unwrap()).is_err(), "{} must be refused", case["name"]);
    }
}

#[test]
fn close_codes_are_those_of_the_vectors() {
    let vectors = vectors("close_codes");
    let codes = array(&vectors, "codes");
    assert_eq!(codes.len(), CloseCode::ALL.len());
    for (case, code) in codes.iter().zip(CloseCode::ALL) {
        let again = match code.again() {
            Again::Jitter => "jitter",
            Again::ReasonUrl => "reason_url",
            Again::ReasonSeconds => "reason_seconds",
            Again::Never => "never",
        };
        assert_eq!(case["code"], code.number());
        assert_eq!(case["name"], code.name());
        assert_eq!(case["again"], again);
        assert_eq!(CloseCode::from_number(code.number()), Some(code));
    }
}

#[test]
fn users_have_the_owners_of_the_vectors() {
    let vectors = vectors("shard_maps");
    let urls = |nodes: u64| (0..nodes).map(|node| format!("ws://node-{node}")).collect();
    let number = |case: &Value, key: &str| case[key].as_u64().unwrap();
    let partitions = |case: &Value| u32::try_from(number(case, "partitions")).unwrap();
    for case in array(&vectors, "owners") {
        let map = ShardMap::new(1, partitions(case), urls(number(case, "nodes"))).unwrap();
        let user = UserId::new(number(case, "user")).unwrap();
        let (node, url) = map.owner(user);
        assert_eq!(map.partition(user).get(), case["partition"]);
        assert_eq!(node.get(), case["node"]);
        assert_eq!(u64::from(node.get()), user.get() % number(case, "nodes"));
        assert_eq!(url, format!("ws://node-{node}"));
        assert!(map.owned_by(node).any(|partition| partition == map.partition(user)));
    }
    for case in array(&vectors, "refused") {
        let refused = ShardMap::new(1, partitions(case), urls(number(case, "nodes"))).unwrap_err().to_string();
        for nearest in array(case, "nearest") {
            assert!(refused.contains(&nearest.to_string()), "{refused:?} must name {nearest}");
        }
    }
}
