//! What groups are promised: who is alone has everything; and of a commit the last one counts, each source has its own, and an append behind it makes it durable.

use peal_proto::name::{ACCOUNTS_GROUP, FANOUT_GROUP, NODES_GROUP, PUBLISHERS_GROUP};
use peal_proto::{Offset, Partition, Position, Topic};

use super::append::{record, texts};
use super::read::collect;
use super::{Case, PARTITIONS, Subject, cases};
use crate::limits::COMMIT_METADATA_BYTES_MAX;
use crate::log::{Commit, Source};

pub(super) const CASES: &[Case] = cases![
    a_group_that_never_committed_has_no_commit,
    the_last_commit_counts_even_when_it_is_lower,
    commits_of_other_groups_topics_and_partitions_are_apart,
    metadata_of_the_largest_size_is_kept,
    a_commit_that_an_append_followed_outlives_the_process,
    a_commit_behind_records_is_there_with_them,
    who_is_alone_in_a_group_is_assigned_every_partition,
    a_group_commits_while_its_members_share_the_topic,
];

fn source(group: &'static str, topic: Topic, partition: u32) -> Source {
    Source { group, topic, partition: Partition::new(partition) }
}

fn commit(position: u64, metadata: &str) -> Commit {
    Commit { position: Position::at(Offset::new(position)), metadata: metadata.to_owned() }
}

async fn a_group_that_never_committed_has_no_commit(subject: Subject) {
    let log = subject.stores().log;
    assert_eq!(log.committed(source(NODES_GROUP, Topic::Notifications, 0)).await.unwrap(), None);
}

async fn a_commit_behind_records_is_there_with_them(mut subject: Subject) {
    let stores = subject.stores();
    let source = source(NODES_GROUP, Topic::Notifications, 2);
    let commit_behind = |records, commit| stores.log.commit_behind(Topic::DeadLetters, records, source, commit);
    commit_behind(vec![record(1, "a"), record(1, "b")], commit(7, "m7")).await.unwrap();
    commit_behind(Vec::new(), commit(8, "m8")).await.unwrap();
    assert_eq!(stores.log.committed(source).await.unwrap(), Some(commit(8, "m8")));
    let behind = vec![record(1, "c")];
    stores.log.append(Topic::DeadLetters, behind).await.unwrap(); // makes all of it durable
    drop(stores);
    subject.reopen().await;
    let log = subject.stores().log;
    assert_eq!(log.committed(source).await.unwrap(), Some(commit(8, "m8")));
    let read = collect(&log, Topic::DeadLetters, 1, Position::START, 3).await;
    assert_eq!(texts(&read), ["a", "b", "c"]);
}

async fn the_last_commit_counts_even_when_it_is_lower(subject: Subject) {
    let log = subject.stores().log;
    let source = source(NODES_GROUP, Topic::Notifications, 1);
    for commit in [commit(5, "m5,f3"), commit(9, ""), commit(2, "m9,f1")] {
        log.commit(source, commit.clone()).await.unwrap();
        assert_eq!(log.committed(source).await.unwrap(), Some(commit));
    }
}

async fn commits_of_other_groups_topics_and_partitions_are_apart(subject: Subject) {
    let log = subject.stores().log;
    let sources = [
        source(NODES_GROUP, Topic::Notifications, 0),
        source(NODES_GROUP, Topic::Notifications, 1),
        source(NODES_GROUP, Topic::Events, 0),
        source(FANOUT_GROUP, Topic::Notifications, 0),
    ];
    for (number, source) in (0..).zip(sources) {
        log.commit(source, commit(number, &format!("of {number}"))).await.unwrap();
    }
    for (number, source) in (0..).zip(sources) {
        assert_eq!(log.committed(source).await.unwrap(), Some(commit(number, &format!("of {number}"))));
    }
}

async fn metadata_of_the_largest_size_is_kept(subject: Subject) {
    let log = subject.stores().log;
    let source = source(NODES_GROUP, Topic::Notifications, 0);
    let large = commit(1, &"m".repeat(COMMIT_METADATA_BYTES_MAX));
    log.commit(source, large.clone()).await.unwrap();
    assert_eq!(log.committed(source).await.unwrap(), Some(large));
}

async fn a_commit_that_an_append_followed_outlives_the_process(mut subject: Subject) {
    let source = source(NODES_GROUP, Topic::Notifications, 2);
    let log = subject.stores().log;
    log.commit(source, commit(41, "m7,f12")).await.unwrap();
    log.append(Topic::Events, vec![record(0, "behind the commit")]).await.unwrap();
    drop(log);
    subject.reopen().await;
    assert_eq!(subject.stores().log.committed(source).await.unwrap(), Some(commit(41, "m7,f12")));
}

async fn who_is_alone_in_a_group_is_assigned_every_partition(subject: Subject) {
    let log = subject.stores().log;
    for topic in [Topic::Events, Topic::Receipts] {
        let mut member = log.join(PUBLISHERS_GROUP, topic).await.unwrap();
        let all: Vec<_> = (0..topic.partitions(PARTITIONS)).map(Partition::new).collect();
        assert_eq!(member.assigned().await.unwrap(), all);
    }
}

async fn a_group_commits_while_its_members_share_the_topic(subject: Subject) {
    let log = subject.stores().log;
    let mut member = log.join(ACCOUNTS_GROUP, Topic::Receipts).await.unwrap();
    member.assigned().await.unwrap();
    let source = source(ACCOUNTS_GROUP, Topic::Receipts, 0);
    log.commit(source, commit(3, "m3")).await.unwrap();
    assert_eq!(log.committed(source).await.unwrap(), Some(commit(3, "m3")));
}
