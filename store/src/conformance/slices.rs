//! What a writer of slices promises: records and commit together or not at all, and one writer of a name.

use peal_proto::name::FANOUT_GROUP;
use peal_proto::{Offset, Partition, Position, Topic};

use super::append::{record, records, texts};
use super::read::collect;
use super::{Case, PARTITIONS, Subject, cases};
use crate::StoreError;
use crate::log::{Commit, Source};

pub(super) const CASES: &[Case] = cases![
    a_slice_is_read_with_its_commit,
    a_slice_over_many_partitions_is_whole,
    a_slice_over_topics_is_whole,
    a_slice_without_records_writes_the_commit_alone,
    slices_and_appends_share_the_order_of_a_partition,
    a_slice_outlives_the_process,
    a_newer_writer_of_the_name_fences_the_older,
    writers_of_other_names_are_not_fenced,
];

const TOPIC: Topic = Topic::Notifications;

fn source(partition: u32) -> Source {
    Source { group: FANOUT_GROUP, topic: TOPIC, partition: Partition::new(partition) }
}

fn commit(position: u64, metadata: &str) -> Commit {
    Commit { position: Position::at(Offset::new(position)), metadata: metadata.to_owned() }
}

async fn a_slice_is_read_with_its_commit(subject: Subject) {
    let log = subject.stores().log;
    let mut writer = log.writer("w").await.unwrap();
    for slice in 0..5 {
        let checkpoint = commit(slice, &format!("user {slice}"));
        writer.write(vec![(TOPIC, records(1, &format!("{slice}."), 3))], source(0), checkpoint.clone()).await.unwrap();
        assert_eq!(log.committed(source(0)).await.unwrap(), Some(checkpoint));
    }
    let read = collect(&log, TOPIC, 1, Position::START, 15).await;
    let expected: Vec<_> = (0..5).flat_map(|slice| (0..3).map(move |n| format!("{slice}.{n}"))).collect();
    assert_eq!(texts(&read), expected);
}

async fn a_slice_over_many_partitions_is_whole(subject: Subject) {
    let log = subject.stores().log;
    let mut writer = log.writer("w").await.unwrap();
    let slice = (0..400).map(|n| record(n % PARTITIONS, &n.to_string())).collect();
    writer.write(vec![(TOPIC, slice)], source(0), commit(1, "")).await.unwrap();
    for partition in 0..PARTITIONS {
        let read = collect(&log, TOPIC, partition, Position::START, 100).await;
        let numbers = (0..400).filter(|n| n % PARTITIONS == partition).map(|n| n.to_string());
        assert_eq!(texts(&read), numbers.collect::<Vec<_>>());
    }
}

async fn a_slice_over_topics_is_whole(mut subject: Subject) {
    let log = subject.stores().log;
    let mut older = log.writer("w").await.unwrap();
    let slice = |text: &str| vec![(TOPIC, vec![record(0, text)]), (Topic::DeadLetters, vec![record(1, text)])];
    older.write(slice("first"), source(0), commit(1, "first")).await.unwrap();
    let mut newer = log.writer("w").await.unwrap();
    let refused = older.write(slice("fenced"), source(0), commit(9, "fenced")).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    newer.write(slice("second"), source(0), commit(2, "second")).await.unwrap();
    drop((older, newer, log));
    subject.reopen().await;
    let log = subject.stores().log;
    assert_eq!(log.committed(source(0)).await.unwrap(), Some(commit(2, "second")));
    for (topic, partition) in [(TOPIC, 0), (Topic::DeadLetters, 1)] {
        assert_eq!(texts(&collect(&log, topic, partition, Position::START, 2).await), ["first", "second"]);
    }
}

async fn a_slice_without_records_writes_the_commit_alone(mut subject: Subject) {
    let log = subject.stores().log;
    let mut writer = log.writer("w").await.unwrap();
    writer.write(Vec::new(), source(2), commit(7, "nobody")).await.unwrap();
    assert_eq!(log.committed(source(2)).await.unwrap(), Some(commit(7, "nobody")));
    drop((writer, log));
    subject.reopen().await;
    assert_eq!(subject.stores().log.committed(source(2)).await.unwrap(), Some(commit(7, "nobody")));
}

async fn slices_and_appends_share_the_order_of_a_partition(subject: Subject) {
    let log = subject.stores().log;
    let mut writer = log.writer("w").await.unwrap();
    for round in 0..5 {
        log.append(TOPIC, vec![record(0, &format!("a{round}"))]).await.unwrap();
        writer.write(vec![(TOPIC, vec![record(0, &format!("s{round}"))])], source(0), commit(round, "")).await.unwrap();
    }
    let read = collect(&log, TOPIC, 0, Position::START, 10).await;
    let expected: Vec<_> = (0..5).flat_map(|round| [format!("a{round}"), format!("s{round}")]).collect();
    assert_eq!(texts(&read), expected);
    let after = Position::behind(read[3].offset);
    assert_eq!(texts(&collect(&log, TOPIC, 0, after, 6).await), expected[4..]);
}

async fn a_slice_outlives_the_process(mut subject: Subject) {
    let log = subject.stores().log;
    let mut writer = log.writer("w").await.unwrap();
    for slice in 0..20 {
        let metadata = format!("last user {slice}");
        writer
            .write(vec![(TOPIC, records(0, &format!("{slice}."), 2))], source(3), commit(slice, &metadata))
            .await
            .unwrap();
    }
    drop((writer, log));
    subject.reopen().await;
    let log = subject.stores().log;
    assert_eq!(log.committed(source(3)).await.unwrap(), Some(commit(19, "last user 19")));
    assert_eq!(collect(&log, TOPIC, 0, Position::START, 40).await.len(), 40);
}

async fn a_newer_writer_of_the_name_fences_the_older(subject: Subject) {
    let log = subject.stores().log;
    let mut older = log.writer("w").await.unwrap();
    older.write(vec![(TOPIC, vec![record(0, "before")])], source(0), commit(1, "before")).await.unwrap();
    let mut newer = log.writer("w").await.unwrap();
    let refused = older.write(vec![(TOPIC, vec![record(0, "fenced")])], source(0), commit(9, "fenced")).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert_eq!(log.committed(source(0)).await.unwrap(), Some(commit(1, "before")));
    newer.write(vec![(TOPIC, vec![record(0, "after")])], source(0), commit(2, "after")).await.unwrap();
    assert_eq!(texts(&collect(&log, TOPIC, 0, Position::START, 2).await), ["before", "after"]);
    let again = older.write(Vec::new(), source(0), commit(9, "fenced")).await;
    assert!(matches!(again, Err(StoreError::Fenced { .. })), "{again:?}");
    assert_eq!(log.committed(source(0)).await.unwrap(), Some(commit(2, "after")));
}

async fn writers_of_other_names_are_not_fenced(subject: Subject) {
    let log = subject.stores().log;
    let mut one = log.writer("one").await.unwrap();
    let mut two = log.writer("two").await.unwrap();
    one.write(vec![(TOPIC, vec![record(0, "1")])], source(0), commit(1, "")).await.unwrap();
    two.write(vec![(TOPIC, vec![record(0, "2")])], source(1), commit(2, "")).await.unwrap();
    assert_eq!(log.committed(source(0)).await.unwrap(), Some(commit(1, "")));
    assert_eq!(log.committed(source(1)).await.unwrap(), Some(commit(2, "")));
}
