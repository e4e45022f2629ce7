//! Reads a topic with librdkafka alone, from its end on, and writes each record to its user's socket: the least that reading
//! and writing cost, to hold a node's processor time against. Used by `peal bench --services`.
//!
//! `kafka_floor BROKERS TOPIC SOCKETS FRAME_BYTES`, until it is killed. Says its port; the sockets that come are of the users 0,
//! 1, …, and each record becomes so many bytes, as in a WebSocket frame with what stands around it.
#![expect(clippy::print_stdout, reason = "whoever started it waits for a line")]

use std::error::Error;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const ASK_TIME_MAX: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().collect();
    let [_, brokers, topic, sockets, frame_bytes] = &words[..] else {
        return Err("usage: kafka_floor BROKERS TOPIC SOCKETS FRAME_BYTES".into());
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    let mut sockets = accept(&listener, sockets.parse()?)?;
    let consumer = consumer(brokers, topic)?;
    let mut frame = vec![b'x'; frame_bytes.parse()?];
    loop {
        let record = match consumer.poll(ASK_TIME_MAX) {
            None | Some(Err(KafkaError::MessageConsumption(_))) => continue,
            Some(record) => record?,
        };
        let (Some(user), Some(value)) = (record.key().and_then(user), record.payload()) else { continue };
        let around = frame.len().saturating_sub(value.len());
        if let (Some(socket), Some(room)) = (sockets.get_mut(user), frame.get_mut(around..around + value.len())) {
            room.copy_from_slice(value);
            socket.write_all(&frame)?;
        }
    }
}

fn accept(listener: &TcpListener, count: usize) -> std::io::Result<Vec<TcpStream>> {
    let mut sockets = Vec::with_capacity(count);
    while sockets.len() < count {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn user(key: &[u8]) -> Option<usize> {
    std::str::from_utf8(key).ok()?.parse().ok()
}

/// Reads all partitions, as a node would, from where they end now.
fn consumer(brokers: &str, topic: &str) -> Result<BaseConsumer, Box<dyn Error>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "peal.floor").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("queued.max.messages.kbytes", "8192");
    config.set("fetch.wait.max.ms", "50"); // as a node does: what is written is to be read soon
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ASK_TIME_MAX)?;
    let partitions = metadata.topics().first().ok_or("there is no such topic")?.partitions();
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        let (_, end) = consumer.fetch_watermarks(topic, partition.id(), ASK_TIME_MAX)?;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
    }
    consumer.assign(&list)?;
    println!("reading");
    Ok(consumer)
}
