//! The limits of a publisher, each with its unit and the reason for its size. Some are defaults of
//! [`Settings`](crate::Settings).

use std::time::Duration;

/// The highest rate that can be set, and the most events at once: a bucket counts in nanoseconds.
pub const RATE_MAX: u32 = 1_000_000;

/// Clients, and communities, that have a bucket each; those beyond share one. Some 4 MiB at worst.
pub const RATE_KEYS_MAX: usize = 100_000;

/// How often buckets that are full are forgotten: to look at all of them takes about a millisecond.
pub const RATE_KEYS_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Events that may be between the head of their request and its answer: 0.8 s of 5,000 a second, twice as long as a disk or a
/// Kafka is silent now and then. What they hold is bounded by their bytes, but for some 18 KiB that each takes with its
/// connection.
pub const INFLIGHT_REQUESTS_MAX: usize = 4_096;

/// Bytes of bodies that are being read and of events on their way into the log: a second's worth for a disk, a tenth for a
/// network.
pub const INFLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Batches that may be read at a time; each holds a part of [`BATCH_PART_BYTES_MAX`].
pub const BATCHES_INFLIGHT_MAX: usize = 64;

/// When too much is in flight: how long until asking again is worth it.
pub const INFLIGHT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long an append may take before the poster is told that it is not known.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a store may take to answer a request that only asks or changes members.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first status of an event may take; without it the event is told all the same.
pub const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// Requests that may be changing members: as many as events, as who joins also leaves. Most have no body.
pub const MEMBERS_INFLIGHT_REQUESTS_MAX: usize = 4_096;

/// Bytes of bodies of such requests, counted from their heads on.
pub const MEMBERS_INFLIGHT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a body that changes members: 10,000 ids of 16 digits are a sixth of it.
pub const MEMBERS_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Items of a batch that are taken in together: one wait for the disk or the network is shared by many.
pub const BATCH_PART_ITEMS_MAX: usize = 4_000;

/// Bytes of such items; the item that passes it is the last.
pub const BATCH_PART_BYTES_MAX: usize = 1024 * 1024;

/// How long a batch may be silent before the rest is no longer waited for.
pub const BATCH_SILENCE_MAX: Duration = Duration::from_secs(15);

/// Dead letters a page has when nobody asks for fewer or more.
pub const LETTERS_A_PAGE: usize = 100;

/// Dead letters a page may have: about a megabyte when all reasons are long.
pub const LETTERS_A_PAGE_MAX: usize = 1_000;

/// Bytes of a partition's commit that say which of its letters were replayed: of the 4,096 that a commit may have, for some
/// hundreds of runs.
pub const LETTERS_REPLAYED_BYTES_MAX: usize = 3_000;

/// Partitions that a list of dead letters reads at once. The log holds up to a megabyte for each.
pub const LETTERS_PARTITIONS_AT_ONCE: usize = 16;

/// How long the log may take to show more of a partition that seems to have more, before a canary is sent after it: ten times
/// what Kafka takes for records that are there.
pub const LETTERS_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long a page of dead letters is read before it is answered as far as it is. Three such waits, and under [`STORE_TIMEOUT`].
pub const LETTERS_PAGE_TIME: Duration = Duration::from_secs(3);

/// Requests that may be reading dead letters: each that reads a partition beside another costs a consumer of Kafka.
pub const LETTERS_INFLIGHT_REQUESTS_MAX: usize = 4;

/// Notifications of one slice: enough that a commit's fsync or transaction is shared by many, few enough that a small event
/// does not wait long for a slice of large ones.
pub const SLICE_NOTIFICATIONS_MAX: usize = 4_000;

/// Bytes of notifications of one slice; the notification that passes it is the last.
pub const SLICE_BYTES_MAX: usize = 1024 * 1024;

/// Events that one slice is the last of.
pub const SLICE_EVENTS_MAX: usize = 1_000;

/// Bytes that such events take in the checkpoint, which has 4,096 in all; the event that passes it is the last. Next to each
/// other in the log, with less than ten members each, they take four.
pub const SLICE_DONE_BYTES_MAX: usize = 3_000;

/// Events of many members that are told in turn, on each partition. Each holds its members in memory, and a small event may
/// wait for as many turns.
pub const LARGE_EVENTS_MAX: usize = 4;

/// Events that wait for others of their community while those behind them go ahead, on each partition; beyond it everything
/// waits. Each has up to 17 bytes in the checkpoint.
pub const HELD_EVENTS_MAX: usize = 28;

/// Dead letters that an event has for members that are no users; the last says how many more there are. More would not help who
/// looks into the set, and each post to its community writes them again.
pub const MEMBER_LETTERS_MAX: usize = 100;

/// Bytes of such a member that its letter holds: a hundred of them are a tenth of a slice.
pub const MEMBER_LETTER_BYTES_MAX: usize = 1024;

/// How soon it is looked again whether members that were lost were put back: a fraction of the minute that their owner has, and
/// of 6 partitions with [`HELD_EVENTS_MAX`] such events each some hundred looks a second.
pub const MISSING_RETRY: Duration = Duration::from_secs(2);

/// Slices under way at a time for each core: those that wait grow meanwhile; …
pub const SLICES_A_CORE: usize = 1;

/// … unless one has waited this long for its turn: slices that hang must not hold the others up.
pub const SLICE_TURN_MAX: Duration = Duration::from_secs(2);

/// How long the changes that receipts made are in the store before it is committed that they were read: a Redis that comes back
/// after a crash is at most some seconds younger than it was, and is given them again.
pub const ACCOUNTS_COMMIT_DELAY: Duration = Duration::from_secs(10);

/// After a step of the accounts, receipts are let gather for so many times as long as it took: the accounts of a busy publisher
/// are at work for a ninth of the time, …
pub const ACCOUNTS_PAUSE_STEPS: u32 = 8;

/// … but for this long at least: the nodes' commits of one moment come a little after each other, …
pub const ACCOUNTS_PAUSE_MIN: Duration = Duration::from_millis(20);

/// … and this long at most: whoever waits for an event to be settled waits as long.
pub const ACCOUNTS_PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often it is looked whether that can be committed, while nothing is read.
pub const ACCOUNTS_COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// Requests that may wait for an event to change, each a task and a place in a map: some 10 KiB.
pub const WAITERS_MAX: usize = 4_096;

/// How long a request waits for an event when it does not say.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(3);

/// The longest that a request may wait: proxies commonly cut a connection that is idle for 30 s or 60 s.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// The least time between two accounts in a stream: while a large event is told its account changes at every slice.
pub const STREAM_PAUSE: Duration = Duration::from_millis(250);

/// How long a stream may be silent: what was parked expires without anybody telling, and proxies cut what is idle.
pub const STREAM_SILENCE_MAX: Duration = Duration::from_secs(15);

/// Offsets of `peal.offline` from the lowest entry that is not pushed to the highest that is read, on each partition: a bit each in
/// the commit, which has 4,096 bytes in all. Some 3 MiB when each is an entry.
pub const PUSH_SPAN_MAX: u64 = 8_192;

/// Entries that are looked up together: those whose users were there meanwhile cost a round trip a list.
pub const PUSH_LOOKUP_ENTRIES_MAX: usize = 64;

/// Such lists at a time, on each partition.
pub const PUSH_LOOKUPS_MAX: usize = 4;

/// Pushes under way at a time on each partition: with a notification of 64 KiB and its sealed copy 4 MiB at worst.
pub const PUSH_SENDS_MAX: usize = 32;

/// Of them, how many go to one webhook or push service: one that hangs leaves half to the others.
pub const PUSH_SENDS_AN_ORIGIN_MAX: usize = 16;

/// A webhook or push service that failed so often in a row is sent one at a time until it answers.
pub const PUSH_FAILURES_MAX: u32 = 3;

/// How often a push is tried at least before it is given up, whatever the time.
pub const PUSH_TRIES_MIN: u32 = 3;

/// The wait after a push that failed first; doubled at each further failure.
pub const PUSH_BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The longest wait between two tries of a push, unless who is sent to asks for more.
pub const PUSH_BACKOFF_MAX: Duration = Duration::from_secs(300);

/// How long until a store that did not answer is asked again about an entry.
pub const PUSH_STORE_RETRY: Duration = Duration::from_secs(1);

/// How long until an entry is looked up again whose notification the inbox lost: its node has to see that, and to park it again.
pub const PUSH_LOST_RETRY: Duration = Duration::from_secs(5);

/// How long whoever is pushed to may take to answer.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection to a webhook or push service is kept for the next push.
pub const PUSH_IDLE_MAX: Duration = Duration::from_secs(30);

/// Bytes that are read of an answer to a push.
pub const PUSH_ANSWER_BYTES_MAX: usize = 4 * 1024;

/// Characters of an answer, or of an error, that are kept as the reason for a failure.
pub const PUSH_WORDS_CHARS_MAX: usize = 200;

/// How often it is committed how far pushes are. A crash repeats what was pushed since.
pub const PUSH_COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// How long pushes under way may take once the worker is to stop; under [`STOP_TIMEOUT`].
pub const PUSH_STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Bytes of a body that registers a subscription.
pub const SUBSCRIPTION_BODY_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a notification before it is sealed: push services have to take 4,096 of what it becomes (RFC 8030 §7.2), and head,
/// padding and tag are 103 of them.
pub const WEB_PUSH_BYTES_MAX: usize = 3_993;

/// Bytes of a file with a secret or a key.
pub const PUSH_SECRET_BYTES_MAX: u64 = 4 * 1024;

/// How long a push is tried, unless something else is set.
pub const PUSH_GIVE_UP_AFTER: Duration = Duration::from_secs(3_600);

/// The wait after a store's first error.
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// The longest wait after errors in a row: a store that comes back is used within it.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long one step of a fan-out may take, with its repeats, before its worker counts as stalled.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a store may take to answer when it is asked whether it is there.
pub const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long slices under way may take once the publisher stops; what is not done then is done by whoever comes next.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a partition may be quiet before it is looked whether the log has anything for it, twice: librdkafka may miss that
/// a partition has a leader again. Twice this is what a node takes to notice the same of its inbox.
pub const QUIET_MAX: Duration = Duration::from_secs(5);

/// A worker that was fenced begins again at once, unless it was fenced before within this: then another may be at the same
/// partition, and …
pub const FENCED_AGAIN: Duration = Duration::from_secs(60);

/// … it waits first, until the log has told one of the two that the partition is not its own: a publisher that was frozen
/// hears of it within seconds.
pub const FENCED_PAUSE: Duration = Duration::from_secs(5);

/// How long a partition may be quiet before its commit is written again. Kafka forgets a commit after 7 days by default
/// (`offsets.retention.minutes`), and the fan-out would begin anew.
pub const COMMIT_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked whether the members are still where they were left in following a table: so long they may be lost
/// before it is noticed.
pub const CDC_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks from one at the ends of the table's topic to the next: each asks Kafka about each partition.
pub const CDC_LOOKS_AN_END: u32 = 5;

/// How often in a row there may be more in the topic while nothing is heard of it, before it is read by another consumer.
pub const CDC_QUIET_LOOKS_MAX: u32 = 6;

/// How often a follower who has nothing to do says that it is there: several times while Kafka keeps a tombstone, 24 hours by
/// default.
pub const CDC_STILL_INTERVAL: Duration = Duration::from_secs(3600);

/// How long a follower waits when the members are not where it left them: a publisher that was frozen and its successor would
/// take the partition from each other until Kafka has told one of the two.
pub const CDC_MOVED_PAUSE: Duration = Duration::from_millis(500);

/// One in so many partitions is on its way from one node to another at a time, and one at least: all that there are would take half
/// a minute, and of 20,000 sockets some 670 a second open a connection elsewhere. Of a node that is leaving there are more, if it
/// must.
pub const WAVE_SHARE: usize = 30;

/// From one wave of partitions to the next: the sockets of one are told to move within it.
pub const WAVE_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is looked whether partitions have to move, or the next can.
pub const REBALANCE_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Partitions that the log is asked for at a time, how far they are.
pub const LAGS_AT_ONCE: usize = 16;

/// Bytes of the body of `PUT /v1/shards`, which is a number.
pub const SHARDS_BODY_BYTES_MAX: usize = 1_024;
