//! What the HTTP interface takes, and how it refuses the rest: every refusal a problem that a person understands.

use axum::body::Body;
use axum::http::Request;
use peal_proto::Topic;
use serde_json::{Value, json};

use crate::bench::{Bench, read, records, simulation};

fn start() -> Bench {
    Bench::start(simulation().stores())
}

/// The refusal of a request: its status, the last part of its type, its detail.
fn refusal((status, problem): &(u16, Value)) -> (u16, &str, &str) {
    let kind = problem["type"].as_str().unwrap().strip_prefix("urn:peal:problem:").unwrap();
    assert_eq!(problem["status"], *status);
    assert!(!problem["title"].as_str().unwrap().is_empty());
    (*status, kind, problem["detail"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn bad_bodies_are_refused_with_what_is_wrong_and_nothing_is_stored() {
    let bench = start();
    let long = "x".repeat(65);
    let long = format!(r#"{{"user":1,"event":"{long}"}}"#);
    let cases: [(&str, &str, &[&str]); 21] = [
        ("joins", "", &["not JSON", "EOF"]),
        ("joins", "{", &["not JSON", "line 1 column 1"]),
        ("joins", "null", &["must be a JSON object"]),
        ("joins", "[42]", &["must be a JSON object"]),
        ("joins", "{}", &["missing field `user`"]),
        ("joins", r#"{"user":42,"usr":1}"#, &["unknown field `usr`", "expected one of `user`", "line 1 column 16"]),
        (
            "joins",
            r#"{"user":"42"}"#,
            &[r#""user""#, r#"string "42""#, "an integer from 0 to 9007199254740991 (2^53-1)"],
        ),
        ("joins", r#"{"user":-1}"#, &[r#""user""#, "integer `-1`", "from 0 to 9007199254740991"]),
        ("joins", r#"{"user":1.5}"#, &[r#""user""#, "floating point `1.5`"]),
        ("joins", r#"{"user":9007199254740992}"#, &[r#""user""#, "from 0 to 9007199254740991", "9007199254740992"]),
        ("joins", r#"{"user":1,"event":"a b"}"#, &[r#""event""#, "A-Z a-z 0-9 . _ ~ -", "a b"]),
        ("joins", &long, &[r#""event""#, "1 to 64 characters"]),
        ("joins", r#"{"user":1,"notify_self":"yes"}"#, &[r#""notify_self""#, "expected a boolean"]),
        ("joins", r#"{"user":1,"ttl":0}"#, &[r#""ttl""#, "whole number of seconds from 1 to 604800 (7 days), not 0"]),
        ("joins", r#"{"user":1,"ttl":"60"}"#, &[r#""ttl""#, r#"string "60""#, "from 1 to 604800"]),
        ("joins", r#"{"user":1,"data":"text"}"#, &[r#""data""#, "expected a map"]),
        ("events", r#"{"data":{}}"#, &["missing field `kind`"]),
        ("events", r#"{"kind":"Community Posted"}"#, &[r#""kind""#, "a-z 0-9 . _ -", "such as community.posted"]),
        ("events", r#"{"kind":"k","ttl":604801}"#, &[r#""ttl""#, "from 1 to 604800 (7 days), not 604801"]),
        ("events", r#"{"kind":"k","collapse":"a b"}"#, &[r#""collapse""#, "A-Z a-z 0-9 . _ ~ -", "a b"]),
        ("events", "{\"kind\":\"k\",\n\"data\":{\"a\":}}", &["not JSON", "line 2 column 13"]),
    ];
    for (path, body, parts) in cases {
        let answer = bench.post(&format!("/v1/communities/7/{path}"), body.to_owned()).await;
        let (status, kind, detail) = refusal(&answer);
        assert_eq!((status, kind), (400, "invalid-request"), "{body}: {detail}");
        for part in parts {
            assert!(detail.contains(part), "{body}: {detail} lacks {part}");
        }
    }
    assert_eq!(records(&bench.stores, Topic::Events).await, []);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_too_large_not_utf_8_or_not_json_are_refused_each_in_its_way() {
    let bench = start();
    let path = "/v1/communities/7/events";
    let large = format!(r#"{{"kind":"k","data":{{"text":"{}"}}}}"#, "x".repeat(64 * 1024));
    let answer = bench.post(path, large).await;
    assert_eq!(refusal(&answer), (413, "too-large", "the body may have at most 65536 bytes"));

    let answer = bench.post(path, &b"{\"kind\":\"\xc3\x28\"}"[..]).await;
    assert_eq!(refusal(&answer), (400, "invalid-request", "the body is not UTF-8: byte 10 is the first that is not"));

    let form = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    let answer = read(bench.ask(form.body(Body::from(r#"{"kind":"k"}"#)).unwrap()).await).await;
    let (status, kind, detail) = refusal(&answer);
    assert_eq!((status, kind), (415, "unsupported-media-type"));
    assert!(detail.contains("-H 'content-type: application/json'"), "{detail}");
    assert_eq!(records(&bench.stores, Topic::Events).await, []);
}

#[tokio::test(start_paused = true)]
async fn bad_paths_queries_and_methods_are_refused_with_what_is_wrong() {
    let bench = start();
    let cases: [(&str, &str, u16, &str, &[&str]); 12] = [
        ("POST", "/v1/communities/x/joins", 400, "invalid-request", &["a community must be an integer", "x"]),
        ("POST", "/v1/communities/9007199254740992/joins", 400, "invalid-request", &["9007199254740991 (2^53-1)"]),
        ("PUT", "/v1/communities/7/members/-1", 400, "invalid-request", &["a user must be an integer"]),
        ("PUT", "/v1/communities/7/members/042", 400, "invalid-request", &["a user must be an integer"]),
        ("GET", "/v1/communities/7/members?page=7x", 400, "invalid-request", &["\"start\"", "7x"]),
        ("GET", "/v1/communities/7/members?limit=7", 400, "invalid-request", &["unknown field `limit`", "`page`"]),
        ("GET", "/v1/events/a%20b", 400, "invalid-request", &["an event id is 1 to 64 characters"]),
        ("GET", "/v1/events/nobody", 404, "not-found", &["event nobody is unknown"]),
        ("GET", "/v1/locate", 400, "invalid-request", &["missing field `user`"]),
        ("GET", "/v1/locate?user=4x", 400, "invalid-request", &["user", "an integer from 0", "4x"]),
        ("GET", "/v1/nowhere", 404, "not-found", &["there is nothing at /v1/nowhere"]),
        ("DELETE", "/v1/communities/7/joins", 405, "method-not-allowed", &["does not take DELETE"]),
    ];
    for (method, path, status, kind, parts) in cases {
        let answer = bench.send(method, path, r#"{"user":1}"#).await;
        let (given, given_kind, detail) = refusal(&answer);
        assert_eq!((given, given_kind), (status, kind), "{method} {path}: {detail}");
        for part in parts {
            assert!(detail.contains(part), "{method} {path}: {detail} lacks {part}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_gets_an_id_that_sorts_by_time_or_keeps_the_one_it_has() {
    let bench = start();
    let path = "/v1/communities/7/events";
    let (status, first) = bench.post(path, r#"{"kind":"k"}"#).await;
    tokio::time::advance(std::time::Duration::from_millis(1)).await;
    let (_, second) = bench.post(path, r#"{"kind":"k"}"#).await;
    assert_eq!(status, 202);
    assert!(first["event"].as_str() < second["event"].as_str());
    assert_eq!(first["event"].as_str().unwrap().len(), 36);
    assert_eq!(bench.post(path, r#"{"kind":"k","event":"mine"}"#).await, (202, json!({ "event": "mine" })));
    assert_eq!(bench.post(path, r#"{"kind":"k","event":"mine"}"#).await, (202, json!({ "event": "mine" })));
    let (_, status) = bench.get("/v1/events/mine").await;
    assert_eq!((&status["event"], &status["community"], &status["kind"]), (&json!("mine"), &json!(7), &json!("k")));
}

#[tokio::test(start_paused = true)]
async fn members_are_added_and_removed_and_a_repeat_is_harmless() {
    let bench = start();
    for _ in 0..2 {
        assert_eq!(bench.send("PUT", "/v1/communities/7/members/42", "").await.0, 204);
    }
    assert_eq!(bench.get("/v1/communities/7/members").await, (200, json!({ "community": 7, "count": 1 })));
    for _ in 0..2 {
        assert_eq!(bench.send("DELETE", "/v1/communities/7/members/42", "").await.0, 204);
    }
    let path = "/v1/communities/7/members";
    let change = bench.post(path, r#"{"add":[1,2,3],"remove":[3,4]}"#).await;
    assert_eq!(change, (200, json!({ "added": 3, "removed": 1 })));
    let (_, page) = bench.get("/v1/communities/7/members?page=start").await;
    assert_eq!((&page["count"], &page["next"]), (&json!(2), &Value::Null));
    assert!(page["users"].as_array().unwrap().contains(&json!(2)));
    let answer = bench.post(path, r#"{"add":[1,2,"x"]}"#).await;
    let (status, _, detail) = refusal(&answer);
    assert!(status == 400 && detail.contains(r#""add[2]""#), "{detail}");
    let many: Vec<_> = (0..10_001).collect();
    let answer = bench.post(path, json!({ "add": many }).to_string()).await;
    assert_eq!(refusal(&answer), (400, "invalid-request", "one call changes at most 10000 members, not 10001"));
}

#[tokio::test(start_paused = true)]
async fn members_are_read_through_page_by_page() {
    let bench = start();
    bench.fill(7, 350).await;
    let (mut users, mut page) = (std::collections::BTreeSet::new(), "start".to_owned());
    loop {
        let (_, answer) = bench.get(&format!("/v1/communities/7/members?page={page}")).await;
        users.extend(answer["users"].as_array().unwrap().iter().map(|user| user.as_u64().unwrap()));
        match answer["next"].as_str() {
            Some(next) => next.clone_into(&mut page),
            None => break,
        }
    }
    assert_eq!(users, (0..350).collect());
}

#[tokio::test(start_paused = true)]
async fn a_user_is_located_at_the_owner() {
    let bench = start();
    let expected = json!({ "user": 41, "node": 1, "epoch": 5, "url": "ws://127.0.0.1:7001" });
    assert_eq!(bench.get("/v1/locate?user=41").await, (200, expected));
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_may_ask_and_post() {
    let bench = start();
    let preflight = Request::options("/v1/communities/7/joins")
        .header("origin", "https://example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let response = bench.ask(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let refused = Request::post("/v1/communities/7/joins").header("origin", "https://example.org");
    let response = bench.ask(refused.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 415);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test(start_paused = true)]
async fn the_page_is_served_with_its_policy_and_not_sent_again_when_known() {
    let bench = start();
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let response = bench.ask(get("/")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("connect-src 'self' ws: wss:"));
    let tag = response.headers()["etag"].clone();
    let known = Request::get("/").header("if-none-match", tag);
    let response = bench.ask(known.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 304);
    assert_eq!(bench.ask(get("/peal.js")).await.headers()["content-type"], "text/javascript; charset=utf-8");
    let answer = read(bench.ask(get("/no-such-file.js")).await).await;
    assert_eq!(refusal(&answer), (404, "not-found", "there is nothing at /no-such-file.js"));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_alive_and_ready() {
    let bench = start();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(bench.get("/healthz").await, (200, json!("alive\n")));
    let (status, readiness) = bench.get("/readyz").await;
    assert_eq!(status, 200);
    assert_eq!((&readiness["ready"], &readiness["degraded"]), (&json!(true), &json!(false)));
    assert_eq!(readiness["fanout"], json!({ "assigned": 2, "running": 2, "stalled": 0, "stopped": 0 }));
    assert_eq!(bench.get("/metrics").await.0, 200);
}
