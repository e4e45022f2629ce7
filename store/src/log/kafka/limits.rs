//! The limits of the log in Kafka, each with its unit and the reason for its size.

use std::time::Duration;

/// Bytes of records that wait for the reader of one partition before the partition is paused. What librdkafka has fetched
/// ahead is thrown away by a pause and fetched again, so this is several of [`FETCH_BYTES`].
pub(super) const SLOT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes still waiting when a paused partition is resumed: what a reader takes at once, to go on with in the meantime.
pub(super) const SLOT_BYTES_LOW: usize = 256 * 1024;

/// Bytes of values that share an allocation. One that is kept keeps them all, so it is no more than a dozen notifications.
pub(super) const VALUES_BYTES: usize = 4 * 1024;

/// What a waiting record takes beside its value: its own struct, and its part of an allocation.
pub(super) const RECORD_BYTES: usize = 160;

/// Bytes one fetch brings of one partition, at least one record.
pub(super) const FETCH_BYTES: usize = 256 * 1024;

/// Bytes one fetch brings of all partitions.
pub(super) const FETCH_ALL_BYTES: usize = 4 * 1024 * 1024;

/// How long Kafka holds a fetch that finds nothing, in milliseconds. librdkafka has one fetch a broker on its way, so a
/// partition that was just opened or resumed waits for that of the others; the default of 500 would be felt.
pub(super) const FETCH_WAIT_MS: u32 = 50;

/// KiB librdkafka keeps fetched for one consumer, all partitions together. Its default of 64 MiB is never of use here: the
/// dispatch takes a million records a second.
pub(super) const FETCHED_KIB_MAX: usize = 8 * 1024;

/// Messages taken from a consumer before they are handed to their readers: worth a wake-up, and a fraction of a
/// millisecond's work.
pub(super) const DISPATCH_RECORDS_MAX: usize = 1_024;

/// How long the thread of a consumer sleeps when nothing wakes it. Only a guard: it is woken by what comes.
pub(super) const IDLE_PAUSE: Duration = Duration::from_millis(100);

/// Consumers of one process. One does all the work; another is made only while one partition has several readers.
pub(super) const LANES_MAX: usize = 16;

/// KiB of records a producer holds that Kafka has not answered for yet; more are refused.
pub(super) const QUEUE_KIB_MAX: usize = 16 * 1024;

/// Records a producer holds that Kafka has not answered for yet.
pub(super) const QUEUE_RECORDS_MAX: usize = 100_000;

/// How long a producer waits for company for a record, in milliseconds: less than a round trip to three brokers.
pub(super) const LINGER_MS: u32 = 1;

/// How long an append may take, tries included, before it is said that it is not known; under the patience of an HTTP
/// client (30 s).
pub(super) const APPEND_TIME_MAX: Duration = Duration::from_secs(25);

/// How long a slice may take before Kafka gives it up, and the slice of a writer that died holds up the readers. Longer than
/// Kafka by default takes to name another leader when a broker dies (`broker.session.timeout.ms`, 9 s).
pub(super) const SLICE_TIME_MAX: Duration = Duration::from_secs(15);

/// How much longer than it was told librdkafka may take for a slice, or to open a writer, before it is left to itself.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How soon a writer asks again, in milliseconds, while Kafka still ends the transaction before; librdkafka's 100 would be
/// most of what a slice takes.
pub(super) const SLICE_RETRY_MS: u32 = 5;

/// How long a writer waits for room in its producer before it looks again.
pub(super) const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// How soon a writer looks whether its records have been answered for, …
pub(super) const DELIVERY_PAUSE: Duration = Duration::from_millis(1);

/// … and how much later each further time, as a part of what it has waited: a Kafka that takes its time costs no processor's, and a
/// slice is late by a sixteenth of it.
pub(super) const DELIVERY_LATE: u32 = 8;

/// How long the thread of the appends takes what Kafka answers before it looks whether the producer is gone.
pub(super) const DELIVERIES_SPAN: Duration = Duration::from_secs(1);

/// How long any other question to Kafka may take.
pub(super) const ASK_TIME_MAX: Duration = Duration::from_secs(10);

/// How long the opening of a writer may take: Kafka first ends what its predecessor had open.
pub(super) const WRITER_TIME_MAX: Duration = Duration::from_secs(30);

/// Commits and looks that wait for one group's thread; more wait outside. Several for each of 720 partitions.
pub(super) const GROUP_CALLS_MAX: usize = 4_096;

/// How long a member of a group may be silent before its partitions go to others: no less than Kafka's
/// `group.min.session.timeout.ms`.
pub(super) const MEMBER_SILENCE_MAX: Duration = Duration::from_secs(6);

/// How often a member is heard, and hears that the group's partitions are assigned anew.
pub(super) const MEMBER_HEARTBEAT: Duration = Duration::from_secs(1);

/// How long the thread of a member sleeps when nothing wakes it. Only a guard: it is woken by what comes.
pub(super) const MEMBER_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait before it is looked again whether a topic that was made is known everywhere.
pub(super) const SEEN_PAUSE: Duration = Duration::from_millis(50);

/// How old what a client knows of the leaders of partitions may be.
pub(super) const METADATA_AGE_MAX: Duration = Duration::from_secs(5);

/// Changes of a table that are handed over at once: each is two users of a step at most, and a step is one script of Redis,
/// a few milliseconds at this size.
pub(super) const TABLE_BATCH_RECORDS_MAX: usize = 1_000;

/// Bytes of such changes; the change that passes it is the last. One has a kilobyte, with its schema some more.
pub(super) const TABLE_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
