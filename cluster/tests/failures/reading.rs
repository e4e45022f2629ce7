//! What the log holds, read whole: how many copies a member has, which dead letters there are.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use peal_proto::{EventId, Partition, Position, Topic};
use peal_store::log::{Log, Record};
use tokio::time::timeout;

use crate::parts::site::PARTITIONS;
use crate::witness::audience::Notification;

/// Behind the last record only markers of transactions may stand, which nobody is given: this long nothing comes.
const QUIET: Duration = Duration::from_secs(2);

/// All records of a topic, of each partition in order.
pub(crate) async fn everything(log: &dyn Log, topic: Topic) -> Vec<Record> {
    join_all((0..topic.partitions(PARTITIONS)).map(|number| partition(log, topic, Partition::new(number))))
        .await
        .concat()
}

async fn partition(log: &dyn Log, topic: Topic, partition: Partition) -> Vec<Record> {
    let end = log.end(topic, partition).await.unwrap();
    let mut reader = log.reader(topic, partition, Position::START).await.unwrap();
    let (mut records, mut position) = (Vec::new(), Position::START);
    while position < end {
        let Ok(next) = timeout(QUIET, reader.next()).await else { break };
        records.extend(next.unwrap());
        position = records.last().map_or(position, |last: &Record| Position::behind(last.offset));
    }
    records
}

/// How many copies of each event's notification each user has.
pub(crate) fn copies(records: &[Record]) -> BTreeMap<EventId, BTreeMap<u64, u32>> {
    let mut copies: BTreeMap<EventId, BTreeMap<u64, u32>> = BTreeMap::new();
    for record in records {
        let Ok(Notification { event }) = serde_json::from_slice(&record.value) else { continue };
        *copies.entry(event).or_default().entry(record.key.unwrap()).or_default() += 1;
    }
    copies
}

/// Fails unless every user has one copy of every event; says how many there are.
pub(crate) fn one_copy_a_member(copies: &BTreeMap<EventId, BTreeMap<u64, u32>>) -> String {
    let (mut members, mut more) = (0, Vec::new());
    for (event, of_event) in copies {
        members += of_event.len();
        more.extend(of_event.iter().filter(|(_, copies)| **copies > 1).map(|(user, _)| format!("{event} of {user}")));
    }
    assert!(more.is_empty(), "{} members have more than one copy: {:?}", more.len(), &more[..more.len().min(5)]);
    format!("the log holds exactly one copy a member: {members} notifications of {} events", copies.len())
}
