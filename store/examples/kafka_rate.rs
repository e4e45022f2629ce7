//! Measures the log in Kafka: records a second of processor time through the trait, against librdkafka alone doing the same
//! in the same run; and how long single calls take. `cargo run --release -p peal-store --features kafka --example kafka_rate`
//! with the broker in `PEAL_BROKERS`; leaves its topics behind, under a name that is printed.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement reads the clock and prints")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use peal_proto::name::FANOUT_GROUP;
use peal_proto::{Offset, Partition, Position, Topic};
use peal_store::Log;
use peal_store::log::kafka::{self, Settings, Storage};
use peal_store::log::{Commit, Headers, NewRecord, Source};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

const PARTITIONS: u32 = 120;
const RECORDS: u32 = 1_000_000;
const CALLERS: u32 = 64;
const RECORDS_A_CALL: u32 = 100;
const ROUNDS: u32 = 2;
const CALLS: usize = 50;
/// Long enough for every partition to be asked for.
const REST: Duration = Duration::from_secs(5);

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Outcome<()> {
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let settings = Settings {
        brokers: std::env::var("PEAL_BROKERS")?,
        prefix: format!("rate-{millis}."),
        partitions: Some(PARTITIONS),
        properties: Vec::new(),
    };
    println!("topics: {}*", settings.prefix);
    timed("make the topics", kafka::create_topics(settings.clone(), Storage::default())).await?;
    let log = timed("open", kafka::open(settings.clone())).await?;
    calls(&log).await?;
    rest(&log, "before").await?;
    for round in 1..=ROUNDS {
        println!("round {round}, {RECORDS} records of 256 B, {PARTITIONS} partitions");
        let cost = Cost::start();
        produce(&log).await?;
        cost.print("produce, trait");
        let cost = Cost::start();
        let topic = format!("{}{}", settings.prefix, Topic::Receipts);
        let own = settings.brokers.clone();
        tokio::task::spawn_blocking(move || produce_bare(&own, &topic).map_err(|e| e.to_string())).await??;
        cost.print("produce, bare ");
        let cost = Cost::start();
        consume(&log, round * RECORDS).await?;
        cost.scaled(round).print("consume, trait");
        for (what, copied) in [("consume, bare ", false), ("consume, bare and copied", true)] {
            let cost = Cost::start();
            let topic = format!("{}{}", settings.prefix, Topic::Receipts);
            let own = settings.brokers.clone();
            let consume = move || consume_bare(&own, &topic, round * RECORDS, copied).map_err(|e| e.to_string());
            tokio::task::spawn_blocking(consume).await??;
            cost.scaled(round).print(what);
        }
    }
    rest(&log, "after, with what the bare clients left behind").await
}

/// What the process takes while it reads its partitions of a cluster of three, of which nothing comes.
async fn rest(log: &Arc<dyn Log>, when: &str) -> Outcome<()> {
    let mut readers = Vec::new();
    for partition in (0..PARTITIONS / 3).map(Partition::new) {
        let end = log.end(Topic::Notifications, partition).await?;
        readers.push(log.reader(Topic::Notifications, partition, end).await?);
    }
    tokio::time::sleep(REST).await;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().trim();
    println!("{} partitions read at rest, {when}: {resident}", readers.len());
    Ok(())
}

async fn timed<T, E>(what: &str, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let began = Instant::now();
    let done = call.await;
    println!("{what}: {:.1?}", began.elapsed());
    done
}

/// Latencies of single calls, one at a time.
async fn calls(log: &Arc<dyn Log>) -> Outcome<()> {
    let source = Source { group: FANOUT_GROUP, topic: Topic::Events, partition: Partition::new(0) };
    let commit = || Commit { position: Position::at(Offset::new(1)), metadata: "user 1".to_owned() };
    timed("first append", log.append(Topic::Events, vec![record(0)])).await?;
    timed("first commit", log.commit(source, commit())).await?;
    let mut writer = timed("open a writer", log.writer("w")).await?;
    timed("first slice", writer.write(vec![(Topic::DeadLetters, vec![record(0)])], source, commit())).await?;
    timed("committed behind it", log.committed(source)).await?;
    let mut took = [const { Vec::new() }; 5];
    for _ in 0..CALLS {
        let began = Instant::now();
        log.append(Topic::Events, vec![record(0)]).await?;
        took[0].push(began.elapsed());
        let began = Instant::now();
        log.commit(source, commit()).await?;
        took[1].push(began.elapsed());
        let began = Instant::now();
        writer.write(vec![(Topic::DeadLetters, (0..200).map(record).collect())], source, commit()).await?;
        took[2].push(began.elapsed());
        let began = Instant::now();
        let narrow = (0..200).map(|number| record(number * PARTITIONS)).collect();
        writer.write(vec![(Topic::DeadLetters, narrow)], source, commit()).await?;
        took[3].push(began.elapsed());
        let began = Instant::now();
        log.end(Topic::Events, Partition::new(0)).await?;
        took[4].push(began.elapsed());
    }
    for (what, took) in ["append", "commit", "slice of 200 for all partitions", "slice of 200 for one partition", "end"]
        .into_iter()
        .zip(&mut took)
    {
        took.sort_unstable();
        println!("{what}: p50 {:.1?}, p99 {:.1?}", took[CALLS / 2], took[CALLS * 99 / 100]);
    }
    Ok(())
}

fn value(number: u32) -> String {
    format!(
        "{{\"id\":\"0190c7a8-{number}:{number}\",\"kind\":\"community.joined\",\"community\":{number},\"data\":\"{number:0>180}\"}}"
    )
}

fn record(number: u32) -> NewRecord {
    let value = value(number).into();
    NewRecord { partition: Partition::new(number % PARTITIONS), key: number.into(), headers: Headers::default(), value }
}

async fn produce(log: &Arc<dyn Log>) -> Outcome<()> {
    let callers = (0..CALLERS).map(|caller| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            for call in (caller..RECORDS / RECORDS_A_CALL).step_by(CALLERS as usize) {
                let first = call * RECORDS_A_CALL;
                log.append(Topic::Notifications, (first..first + RECORDS_A_CALL).map(record).collect()).await?;
            }
            Ok::<(), peal_store::StoreError>(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    Ok(())
}

/// The same properties, records and number in flight; nobody is told which record has which offset.
fn produce_bare(brokers: &str, topic: &str) -> Outcome<()> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", brokers),
        ("compression.codec", "lz4"),
        ("linger.ms", "1"),
        ("enable.idempotence", "true"),
        ("queue.buffering.max.messages", "6400"),
    ] {
        config.set(key, value);
    }
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    for number in 0..RECORDS {
        let (key, value) = (number.to_string(), value(number));
        let partition = i32::try_from(number % PARTITIONS)?;
        let record = || BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
        while producer.send(record()).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(())
}

async fn consume(log: &Arc<dyn Log>, records: u32) -> Outcome<()> {
    let mut readers = Vec::new();
    for partition in (0..PARTITIONS).map(Partition::new) {
        let mut reader = log.reader(Topic::Notifications, partition, Position::START).await?;
        let of_a_round = (RECORDS - partition.get()).div_ceil(PARTITIONS);
        let expected = usize::try_from(records / RECORDS * of_a_round)?;
        readers.push(tokio::spawn(async move {
            let (mut read, mut bytes) = (0, 0);
            while read < expected {
                let batch = reader.next().await?;
                read += batch.len();
                bytes += batch.iter().map(|record| record.value.len()).sum::<usize>();
            }
            Ok::<usize, peal_store::StoreError>(bytes)
        }));
    }
    for reader in readers {
        reader.await??;
    }
    Ok(())
}

/// With `copied` what a record has is read and its value copied, as has to be done to give it to anybody.
fn consume_bare(brokers: &str, topic: &str, records: u32, copied: bool) -> Outcome<usize> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", brokers),
        ("group.id", "rate"),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
        ("queued.max.messages.kbytes", "8192"),
        ("fetch.message.max.bytes", "262144"),
        ("fetch.max.bytes", "4194304"),
        ("fetch.queue.backoff.ms", "20"),
    ] {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(PARTITIONS)? {
        list.add_partition_offset(topic, partition, At::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut read, mut bytes) = (0, 0);
    while read < records {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            let payload = message.payload().unwrap_or_default();
            bytes += payload.len();
            read += 1;
            if copied {
                std::hint::black_box((message.key(), message.headers().is_some(), payload.to_vec()));
            }
        }
    }
    Ok(bytes)
}

/// What something took.
struct Cost {
    began: Instant,
    processor: f64,
    rounds: u32,
}

impl Cost {
    fn start() -> Self {
        Self { began: Instant::now(), processor: processor_seconds(), rounds: 1 }
    }

    fn scaled(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }

    fn print(&self, what: &str) {
        let records = f64::from(self.rounds * RECORDS);
        let wall = self.began.elapsed().as_secs_f64();
        let processor = processor_seconds() - self.processor;
        println!("  {what}: {:>9.0} a second, {:>9.0} a processor second", records / wall, records / processor);
    }
}

/// Of this process, user and system, in the kernel's hundredths.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
