//! The topics of the log: keys, headers and values.

use peal_proto::name::{
    ATTEMPT_HEADER, CANARY_HEADER, EXPIRES_HEADER, REPLAYED_HEADER, TRACEPARENT_HEADER, letter_header,
};
use peal_proto::offline::{self, Offline};
use peal_proto::receipt::{self, Receipt};
use peal_proto::{DeadLetter, Event, Notification, Timestamp, Topic};
use serde_json::{Value, json};

use super::{Action, Document};

/// What there is to say of a topic.
struct Words {
    channel: &'static str,
    message: &'static str,
    description: &'static str,
    key: &'static str,
    payload: Value,
}

pub(super) fn describe(document: &mut Document, topic: Topic) {
    let Words { channel, message, description, key, payload } = words(document, topic);
    let number = json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$", "description": key });
    let bindings = json!({ "kafka": { "key": number, "bindingVersion": "0.5.0" } });
    let headers = headers(document, topic);
    document
        .add_message(message, json!({ "name": message, "headers": headers, "payload": payload, "bindings": bindings }));
    let partition =
        "The partition is the key % the partitions of the topic, which does not change while the topic lives.";
    let address = topic.name();
    let about = json!({
        "address": address,
        "title": address,
        "description": format!("{description} {partition} With `--prefix x.` the topic is `x.{address}`."),
        "bindings": { "kafka": { "topic": address, "bindingVersion": "0.5.0" } },
    });
    document.add_channel(channel, about, &[message]);
    let operations = match topic {
        Topic::Events => [
            ("sendEvent", Action::Send, "What was posted to a publisher"),
            ("receiveEvent", Action::Receive, "What other programs write; a publisher tells it to the members"),
        ]
        .as_slice(),
        Topic::Notifications => &[
            ("sendNotification", Action::Send, "What a publisher tells each member"),
            ("receiveNotification", Action::Receive, "What other programs write; a node delivers it"),
        ],
        Topic::Receipts => &[("sendReceipt", Action::Send, "What a node says of what it settled")],
        Topic::Offline => &[("sendOffline", Action::Send, "Who is to be pushed to")],
        Topic::DeadLetters => &[("sendDeadLetter", Action::Send, "What could not be processed")],
    };
    for &(name, action, summary) in operations {
        document.add_operation(name, action, channel, summary, &[message]);
    }
}

fn words(document: &mut Document, topic: Topic) -> Words {
    let schemas = &mut document.schemas;
    match topic {
        Topic::Events => Words {
            channel: "events",
            message: "event",
            description: "Events as they were posted.",
            key: "The number of the community, or of the user.",
            payload: schemas.taken::<Event>().to_value(),
        },
        Topic::Notifications => Words {
            channel: "notifications",
            message: "notificationRecord",
            description: "What each user is told, a record each.",
            key: "The number of the user.",
            payload: schemas.taken::<Notification>().to_value(),
        },
        Topic::Receipts => Words {
            channel: "receipts",
            message: "receipt",
            description: "What became of notifications, for the accounts of events.",
            key: "The partition of the notification log that it speaks of.",
            payload: schemas.taken::<receipt::Written<Receipt>>().to_value(),
        },
        Topic::Offline => Words {
            channel: "offline",
            message: "offline",
            description: "What was parked, and is pushed unless it is acknowledged by then.",
            key: "The number of the user.",
            payload: schemas.taken::<offline::Written<Offline>>().to_value(),
        },
        Topic::DeadLetters => Words {
            channel: "deadLetters",
            message: "deadLetter",
            description: "What could not be processed, with the reason and all that it held.",
            key: "That of the record, or 0.",
            payload: schemas.taken::<DeadLetter>().to_value(),
        },
    }
}

fn headers(document: &mut Document, topic: Topic) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    if topic == Topic::DeadLetters {
        return json!({
            "type": "object",
            "properties": {
                letter_header::TOPIC: text("The topic that its record stands in."),
                letter_header::PARTITION: text("In which partition."),
                letter_header::OFFSET: text("And where in that."),
                letter_header::KIND: text("What is wrong with it, in a word."),
                letter_header::REASON: text("What is wrong with it, for a person."),
                ATTEMPT_HEADER: text("At which attempt it became a dead letter."),
            },
        });
    }
    let expires = document.schemas.taken::<Timestamp>();
    json!({
        "type": "object",
        "properties": {
            ATTEMPT_HEADER: text("Which attempt at the record this is, where it was replayed from a dead letter."),
            REPLAYED_HEADER: text("The dead letter that it was replayed from."),
            EXPIRES_HEADER: { "allOf": [expires], "description": "When it is no longer worth delivering." },
            TRACEPARENT_HEADER: text("W3C trace context."),
            CANARY_HEADER: { "type": "string", "description": "The record says nothing but that the log is heard; its value is empty." },
        },
    })
}
