//! The rows of the table, in the order of the data: where events come in, how they are told, where they are kept, who
//! listens.

mod clients;
mod clock;
mod kafka;
mod memory;
mod nodes;
mod poison;
mod publishers;
mod redis;

use std::pin::Pin;

use crate::trial::{Ground, Outcome};

/// One fault.
pub(crate) struct Row {
    /// To choose it by.
    pub(crate) name: &'static str,
    /// As the table says it.
    pub(crate) fault: &'static str,
    /// How it is injected.
    pub(crate) how: &'static str,
    pub(crate) run: Run,
}

type Run = for<'g> fn(&'g mut Ground) -> Pin<Box<dyn Future<Output = Outcome> + 'g>>;

fn row(name: &'static str, fault: &'static str, how: &'static str, run: Run) -> Row {
    Row { name, fault, how, run }
}

/// All of them; those that need three brokers last.
pub(crate) fn all() -> Vec<Row> {
    vec![
        row("kafka_away", "Kafka down for 60 s under load", "kill -9 of the only broker", |ground| {
            Box::pin(kafka::away(ground))
        }),
        row("kafka_frozen", "Kafka answers nothing for 20 s", "SIGSTOP", |ground| Box::pin(kafka::frozen(ground))),
        row("publisher_killed", "publisher killed 10 times inside a fan-out to 100,000 members", "kill -9", |ground| {
            Box::pin(publishers::killed(ground))
        }),
        row("publisher_twins", "a second publisher comes, is frozen, and dies", "SIGSTOP, kill -9", |ground| {
            Box::pin(publishers::twins(ground))
        }),
        row("poison", "a poison record in each topic", "appended to Kafka", |ground| Box::pin(poison::poison(ground))),
        row("node_killed", "node killed 20 times", "kill -9, in turn", |ground| Box::pin(nodes::killed(ground))),
        row("node_stopped", "node asked to stop under load, each once", "SIGTERM", |ground| {
            Box::pin(nodes::stopped(ground))
        }),
        row("resharded", "3 nodes become 6, 4 and 3 again, one killed meanwhile", "peal reshard, kill -9", |ground| {
            Box::pin(nodes::resharded(ground))
        }),
        row(
            "node_twins",
            "two nodes claim one ordinal, the first frozen for longer than its lease",
            "SIGSTOP",
            |ground| Box::pin(nodes::twins(ground)),
        ),
        row("redis_away", "Redis down for 60 s", "kill -9", |ground| Box::pin(redis::away(ground))),
        row("redis_frozen", "Redis answers nothing for 20 s", "SIGSTOP", |ground| Box::pin(redis::frozen(ground))),
        row("redis_flushall", "Redis wiped under load, twice", "FLUSHALL", |ground| Box::pin(redis::flushall(ground))),
        row("redis_empty", "Redis restarted empty", "kill -9, its files removed", |ground| {
            Box::pin(redis::empty(ground))
        }),
        row(
            "redis_truncated",
            "Redis restarted without the last 2 MB of its append-only file",
            "kill -9, the file cut",
            |ground| Box::pin(redis::truncated(ground)),
        ),
        row(
            "redis_promoted",
            "a replica promoted while 5 s behind",
            "REPLICAOF NO ONE, then kill -9 of the primary",
            |ground| Box::pin(redis::promoted(ground)),
        ),
        row(
            "clock_jumps",
            "the wall clock jumps an hour ahead, two back, and home",
            "a shim before libc's clock",
            |ground| Box::pin(clock::jumps(ground)),
        ),
        row("never_reads", "a client that never reads", "its socket is left full", |ground| {
            Box::pin(clients::never_read(ground))
        }),
        row(
            "memory_short",
            "nodes with 64 MiB, and 420 clients that do not read 384 KiB each",
            "`--memory-max`; their sockets are left full",
            |ground| Box::pin(memory::short(ground)),
        ),
        row(
            "dead_links",
            "400 clients that stop reading for 2 s and are cut without a FIN, every 10 to 20 s",
            "their address taken away in a network namespace",
            |ground| Box::pin(clients::dead_links(ground)),
        ),
        row("broker_killed", "one broker of three killed", "kill -9", |ground| Box::pin(kafka::broker_killed(ground))),
    ]
}
