//! What a set of members that follows a table promises.

use std::sync::Arc;

use peal_proto::{CommunityId, Offset, Partition, Position, UserId};

use super::{Case, Subject, cases};
use crate::Members;
use crate::members::{STEP_USERS_MAX, SetChange, Step, Stepped};

pub(super) const CASES: &[Case] = cases![
    a_step_changes_sets_and_position_together,
    a_step_from_elsewhere_changes_nothing,
    partitions_and_tables_are_apart,
    a_position_outlives_the_process,
    the_largest_step_is_taken,
    sets_are_whole_once_it_was_said_and_until_they_are_followed_from_the_beginning,
];

const TABLE: &str = "shop.public.memberships";

fn at(number: u64) -> Position {
    Position::at(Offset::new(number))
}

fn users(numbers: impl IntoIterator<Item = u64>) -> Vec<UserId> {
    numbers.into_iter().map(|number| UserId::new(number).unwrap()).collect()
}

fn change(community: u64, add: &[u64], remove: &[u64]) -> SetChange {
    let (add, remove) = (users(add.iter().copied()), users(remove.iter().copied()));
    SetChange { community: CommunityId::new(community).unwrap(), add, remove }
}

fn step(partition: u32, from: Option<u64>, to: u64, changes: Vec<SetChange>) -> Step {
    let (table, partition) = (Arc::from(TABLE), Partition::new(partition));
    Step { table, partition, from: from.map(at), to: at(to), whole: false, changes }
}

async fn places(members: &dyn Members, table: &str) -> [Option<u64>; 2] {
    let found = members.followed(table, &[Partition::new(0), Partition::new(1)]).await.unwrap();
    let number = |place: usize| found[place].map(|followed| followed.position.next().get());
    [number(0), number(1)]
}

async fn set(members: &dyn Members, community: u64) -> Vec<u64> {
    let page = members.scan(CommunityId::new(community).unwrap(), None).await.unwrap();
    let mut users: Vec<_> = page.users.iter().map(|user| user.get()).collect();
    users.sort_unstable();
    users.dedup();
    users
}

async fn a_step_changes_sets_and_position_together(subject: Subject) {
    let members = subject.stores().members;
    assert_eq!(places(&*members, TABLE).await, [None, None]);
    let first = step(0, None, 5, vec![change(1, &[1, 2], &[]), change(2, &[9], &[3])]);
    assert_eq!(members.follow(&first).await.unwrap(), Stepped::Done);
    let second = step(0, Some(5), 6, vec![change(1, &[3], &[1])]);
    assert_eq!(members.follow(&second).await.unwrap(), Stepped::Done);
    assert_eq!(members.follow(&step(0, Some(6), 6, vec![])).await.unwrap(), Stepped::Done);
    assert_eq!((set(&*members, 1).await, set(&*members, 2).await), (vec![2, 3], vec![9]));
    assert_eq!(places(&*members, TABLE).await, [Some(6), None]);
}

async fn a_step_from_elsewhere_changes_nothing(subject: Subject) {
    let members = subject.stores().members;
    let early = step(0, Some(3), 5, vec![change(1, &[7], &[])]);
    assert_eq!(members.follow(&early).await.unwrap(), Stepped::Elsewhere(None));
    members.follow(&step(0, None, 5, vec![change(1, &[1], &[])])).await.unwrap();
    for from in [None, Some(3), Some(9)] {
        let elsewhere = step(0, from, 12, vec![change(1, &[7], &[1])]);
        assert_eq!(members.follow(&elsewhere).await.unwrap(), Stepped::Elsewhere(Some(at(5))));
    }
    assert_eq!(set(&*members, 1).await, [1]);
    assert_eq!(places(&*members, TABLE).await, [Some(5), None]);
}

async fn partitions_and_tables_are_apart(subject: Subject) {
    let members = subject.stores().members;
    members.follow(&step(0, None, 5, vec![])).await.unwrap();
    members.follow(&step(1, None, 7, vec![])).await.unwrap();
    let other = Step { table: Arc::from("other"), ..step(1, None, 9, vec![]) };
    assert_eq!(members.follow(&other).await.unwrap(), Stepped::Done);
    assert_eq!(places(&*members, TABLE).await, [Some(5), Some(7)]);
    assert_eq!(places(&*members, "other").await, [None, Some(9)]);
}

async fn a_position_outlives_the_process(mut subject: Subject) {
    let members = subject.stores().members;
    members.follow(&step(0, None, 5, vec![change(1, &[1], &[])])).await.unwrap();
    drop(members);
    subject.reopen().await;
    let members = subject.stores().members;
    assert_eq!(places(&*members, TABLE).await, [Some(5), None]);
    assert_eq!(set(&*members, 1).await, [1]);
}

async fn the_largest_step_is_taken(subject: Subject) {
    let members = subject.stores().members;
    let largest = (1 << 53) - 1;
    let all: Vec<_> = (0..STEP_USERS_MAX as u64).map(|number| largest - number).collect();
    for (from, to, changes) in [(None, 1, change(1, &all, &[])), (Some(1), 2, change(1, &[], &all))] {
        assert_eq!(members.follow(&step(0, from, to, vec![changes])).await.unwrap(), Stepped::Done);
    }
    let apart = (0..1_000).map(|community| change(community, &[community, 5_000], &[6_000, 7_000])).collect();
    assert_eq!(members.follow(&step(0, Some(2), 3, apart)).await.unwrap(), Stepped::Done);
    assert_eq!(set(&*members, 999).await, [999, 5_000]);
}

async fn sets_are_whole_once_it_was_said_and_until_they_are_followed_from_the_beginning(mut subject: Subject) {
    let members = subject.stores().members;
    let whole = async |members: &dyn Members| {
        let found = members.followed(TABLE, &[Partition::new(0)]).await.unwrap();
        found[0].is_some_and(|followed| followed.whole)
    };
    members.follow(&step(0, None, 5, vec![change(1, &[1], &[])])).await.unwrap();
    assert!(!whole(&*members).await);
    members.follow(&Step { whole: true, ..step(0, Some(5), 5, vec![]) }).await.unwrap();
    assert!(whole(&*members).await);
    let elsewhere = Step { whole: true, ..step(1, Some(5), 9, vec![]) };
    members.follow(&elsewhere).await.unwrap();
    members.follow(&step(0, Some(5), 9, vec![change(1, &[2], &[])])).await.unwrap();
    assert!(whole(&*members).await, "a step further along");
    drop(members);
    subject.reopen().await;
    assert!(whole(&*subject.stores().members).await);
}
