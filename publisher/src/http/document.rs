//! What the document of the interface says of each operation beyond its types: what it does, and when it answers how.

use peal_proto::ProblemKind;
use peal_proto::event::BatchItem;
use peal_proto::limits::EVENT_BYTES_MAX;
use peal_serve::openapi::Operation;
use peal_store::status::Account;
use serde_json::json;

use super::batch::{Answer, NDJSON, TYPES};
use crate::limits::{BATCH_PART_ITEMS_MAX, BATCH_SILENCE_MAX, STREAM_SILENCE_MAX};

/// Of the document as a whole.
pub(super) const TITLE: &str = "Peal, the publisher";
/// The same.
pub(super) const DESCRIPTION: &str = "Takes events in, and tells them to the members of their communities. What is wrong with a \
    request is told as `application/problem+json` (RFC 9457), and so are paths (404) and methods (405) that are not here. Numbers \
    are integers from 0 to 2^53-1.";

pub(super) fn join(operation: Operation<'_>) -> Operation<'_> {
    posted(operation.summary("Somebody joins a community: becomes a member, and the members are told"))
}

pub(super) fn post(operation: Operation<'_>) -> Operation<'_> {
    posted(operation.summary("Tells the members of a community what happened"))
}

fn posted(operation: Operation<'_>) -> Operation<'_> {
    let mut operation = operation
        .description("With an `event` id of its own a repeat is harmless: it is told once.")
        .answers(202, "The event is durable: its id, or its account so far when it was waited for and the time is up.")
        .refuses(ProblemKind::Unavailable, "The log does not answer, or too many wait.")
        .refuses(ProblemKind::Internal, "The log is damaged; its reason is in the log of the process.");
    let account = operation.given::<Account>();
    operation.answers_with(200, "application/json", account, "It is as far as it was waited for: its account.")
}

pub(super) fn batch(mut operation: Operation<'_>) -> Operation<'_> {
    let item = operation.taken::<BatchItem>();
    let answer = operation.given::<Answer>();
    let lines = |of| json!({ "type": "string", "contentMediaType": NDJSON, "contentSchema": of });
    let body = TYPES.map(|media_type| {
        let is_array = media_type == "application/json";
        (media_type, if is_array { json!({ "type": "array", "items": item }) } else { lines(&item) })
    });
    let (silence, part) = (BATCH_SILENCE_MAX.as_secs(), BATCH_PART_ITEMS_MAX);
    operation
        .summary("Takes in events of any number, for communities and for single users")
        .description(&format!(
            "An item a line (NDJSON), or one JSON array. Items are taken in up to {part} at a time and answered before more are \
             read, so read the answer while you send. After an `unknown`, and when no byte comes for {silence} s, nothing more is \
             read. A batch that is over a rate is slowed down to it."
        ))
        .takes_body(body, &format!("Each item has at most {EVENT_BYTES_MAX} bytes."))
        .answers_with(200, NDJSON, lines(&answer), "A line for each item, in their order.")
        .refuses(ProblemKind::UnsupportedMediaType, "The body says to be neither NDJSON nor JSON.")
        .refuses(ProblemKind::Unavailable, "Too many batches are being read.")
}

pub(super) fn shards(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Where the partitions are: the shard map, the nodes, who reads what")
        .answers(200, "As it is now.")
        .refuses(ProblemKind::Unavailable, "There is no shard map yet, or the store of it does not answer.")
        .asks_stores()
}

pub(super) fn reshard(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Spreads the partitions over another number of nodes")
        .description(
            "They move a few at a time, as soon as the nodes that take them are there; `GET` says how far that is. To say the same \
             again is harmless, and another number may be said at any time.",
        )
        .answers(200, "It is kept, and partitions begin to move.")
        .refuses(ProblemKind::Unavailable, "There is no shard map yet, or the store of it does not answer.")
        .asks_stores()
}

pub(super) fn account(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("What became of an event")
        .answers(200, "Its account.")
        .refuses(ProblemKind::NotFound, "The event is unknown, or was accepted longer ago than accounts are kept.")
        .asks_stores()
}

pub(super) fn stream(mut operation: Operation<'_>) -> Operation<'_> {
    let account = operation.given::<Account>();
    let data = json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": account });
    let message = json!({
        "description": "Of one message.",
        "type": "object",
        "properties": { "event": { "const": "account" }, "id": { "type": "string" }, "data": data },
        "required": ["event", "id", "data"],
    });
    let silence = STREAM_SILENCE_MAX.as_secs();
    operation
        .summary("The account of an event whenever it changes, as server-sent events")
        .description(&format!(
            "A comment when there was no message for {silence} s. Ends when nothing can change any more."
        ))
        .takes_header("Last-Event-ID", "The last that the client has seen; an `EventSource` sends it by itself.")
        .answers_with(200, "text/event-stream", message, "What the client has not seen, and what comes.")
        .gives_header(200, "X-Accel-Buffering", "`no`: nginx would hold messages back.")
        .answers_empty(204, "The client has seen the last that there will be; an `EventSource` does not come back.")
        .refuses(ProblemKind::NotFound, "The event is unknown, or was accepted longer ago than accounts are kept.")
        .refuses(ProblemKind::Unavailable, "Too many wait.")
        .asks_stores()
}

pub(super) fn add_member(operation: Operation<'_>) -> Operation<'_> {
    changed_member(operation.summary("Makes a user a member"))
}

pub(super) fn remove_member(operation: Operation<'_>) -> Operation<'_> {
    changed_member(operation.summary("Makes a user no member"))
}

fn changed_member(operation: Operation<'_>) -> Operation<'_> {
    operation.answers_empty(204, "So it is, also when it was before.").asks_stores()
}

pub(super) fn change_members(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Adds and removes many members; a user in both lists is removed")
        .answers(200, "How many became members, and how many were.")
        .asks_stores()
}

pub(super) fn list_members(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("How many members there are, and pages of them")
        .answers(200, "The count, and a page when one was asked for; in no order, and a user may come twice.")
        .asks_stores()
}

pub(super) fn list_letters(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Dead letters: what could not be processed")
        .description("By partition, the newest of each last. Go on at `from=<next>` until that is null, also when a page is short.")
        .answers(200, "Some of them, without what they held.")
        .asks_stores()
}

pub(super) fn show_letter(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("A dead letter with all that it held")
        .answers(200, "The letter.")
        .refuses(ProblemKind::NotFound, "There is none, or it is older than what the log keeps.")
        .asks_stores()
}

pub(super) fn replay_letter(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Appends the record of a dead letter again, as it was, where it came from")
        .answers(202, "Where it stands now.")
        .refuses(ProblemKind::Conflict, "It was replayed before; `?again=true` replays it once more.")
        .refuses(
            ProblemKind::InvalidRequest,
            "Only the beginning of the record was kept, or its topic is another program's.",
        )
        .refuses(ProblemKind::NotFound, "There is none, or it is older than what the log keeps.")
        .asks_stores()
}

pub(super) fn put_subscription(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Registers a subscription to Web Push, as a browser gives it, or replaces the one of this id")
        .answers_empty(204, "What waits for the user while it is away is pushed to it.")
        .refuses(ProblemKind::InvalidRequest, "It can't be pushed to, or the user has too many.")
        .asks_stores()
}

pub(super) fn remove_subscription(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Forgets a subscription to Web Push")
        .answers_empty(204, "There is none, also when there was none before.")
        .asks_stores()
}

pub(super) fn list_subscriptions(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("The subscriptions of a user to Web Push")
        .description("Without their keys and the paths of their endpoints: whoever knows those may push.")
        .answers(200, "All of them.")
        .asks_stores()
}

pub(super) fn push_key(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("The key that browsers subscribe to Web Push with (`applicationServerKey`)")
        .answers(200, "The key.")
        .refuses(ProblemKind::NotFound, "This publisher does not push to browsers.")
}

pub(super) fn page(operation: Operation<'_>) -> Operation<'_> {
    let text = || json!({ "type": "string" });
    operation
        .summary("The page that shows the cluster at work, and its files")
        .takes_header("If-None-Match", "The tag of the file that the client has.")
        .answers_with(200, "text/html", text(), "The file.")
        .answers_empty(304, "The client has it.")
}

pub(super) fn file(operation: Operation<'_>) -> Operation<'_> {
    let text = || json!({ "type": "string" });
    page(operation)
        .answers_with(200, "text/css", text(), "The file.")
        .answers_with(200, "text/javascript", text(), "The file.")
        .answers_with(200, "image/svg+xml", text(), "The file.")
        .refuses(ProblemKind::NotFound, "There is no such file.")
}

pub(super) fn readyz(operation: Operation<'_>) -> Operation<'_> {
    operation
        .summary("Whether the publisher does its work")
        .answers(200, "It does; perhaps `degraded`, which says what it waits for.")
        .answers(503, "It does not.")
}
