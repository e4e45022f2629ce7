//! What is said on sockets and in the topics of the log, as an AsyncAPI 3.0 document: messages, from the types that write and read
//! them.
//!
//! Every server answers with the same. How a socket is opened is in the document of the node's HTTP interface.

mod socket;
mod topics;

use peal_proto::Topic;
use serde_json::{Map, Value, json};

use crate::openapi::Schemas;

/// Where the document is.
pub const PATH: &str = "/asyncapi.json";

const DESCRIPTION: &str = "What is said on the sockets of nodes, and in the topics of the log. A client is told each notification \
    once and in order if it presents its cursor; programs may write to the topics `peal.events` and `peal.notifications` themselves.";

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut document = Document {
        schemas: Schemas::of_draft_7("/components/schemas"),
        channels: Map::new(),
        operations: Map::new(),
        messages: Map::new(),
    };
    socket::describe(&mut document);
    for topic in Topic::ALL {
        topics::describe(&mut document, topic);
    }
    let Document { schemas, channels, operations, messages } = document;
    let license = json!({ "name": "Apache-2.0" });
    let info = json!({
        "title": "Peal",
        "version": env!("CARGO_PKG_VERSION"),
        "description": DESCRIPTION,
        "license": license,
    });
    json!({
        "asyncapi": "3.0.0",
        "info": info,
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas.into_definitions() },
    })
}

/// Words for it in the document of an HTTP interface.
pub const SUMMARY: &str = "What is said on sockets and in topics (AsyncAPI 3.0)";

/// A document that is being written.
struct Document {
    schemas: Schemas,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

/// Who says what stands in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The cluster.
    Send,
    /// Others, to the cluster.
    Receive,
}

impl Document {
    fn add_message(&mut self, name: &str, message: Value) {
        self.messages.insert(name.to_owned(), message);
    }

    /// A channel in which these messages stand.
    fn add_channel(&mut self, name: &str, mut channel: Value, messages: &[&str]) {
        let reference =
            |message: &&str| ((*message).to_owned(), json!({ "$ref": format!("#/components/messages/{message}") }));
        channel["messages"] = messages.iter().map(reference).collect::<Map<_, _>>().into();
        self.channels.insert(name.to_owned(), channel);
    }

    fn add_operation(&mut self, name: &str, action: Action, channel: &str, summary: &str, messages: &[&str]) {
        let action = match action {
            Action::Send => "send",
            Action::Receive => "receive",
        };
        let reference = |message: &&str| json!({ "$ref": format!("#/channels/{channel}/messages/{message}") });
        let messages: Vec<_> = messages.iter().map(reference).collect();
        let channel = json!({ "$ref": format!("#/channels/{channel}") });
        let operation = json!({ "action": action, "channel": channel, "summary": summary, "messages": messages });
        self.operations.insert(name.to_owned(), operation);
    }
}
