//! The frames of a socket, and why it closes.

use peal_proto::CloseCode;
use peal_proto::close::Again;
use peal_proto::frame::{ClientFrame, NodeFrame};
use peal_proto::limits::{CLIENT_FRAME_BYTES_MAX, CLOSE_REASON_BYTES_MAX};
use peal_proto::name::SUBPROTOCOL;
use serde_json::{Value, json};

use super::{Action, Document};

const CHANNEL: &str = "socket";

pub(super) fn describe(document: &mut Document) {
    let given = document.schemas.define_variants::<NodeFrame<'_>>("Frame");
    let taken = document.schemas.define_variants::<ClientFrame>("Frame");
    let names = |frames: &[(String, Value)]| frames.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (given_names, taken_names) = (names(&given), names(&taken));
    for (name, payload) in given.into_iter().chain(taken) {
        document.add_message(&name, json!({ "name": name, "payload": payload }));
    }
    let given: Vec<_> = given_names.iter().map(String::as_str).collect();
    let taken: Vec<_> = taken_names.iter().map(String::as_str).collect();
    document.add_channel(CHANNEL, channel(), &[&*given, &*taken].concat());
    document.add_operation("sendFrame", Action::Send, CHANNEL, "What a node says", &given);
    document.add_operation("receiveFrame", Action::Receive, CHANNEL, "What a client says", &taken);
}

fn channel() -> Value {
    let codes: Vec<_> = CloseCode::ALL.into_iter().map(close_code).collect();
    let query = json!({
        "type": "object",
        "properties": {
            "user": { "type": "string", "description": "Whose socket it is, in decimal digits." },
            "cursor": { "type": "string", "description": "Up to where the client has seen everything." },
        },
        "required": ["user"],
    });
    let description = format!(
        "A WebSocket (RFC 6455) of the subprotocol `{SUBPROTOCOL}` at the owner of a user: text frames, a JSON object each. A frame \
         of a client has at most {CLIENT_FRAME_BYTES_MAX} bytes, the reason of a close at most {CLOSE_REASON_BYTES_MAX}."
    );
    json!({
        "address": "/v1/socket",
        "title": "The socket of a user",
        "description": description,
        "bindings": { "ws": { "method": "GET", "query": query, "bindingVersion": "0.1.0" } },
        "x-subprotocol": SUBPROTOCOL,
        "x-close-codes": codes,
    })
}

fn close_code(code: CloseCode) -> Value {
    let again = match code.again() {
        Again::Jitter => "after a back-off with full jitter",
        Again::ReasonUrl => "at once, at the URL that is the reason",
        Again::ReasonSeconds => "after the seconds that are the reason, and jitter",
        Again::Never => "not without a person changing something",
    };
    json!({ "code": code.number(), "name": code.name(), "reconnect": again })
}
