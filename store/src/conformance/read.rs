//! What a reader promises: from any position, in order, waiting, and nothing taken by a call that was dropped.

use std::sync::Arc;
use std::time::Duration;

use peal_proto::{Offset, Partition, Position, Topic};

use super::append::{record, records, texts};
use super::{Case, Subject, cases};
use crate::Log;
use crate::log::Record;

pub(super) const CASES: &[Case] = cases![
    a_reader_starts_at_any_position,
    a_reader_at_the_end_waits_and_wakes,
    a_waiting_reader_does_not_hold_up_another_partition,
    a_dropped_read_takes_nothing,
    readers_of_one_partition_go_at_their_own_pace,
    a_reader_that_lags_far_behind_misses_nothing,
];

const TOPIC: Topic = Topic::Notifications;

/// The position behind the last of some offsets.
pub(super) fn position_behind(offsets: &[Offset]) -> Position {
    offsets.last().map_or(Position::START, |last| Position::behind(*last))
}

/// So many records from a position on.
pub(super) async fn collect(
    log: &Arc<dyn Log>,
    topic: Topic,
    partition: u32,
    from: Position,
    count: usize,
) -> Vec<Record> {
    let mut reader = log.reader(topic, Partition::new(partition), from).await.unwrap();
    let mut records = Vec::new();
    while records.len() < count {
        let batch = reader.next().await.unwrap();
        assert!(!batch.is_empty(), "a read gave nothing");
        records.extend(batch);
    }
    assert!(records.is_sorted_by(|a, b| a.offset < b.offset), "records out of order");
    assert!(records.first().is_none_or(|first| !from.covers(first.offset)), "a record before the position asked for");
    assert_eq!(records.len(), count, "more records than were appended");
    records
}

async fn a_reader_starts_at_any_position(subject: Subject) {
    let log = subject.stores().log;
    let mut offsets = log.append(TOPIC, records(0, "r", 10)).await.unwrap();
    offsets.extend(log.append(TOPIC, records(0, "s", 10)).await.unwrap());
    for (number, offset) in offsets.iter().enumerate() {
        let read = collect(&log, TOPIC, 0, Position::at(*offset), 20 - number).await;
        assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), offsets[number..]);
        if number < 19 {
            let read = collect(&log, TOPIC, 0, Position::behind(*offset), 19 - number).await;
            assert_eq!(read.first().map(|record| record.offset), offsets.get(number + 1).copied());
        }
    }
}

async fn a_reader_at_the_end_waits_and_wakes(subject: Subject) {
    let log = subject.stores().log;
    let offsets = log.append(TOPIC, records(0, "old", 3)).await.unwrap();
    let mut reader = log.reader(TOPIC, Partition::new(0), position_behind(&offsets)).await.unwrap();
    for round in 0..20 {
        let reading = tokio::spawn(async move {
            let batch = reader.next().await.unwrap();
            (reader, batch)
        });
        tokio::task::yield_now().await;
        log.append(TOPIC, vec![record(0, &format!("new{round}"))]).await.unwrap();
        let (same, batch) = reading.await.unwrap();
        assert_eq!(texts(&batch), [format!("new{round}")]);
        reader = same;
    }
}

async fn a_waiting_reader_does_not_hold_up_another_partition(subject: Subject) {
    let log = subject.stores().log;
    let mut idle = log.reader(TOPIC, Partition::new(1), Position::START).await.unwrap();
    let waiting = tokio::spawn(async move { idle.next().await });
    log.append(TOPIC, records(2, "r", 5)).await.unwrap();
    log.append(Topic::DeadLetters, records(1, "r", 5)).await.unwrap();
    assert_eq!(collect(&log, TOPIC, 2, Position::START, 5).await.len(), 5);
    assert!(!waiting.is_finished(), "woken by records of another partition or topic");
    waiting.abort();
}

async fn a_dropped_read_takes_nothing(subject: Subject) {
    let log = subject.stores().log;
    let mut reader = log.reader(TOPIC, Partition::new(0), Position::START).await.unwrap();
    let mut seen = Vec::new();
    for round in 0..50 {
        // Polled once before there is anything, and once after: what a poll did not answer it must not have taken.
        drop(tokio::time::timeout(Duration::ZERO, reader.next()).await.map(|batch| seen.extend(batch.unwrap())));
        log.append(TOPIC, vec![record(0, &format!("{round}"))]).await.unwrap();
        drop(tokio::time::timeout(Duration::ZERO, reader.next()).await.map(|batch| seen.extend(batch.unwrap())));
    }
    while seen.len() < 50 {
        seen.extend(reader.next().await.unwrap());
    }
    assert_eq!(texts(&seen), (0..50).map(|round| round.to_string()).collect::<Vec<_>>());
}

async fn readers_of_one_partition_go_at_their_own_pace(subject: Subject) {
    let log = subject.stores().log;
    log.append(TOPIC, records(0, "r", 10)).await.unwrap();
    let mut slow = log.reader(TOPIC, Partition::new(0), Position::START).await.unwrap();
    assert_eq!(collect(&log, TOPIC, 0, Position::START, 10).await.len(), 10);
    log.append(TOPIC, records(0, "s", 10)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 20 {
        seen.extend(slow.next().await.unwrap());
    }
    assert_eq!(texts(&seen)[9..11], ["r9", "s0"]);
}

async fn a_reader_that_lags_far_behind_misses_nothing(subject: Subject) {
    let log = subject.stores().log;
    let mut reader = log.reader(TOPIC, Partition::new(3), Position::START).await.unwrap();
    let mut seen = Vec::new();
    let filler = "x".repeat(1_000);
    for round in 0..10 {
        let records = (0..100).map(|n| record(3, &format!("{round}.{n}.{filler}"))).collect();
        log.append(TOPIC, records).await.unwrap();
        if round % 4 == 3 {
            seen.extend(reader.next().await.unwrap());
        }
    }
    while seen.len() < 1_000 {
        seen.extend(reader.next().await.unwrap());
    }
    let expected = (0..10).flat_map(|round| (0..100).map(move |n| (round, n)));
    for (text, (round, n)) in texts(&seen).into_iter().zip(expected) {
        assert_eq!(text, format!("{round}.{n}.{filler}"));
    }
}
