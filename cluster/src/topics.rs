//! `peal topics`: makes or checks what a cluster keeps in Kafka.

use peal_proto::{Generation, Topic};
use peal_serve::services::{Fault, KafkaArgs};
use peal_store::log::kafka::{Storage, check_topics, create_topics};

use crate::config::topics::{Action, Topics};
use crate::output;

/// `peal topics`.
///
/// # Errors
/// When Kafka does not answer, or has other topics than asked for; when stdout can't be written.
pub async fn run(topics: &Topics) -> anyhow::Result<()> {
    let (kafka, made) = match &topics.action {
        Action::Create(create) => {
            let storage = Storage { copies: create.copies, ..Storage::default() };
            (&create.kafka, create_topics(create.kafka.settings(), storage).await)
        }
        Action::Check(check) => (&check.kafka, check_topics(check.kafka.settings()).await),
    };
    let (partitions, generation) = made.map_err(Fault::from)?;
    Ok(output::lines(report(kafka, partitions, generation))?)
}

fn report(kafka: &KafkaArgs, partitions: u32, generation: Generation) -> Vec<String> {
    let line = |topic: &Topic| format!("{}{topic}: {} partitions", kafka.prefix, topic.partitions(partitions));
    let mut lines: Vec<_> = Topic::ALL.iter().map(line).collect();
    lines.push(format!("kafka at {}: generation {generation} of the log", kafka.brokers));
    lines
}
