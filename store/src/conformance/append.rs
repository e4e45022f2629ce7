//! What an append promises: order, offsets, durability.

use std::collections::BTreeMap;

use bytes::Bytes;
use peal_proto::{Offset, Partition, Position, Timestamp, Topic};

use super::read::{collect, position_behind};
use super::{Case, PARTITIONS, Subject, cases};
use crate::log::{Headers, NewRecord, Record};

pub(super) const CASES: &[Case] = cases![
    records_are_read_as_they_were_appended,
    records_of_one_call_stand_in_the_order_given,
    offsets_only_grow_within_a_partition,
    records_of_many_callers_are_all_there_where_they_were_answered,
    partitions_and_topics_are_apart,
    an_append_outlives_the_process,
    the_generation_and_the_partitions_outlive_the_process,
    the_end_is_behind_the_last_record,
];

/// A record of a few bytes.
pub(super) fn record(partition: u32, text: &str) -> NewRecord {
    let value = text.to_owned().into();
    NewRecord { partition: Partition::new(partition), key: u64::from(partition), headers: Headers::default(), value }
}

/// Records `<prefix>0`, `<prefix>1`, … for one partition.
pub(super) fn records(partition: u32, prefix: &str, count: usize) -> Vec<NewRecord> {
    (0..count).map(|number| record(partition, &format!("{prefix}{number}"))).collect()
}

/// The values of records, as text.
pub(super) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.value.to_vec()).unwrap()).collect()
}

async fn records_are_read_as_they_were_appended(subject: Subject) {
    let log = subject.stores().log;
    let headers = Headers {
        expires: Some(Timestamp::from_millis(1_795_341_600_123)),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        canary: true,
        others: vec![("attempt".into(), "2".into()), ("empty".into(), Bytes::new())],
    };
    let large = vec![7_u8; 200 * 1024];
    let first = NewRecord { partition: Partition::new(1), key: (1 << 53) - 1, headers, value: large.into() };
    let second = record(1, "small, without headers");
    let offsets = log.append(Topic::Notifications, vec![first.clone(), second.clone()]).await.unwrap();
    let read = collect(&log, Topic::Notifications, 1, Position::START, 2).await;
    for ((new, offset), read) in [first, second].into_iter().zip(offsets).zip(read) {
        let NewRecord { partition: _, key, headers, value } = new;
        let written = read.written;
        assert_eq!(read, Record { offset, written, key: Some(key), headers, value });
    }
}

async fn records_of_one_call_stand_in_the_order_given(subject: Subject) {
    let log = subject.stores().log;
    let given: Vec<_> = (0..200).map(|n| record(n % PARTITIONS, &format!("{n}"))).collect();
    let offsets = log.append(Topic::Notifications, given).await.unwrap();
    assert_eq!(offsets.len(), 200);
    for partition in 0..PARTITIONS {
        let read = collect(&log, Topic::Notifications, partition, Position::START, 50).await;
        let numbers = (0..200).filter(|n| n % PARTITIONS == partition);
        assert_eq!(texts(&read), numbers.clone().map(|n| n.to_string()).collect::<Vec<_>>());
        let answered: Vec<_> = numbers.map(|n| offsets[n as usize]).collect();
        assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), answered);
    }
}

async fn offsets_only_grow_within_a_partition(mut subject: Subject) {
    let mut last = None;
    for round in 0..3 {
        let log = subject.stores().log;
        for _ in 0..5 {
            for offset in log.append(Topic::Notifications, records(2, "r", 3)).await.unwrap() {
                assert!(Some(offset) > last, "{offset} after {last:?} in round {round}");
                last = Some(offset);
            }
        }
        drop(log);
        subject.reopen().await;
    }
}

async fn records_of_many_callers_are_all_there_where_they_were_answered(subject: Subject) {
    let log = subject.stores().log;
    let callers = (0..16).map(|caller| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut answered = Vec::new();
            for number in 0..10 {
                let texts: Vec<_> = (0..3).map(|n| format!("{caller}.{number}.{n}")).collect();
                let records = texts.iter().map(|text| record(3, text)).collect();
                let offsets = log.append(Topic::Notifications, records).await.unwrap();
                answered.extend(offsets.into_iter().zip(texts));
            }
            answered
        })
    });
    let mut answered: BTreeMap<Offset, String> = BTreeMap::new();
    for caller in callers.collect::<Vec<_>>() {
        answered.extend(caller.await.unwrap());
    }
    assert_eq!(answered.len(), 480, "an offset was given twice");
    let read = collect(&log, Topic::Notifications, 3, Position::START, 480).await;
    let read: BTreeMap<_, _> = read.iter().map(|record| record.offset).zip(texts(&read)).collect();
    assert_eq!(read, answered);
}

async fn partitions_and_topics_are_apart(subject: Subject) {
    let log = subject.stores().log;
    for topic in Topic::ALL {
        for partition in 0..topic.partitions(PARTITIONS) {
            log.append(topic, vec![record(partition, &format!("{topic}/{partition}"))]).await.unwrap();
        }
    }
    for topic in Topic::ALL {
        for partition in 0..topic.partitions(PARTITIONS) {
            let read = collect(&log, topic, partition, Position::START, 1).await;
            assert_eq!(texts(&read), [format!("{topic}/{partition}")]);
        }
    }
}

async fn an_append_outlives_the_process(mut subject: Subject) {
    let log = subject.stores().log;
    let offsets = log.append(Topic::Notifications, records(0, "r", 700)).await.unwrap();
    drop(log);
    subject.reopen().await;
    let log = subject.stores().log;
    let read = collect(&log, Topic::Notifications, 0, Position::START, 700).await;
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets);
    assert_eq!(texts(&read), (0..700).map(|n| format!("r{n}")).collect::<Vec<_>>());
}

async fn the_generation_and_the_partitions_outlive_the_process(mut subject: Subject) {
    let log = subject.stores().log;
    let (generation, partitions) = (log.generation(), log.partitions());
    assert_eq!(partitions, PARTITIONS);
    assert!(generation.get() >= 1);
    drop(log);
    subject.reopen().await;
    let log = subject.stores().log;
    assert_eq!((log.generation(), log.partitions()), (generation, partitions));
}

async fn the_end_is_behind_the_last_record(mut subject: Subject) {
    let topic = Topic::Notifications;
    let log = subject.stores().log;
    let empty = log.end(topic, Partition::new(1)).await.unwrap();
    let offsets = log.append(topic, records(1, "a", 3)).await.unwrap();
    assert!(!empty.covers(offsets[0]), "the end of an empty partition lies behind its first record");
    let end = log.end(topic, Partition::new(1)).await.unwrap();
    assert!(end >= position_behind(&offsets));
    drop(log);
    subject.reopen().await;
    let log = subject.stores().log;
    assert!(log.end(topic, Partition::new(1)).await.unwrap() >= position_behind(&offsets));
    let later = log.append(topic, records(1, "b", 1)).await.unwrap();
    assert!(!end.covers(later[0]), "a record was appended before the end");
    assert_eq!(texts(&collect(&log, topic, 1, end, 1).await), ["b0"]);
}
