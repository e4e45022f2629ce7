//! Holds the JSON Schemas of `docs/producing/`, which other producers go by, to what the code writes and takes.
//!
//! Where the two differ is a table here, each difference with its reason.

#![expect(clippy::unwrap_used, reason = "a schema that is not there fails the test")]

use jsonschema::Validator;
use peal_proto::limits::{INTEGER_MAX, TTL_SECONDS_MAX};
use peal_proto::{Audience, CommunityId, Event, Kind, Notification, Template, TimeToLive, Timestamp, UserId};
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

/// One that asserts formats, too: a pattern takes the 30th of February.
fn schema(name: &str) -> Validator {
    let path = format!("{}/../docs/producing/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "{name} is not a schema of draft 2020-12");
    for example in schema["examples"].as_array().unwrap() {
        assert!(validator(&schema).is_valid(example), "{example}");
    }
    validator(&schema)
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap()
}

#[test]
fn the_files_are_what_the_types_say() {
    for (name, schema) in peal_proto::schema::for_producers() {
        let path = format!("{}/../docs/producing/{name}", env!("CARGO_MANIFEST_DIR"));
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(file, schema, "{name}: cargo run --package peal-proto --example schemas writes it anew");
    }
}

/// Whether the schema and the code take this text for an event.
fn taken(schema: &Validator, text: &str) -> (bool, bool) {
    let by_schema = serde_json::from_str(text).is_ok_and(|value: Value| schema.is_valid(&value));
    (by_schema, serde_json::from_str::<Event>(text).is_ok())
}

const EVENT: &str =
    r#"{"version":1,"event":"e1","kind":"community.posted","community":7,"at":"2026-11-22T10:00:00.000Z","data":{}}"#;

/// The event above with some of it replaced, which has to be there.
fn with(old: &str, new: &str) -> String {
    assert!(EVENT.contains(old), "{old}");
    EVENT.replace(old, new)
}

#[test]
fn what_is_no_event_is_refused_by_schema_and_code() {
    let schema = schema("event");
    let community = |new| with(r#""community":7"#, new);
    let at = |new| with("2026-11-22T10:00:00.000Z", new);
    let refused = [
        "rubbish".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        with(r#""version":1,"#, ""),
        with(r#""version":1"#, r#""version":2"#),
        with(r#""version":1"#, r#""version":"1""#),
        with(r#""event":"e1","#, ""),
        with(r#""e1""#, "1"),
        with("e1", ""),
        with("e1", &"e".repeat(65)),
        with("e1", "e 1"),
        with("e1", "é"),
        with("community.posted", "Community.posted"),
        with("community.posted", ""),
        with("community.posted", &"k".repeat(65)),
        community(r#""members":7"#),
        community(r#""community":7,"user":42"#),
        community(r#""community":"7""#),
        community(r#""community":-1"#),
        community(r#""community":7.5"#),
        community(r#""community":9007199254740992"#),
        community(r#""community":null"#),
        at("soon"),
        at("2026-11-22"),
        at("2026-11-22T10:00:00"),
        at("2026-11-22 10:00:00Z"),
        at("2026-11-22T10:00:00+02:00"),
        at("2026-02-30T10:00:00Z"),
        at("2026-11-22T24:00:00Z"),
        at("1969-12-31T23:59:59Z"),
        with(r#""2026-11-22T10:00:00.000Z""#, "1795341600"),
        community(r#""community":7,"ttl":0"#),
        community(r#""community":7,"ttl":604801"#),
        community(r#""community":7,"ttl":-1"#),
        community(r#""community":7,"ttl":1.5"#),
        community(r#""community":7,"ttl":"60""#),
        community(r#""community":7,"collapse":"""#),
        community(r#""community":7,"collapse":"a b""#),
        community(r#""community":7,"collapse":7"#),
        with(r#","data":{}"#, ""),
        with(r#""data":{}"#, r#""data":null"#),
        with(r#""data":{}"#, r#""data":[]"#),
        with(r#""data":{}"#, r#""data":"{}""#),
        with(r#""data":{}"#, r#""data":{},"join":42"#),
        with(r#""data":{}"#, r#""data":{},"join":{"user":42}"#),
        with(r#""data":{}"#, r#""data":{},"join":{"notify_self":true}"#),
        with(r#""data":{}"#, r#""data":{},"join":{"user":"42","notify_self":true}"#),
        community(r#""user":42,"join":{"user":42,"notify_self":true}"#),
    ];
    assert_eq!(taken(&schema, EVENT), (true, true));
    for text in refused {
        assert_eq!(taken(&schema, &text), (false, false), "{text}");
    }
}

/// The whole difference between schema and code.
#[test]
fn schema_and_code_differ_where_they_must() {
    let schema = schema("event");
    let community = |new| with(r#""community":7"#, new);
    let of_schema_only = [
        // To JSON Schema every number without a fraction is an integer (draft 2020-12, validation, §6.1.1).
        ("an integer written as a fraction", community(r#""community":7.0"#)),
        ("an integer written with an exponent", community(r#""community":7e1"#)),
        // A parsed document has lost one of them, and which differs (RFC 8259, §4).
        ("a name that is there twice", with(r#""data":{}"#, r#""data":{},"data":{}"#)),
    ];
    for (what, text) in of_schema_only {
        assert_eq!(taken(&schema, &text), (true, false), "{what}: {text}");
    }
    let of_code_only = [
        // To the producer it is a mistake; to a publisher that is being upgraded it may be what a newer one writes.
        ("a name that is not known", with(r#""data":{}"#, r#""data":{},"jion":{"user":42}"#)),
        (
            "null for what is not there",
            community(r#""community":7,"user":null,"join":null,"ttl":null,"collapse":null"#),
        ),
        // RFC 3339 has leap seconds, few readers have; here it is the second before.
        ("a leap second", with("10:00:00.000Z", "10:00:60Z")),
        ("no digit behind the point", with("10:00:00.000Z", "10:00:00.Z")),
    ];
    for (what, text) in of_code_only {
        assert_eq!(taken(&schema, &text), (false, true), "{what}: {text}");
    }
}

#[test]
fn what_is_no_notification_is_refused_by_the_schema() {
    // By the schema alone: the node asks no more of a value than that it is a JSON object.
    let (schema, good) = (schema("notification"), notification());
    assert!(schema.is_valid(&good));
    let bad = [
        ("id", json!("e1")),
        ("id", json!("e1:-1")),
        ("id", json!("e1:042")),
        ("event", json!("")),
        ("kind", json!("Posted")),
        ("community", json!("7")),
        ("community", json!(null)),
        ("at", json!("2026-11-22T10:00:00+02:00")),
        ("data", json!([])),
        ("user", json!(42)),
    ];
    for (name, value) in bad {
        let mut notification = good.clone();
        notification[name] = value;
        assert!(!schema.is_valid(&notification), "{notification}");
    }
    for name in ["id", "event", "kind", "at", "data"] {
        let mut notification = good.clone();
        notification.as_object_mut().unwrap().remove(name);
        assert!(!schema.is_valid(&notification), "{notification}");
    }
}

fn notification() -> Value {
    let event: Event = serde_json::from_str(EVENT).unwrap();
    told(&event, UserId::new(42).unwrap())
}

fn told(event: &Event, user: UserId) -> Value {
    let mut bytes = Vec::new();
    Template::of(event).write(user, &mut bytes);
    let read: Notification = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read.id, format!("{}:{user}", event.event));
    serde_json::from_slice(&bytes).unwrap()
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..=INTEGER_MAX, Just(0), Just(INTEGER_MAX)]
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let leaf = prop_oneof![leaf, ".{0,8}".prop_map(Value::from)];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        let object = prop::collection::btree_map(".{0,8}", inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(".{0,8}", value, 0..4).prop_map(|object| object.into_iter().collect())
}

prop_compose! {
    /// Any event that the code can make.
    fn event()(
        event in "[A-Za-z0-9._~-]{1,64}",
        kind in "[a-z0-9._-]{1,64}",
        audience in number(),
        join in prop::option::of((number(), any::<bool>())),
        to_community in any::<bool>(),
        millis in any::<u64>(),
        ttl in prop::option::of(1..=u64::from(TTL_SECONDS_MAX)),
        collapse in prop::option::of("[A-Za-z0-9._~-]{1,64}"),
        data in object(),
    ) -> Event {
        let at = Timestamp::from_millis(millis);
        let (ttl, collapse) = (ttl.map(|ttl| TimeToLive::new(ttl).unwrap()), collapse.map(|key| key.parse().unwrap()));
        let (event, kind, data) = (event.parse().unwrap(), kind.parse::<Kind>().unwrap(), to_raw_value(&data).unwrap());
        let (community, user) = (CommunityId::new(audience).unwrap(), UserId::new(audience).unwrap());
        let join = join.map(|(user, notify_self)| {
            peal_proto::event::Join { user: UserId::new(user).unwrap(), notify_self }
        });
        if to_community {
            Event { event, kind, audience: Audience::Community(community), at, ttl, collapse, join, data }
        } else {
            Event { event, kind, audience: Audience::User(user), at, ttl, collapse, join: None, data }
        }
    }
}

/// A field of an event: mostly as it should be, now and then as it must not be, or not there. Nothing that schema and code are
/// known to differ on.
fn field(name: &'static str, good: Value, bad: Value) -> impl Strategy<Value = Option<(String, Value)>> {
    let one_of = |values: Value| prop::sample::select(values.as_array().unwrap().clone());
    let value = prop_oneof![14 => one_of(good).prop_map(Some), 1 => one_of(bad).prop_map(Some), 1 => Just(None)];
    value.prop_map(move |value| Some((name.to_owned(), value?)))
}

fn fields() -> impl Strategy<Value = Value> {
    let (good, bad) = (json!([0, 7, INTEGER_MAX]), json!([INTEGER_MAX + 1, -1, 0.5, "1", [1]]));
    let audience = prop_oneof![
        6 => (field("community", good.clone(), bad.clone()), Just(None)),
        3 => (Just(None), field("user", good.clone(), bad.clone())),
        1 => (field("community", good.clone(), bad.clone()), field("user", good, bad)),
    ];
    let join =
        field("join", json!([{"user": 1, "notify_self": false}]), json!([{"user": 1}, [], {"notify_self": true}]));
    let ttl = field("ttl", json!([1, 3_600, TTL_SECONDS_MAX]), json!([0, -1, 0.5, "1", TTL_SECONDS_MAX + 1]));
    let collapse = field("collapse", json!(["k", "A.b_~-0", "k".repeat(64)]), json!(["", "a b", "k".repeat(65), 1]));
    let fields = (
        field("version", json!([1]), json!([0, 2, "1", 1.5])),
        field("event", json!(["e1", "~", "e".repeat(64)]), json!(["", "a/b", "e".repeat(65), 1])),
        field("kind", json!(["k", "a.b_c-0", "k".repeat(64)]), json!(["", "K", "k".repeat(65), 1])),
        audience,
        field(
            "at",
            json!(["1970-01-01T00:00:00Z", "2028-02-29T23:59:59.123456+00:00", "9999-12-31T23:59:59.9Z"]),
            json!(["2027-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-22T10:00:00.000+02:00", "now", 0]),
        ),
        prop_oneof![2 => Just(None).boxed(), 1 => join.boxed()],
        prop_oneof![2 => Just(None).boxed(), 1 => ttl.boxed()],
        prop_oneof![2 => Just(None).boxed(), 1 => collapse.boxed()],
        field("data", json!([{}, {"a": [null]}]), json!([[], 1, "{}", null])),
    );
    fields.prop_map(|(version, event, kind, (community, user), at, join, ttl, collapse, data)| {
        [version, event, kind, community, user, at, join, ttl, collapse, data].into_iter().flatten().collect()
    })
}

proptest! {
    #[test]
    fn what_the_code_writes_validates(event in event(), user in number()) {
        let text = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(taken(&schema("event"), &text), (true, true), "{}", text);
        let told = told(&event, UserId::new(user).unwrap());
        prop_assert!(schema("notification").is_valid(&told), "{}", told);
    }

    #[test]
    fn a_value_is_an_event_to_the_schema_exactly_when_it_is_one_to_the_code(value in fields()) {
        let text = value.to_string();
        let (by_schema, by_code) = taken(&schema("event"), &text);
        prop_assert_eq!(by_schema, by_code, "{}", text);
    }
}
