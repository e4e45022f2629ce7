//! Reads a topic with librdkafka alone, from its end on, and does nothing with it: the least that reading costs, to hold a
//! node's processor time against. `kafka_floor BROKERS TOPIC`, until it is killed; used by `peal bench --services`.
#![expect(clippy::print_stdout, reason = "whoever started it waits for a line")]

use std::error::Error;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const ASK_TIME_MAX: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().collect();
    let [_, brokers, topic] = &words[..] else { return Err("usage: kafka_floor BROKERS TOPIC".into()) };
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
    loop {
        match consumer.poll(ASK_TIME_MAX) {
            None | Some(Ok(_) | Err(KafkaError::MessageConsumption(_))) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
}
