//! The documents of the interfaces against the servers that answer with them: what routes there are, and that the documents are what
//! they say to be.

#![expect(clippy::unwrap_used, reason = "a server that can't be built fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::ALLOW;
use axum::http::{Request, Response};
use peal_node::Node;
use peal_node::limits::Limits;
use peal_proto::{NodeId, ShardMap, Timestamp, Topic};
use peal_publisher::{Publisher, Settings};
use peal_serve::Clock;
use peal_store::inbox::Retention;
use peal_store::leases::{Holder, Seat};
use peal_store::simulated::Simulation;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

const PARTITIONS: u32 = 12;

/// The routers of a publisher and a node.
fn servers() -> [(&'static str, Router); 2] {
    let stores = Simulation::new(7, PARTITIONS, Retention::default()).stores();
    let map = ShardMap::new(5, PARTITIONS, vec!["ws://127.0.0.1:7001".to_owned()]).unwrap();
    let (_, map) = watch::channel(Arc::new(map));
    let clock = Clock::simulated(Timestamp::from_millis(1_795_341_600_000));
    let publisher = Publisher::new(stores.clone(), map.clone(), clock.clone(), Settings::default());
    let seat = Seat::new(NodeId::new(0), "ws://127.0.0.1:7001", Holder::new("documents"));
    let node = Node::new(seat, stores, map, clock, Limits::default());
    [("publisher", publisher.router()), ("node", node.router())]
}

async fn ask(router: &Router, method: &str, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn document(router: &Router, path: &str) -> Value {
    let response = ask(router, "GET", path).await;
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_slice(&to_bytes(response.into_body(), 1_000_000).await.unwrap()).unwrap()
}

/// The schema of a standard, of `proto/tests/standards/`.
fn standard(name: &str) -> jsonschema::Validator {
    let path = format!("{}/../proto/tests/standards/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_valid(what: &str, standard: &jsonschema::Validator, document: &Value) {
    let errors: Vec<_> =
        standard.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

/// Whether all that a document refers to is there, and its schemas are schemas.
fn assert_whole(what: &str, document: &Value, is_schema: fn(&Value) -> bool) {
    let mut rest = vec![document];
    while let Some(value) = rest.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{what}: {reference} is not there");
        }
        rest.extend(value.as_array().into_iter().flatten());
        rest.extend(value.as_object().into_iter().flat_map(serde_json::Map::values));
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(is_schema(schema), "{what}: {name} is no schema");
    }
}

/// The paths that axum has, as only its own words about a router tell them.
fn paths_of(router: &Router) -> BTreeSet<String> {
    let said = format!("{router:?}");
    let (said, _) = said.split_once("fallback_router").unwrap();
    let paths = said.split('"').filter(|part| part.starts_with('/'));
    paths.map(str::to_owned).collect()
}

/// The methods that a path takes, as the refusal of another one tells them.
async fn methods_of(router: &Router, path: &str) -> BTreeSet<String> {
    let response = ask(router, "TRACE", path).await;
    assert_eq!(response.status(), 405, "{path}");
    let allowed = response.headers()[ALLOW].to_str().unwrap();
    allowed.split(',').filter(|method| *method != "HEAD").map(str::to_lowercase).collect()
}

#[tokio::test]
async fn each_route_is_in_the_document_and_nothing_else() {
    for (name, router) in servers() {
        let document = document(&router, "/openapi.json").await;
        let said: BTreeMap<_, BTreeSet<_>> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, methods)| (path.clone(), methods.as_object().unwrap().keys().cloned().collect()))
            .collect();
        let paths = paths_of(&router);
        assert!(paths.len() > 5, "{name}: axum no longer tells its paths: {router:?}");
        let mut routed = BTreeMap::new();
        for path in paths {
            let methods = methods_of(&router, &path.replace(['{', '}'], "")).await;
            routed.insert(path, methods);
        }
        assert_eq!(said, routed, "{name}");
    }
}

#[tokio::test]
async fn each_document_is_what_openapi_says_it_must_be() {
    let openapi = standard("openapi-3.1");
    for (name, router) in servers() {
        let document = document(&router, "/openapi.json").await;
        assert_valid(name, &openapi, &document);
        assert_whole(name, &document, jsonschema::draft202012::meta::is_valid);
    }
}

#[tokio::test]
async fn what_is_said_on_sockets_and_in_topics_is_what_asyncapi_says_it_must_be() {
    let asyncapi = standard("asyncapi-3.0");
    let [(_, publisher), (_, node)] = servers();
    let (said, by_node) = (document(&publisher, "/asyncapi.json").await, document(&node, "/asyncapi.json").await);
    assert_eq!(said, by_node);
    assert_valid("asyncapi", &asyncapi, &said);
    assert_whole("asyncapi", &said, jsonschema::draft7::meta::is_valid);
    for topic in Topic::ALL {
        assert!(
            said["channels"].as_object().unwrap().values().any(|channel| channel["address"] == topic.name()),
            "{topic}"
        );
    }
}

/// The frames that Rust and TypeScript are held to are messages of the document, each of one alone; and what a client must not say
/// is none.
#[tokio::test]
async fn a_frame_is_a_message_of_the_document() {
    let [_, (_, node)] = servers();
    let document = document(&node, "/asyncapi.json").await;
    let messages = ["hello", "notification", "gap", "ack"].map(|name| {
        let payload = document["components"]["messages"][name]["payload"]["$ref"].clone();
        let schema = json!({ "allOf": [{ "$ref": payload }], "components": document["components"] });
        (name, jsonschema::draft7::options().build(&schema).unwrap())
    });
    let messages_of = |frame: &Value| {
        let valid = messages.iter().filter(|(_, schema)| schema.is_valid(frame));
        valid.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let path = format!("{}/../proto/tests/vectors/frames.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let frames = ["node", "client"].into_iter().flat_map(|side| vectors[side].as_array().unwrap());
    for frame in frames.map(|vector| &vector["frame"]) {
        assert_eq!(messages_of(frame), [frame["type"].as_str().unwrap()], "{frame}");
    }
    for vector in vectors["client_invalid"].as_array().unwrap() {
        if let Ok(frame) = serde_json::from_str(vector["text"].as_str().unwrap()) {
            assert!(messages_of(&frame).is_empty(), "{vector}");
        }
    }
}
