//! The limits of what crosses a boundary, each with its unit and the reason for its size. Limits of one process stand in
//! that crate's own `limits.rs`.

/// The largest integer that every JSON reader holds exactly: 2^53-1 (RFC 8259 §6). Users, communities and positions.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Characters of an event id: a UUID is 36, a prefix and a hash fit.
pub const EVENT_ID_CHARS_MAX: usize = 64;

/// Characters of an event's kind.
pub const KIND_CHARS_MAX: usize = 64;

/// Seconds for which an event may be worth telling: 7 days, as long as an inbox keeps what it has.
pub const TTL_SECONDS_MAX: u32 = 7 * 24 * 3600;

/// Characters of a collapse key, as many as of an event id.
pub const COLLAPSE_CHARS_MAX: usize = EVENT_ID_CHARS_MAX;

/// Bytes of one event's request body; also what one socket frame may carry of it.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an event in the log. What is posted within [`EVENT_BYTES_MAX`] takes up to five times as much when it is written
/// again, as `1e9` becomes `1000000000.0`; a notification is as large, and Kafka takes a megabyte.
pub const EVENT_RECORD_BYTES_MAX: usize = 512 * 1024;

/// Bytes of a record's value that its dead letter keeps: twice an event, and in JSON, where a byte takes six at worst, less than
/// the megabyte that a record may have in Kafka.
pub const LETTER_VALUE_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a record's headers that its dead letter keeps, names included: a trace context and some more.
pub const LETTER_HEADERS_BYTES_MAX: usize = 8 * 1024;

/// Characters of a dead letter's reason; errors of JSON may quote all of a value.
pub const LETTER_REASON_CHARS_MAX: usize = 500;

/// Characters of a subscription's id.
pub const SUBSCRIPTION_ID_CHARS_MAX: usize = 64;

/// Bytes of a subscription's endpoint; those of push services have 150 to 500.
pub const SUBSCRIPTION_ENDPOINT_BYTES_MAX: usize = 2_048;

/// Characters of a subscription's key: 65 bytes are 88 in base64.
pub const SUBSCRIPTION_KEY_CHARS_MAX: usize = 128;

/// Bytes of one frame from a client: an ack is under 64.
pub const CLIENT_FRAME_BYTES_MAX: usize = 1024;

/// Bytes of a close reason (RFC 6455 §5.5: control frames carry 125, two of them the code).
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Partitions of the notification log: highly composite, so that many N divide it.
pub const PARTITIONS_DEFAULT: u32 = 120;

/// The most partitions a log may be made with; Kafka clusters of common size stay comfortable below it.
pub const PARTITIONS_MAX: u32 = 5_040;
