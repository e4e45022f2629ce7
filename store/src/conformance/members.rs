//! What a set of members promises.

use std::collections::BTreeSet;

use peal_proto::{CommunityId, UserId};

use super::{Case, Subject, cases};
use crate::Members;
use crate::members::MEMBERS_PAGE_MAX;

pub(super) const CASES: &[Case] = cases![
    adding_and_removing_tell_what_changed,
    a_user_given_twice_in_one_call_counts_once,
    a_scan_gives_every_member,
    a_scan_of_nobody_ends_at_once,
    who_stays_a_member_during_a_scan_is_given,
    communities_are_apart,
    members_outlive_the_process,
];

pub(super) const FOREIGN_CASES: &[Case] =
    cases![what_is_no_user_is_given_beside_the_users, a_set_with_no_user_in_it_is_not_empty];

fn users(numbers: impl IntoIterator<Item = u64>) -> Vec<UserId> {
    numbers.into_iter().map(|number| UserId::new(number).unwrap()).collect()
}

fn community(number: u64) -> CommunityId {
    CommunityId::new(number).unwrap()
}

async fn scan(members: &dyn Members, community: CommunityId) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    let mut from = None;
    loop {
        let page = members.scan(community, from).await.unwrap();
        all.extend(page.users.iter().map(|user| user.get()));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

async fn adding_and_removing_tell_what_changed(subject: Subject) {
    let members = subject.stores().members;
    let community = community(7);
    assert_eq!(members.count(community).await.unwrap(), 0);
    assert_eq!(members.add(community, users([1, 2, 3])).await.unwrap(), 3);
    assert_eq!(members.add(community, users([3, 4])).await.unwrap(), 1);
    assert_eq!(members.count(community).await.unwrap(), 4);
    assert_eq!(members.remove(community, users([1, 9])).await.unwrap(), 1);
    assert_eq!(members.remove(community, users([1])).await.unwrap(), 0);
    assert_eq!(members.count(community).await.unwrap(), 3);
    assert_eq!(scan(&*members, community).await, BTreeSet::from([2, 3, 4]));
}

async fn a_user_given_twice_in_one_call_counts_once(subject: Subject) {
    let members = subject.stores().members;
    assert_eq!(members.add(community(1), users([5, 5, 6, 5])).await.unwrap(), 2);
    assert_eq!(members.count(community(1)).await.unwrap(), 2);
    assert_eq!(members.remove(community(1), users([5, 5])).await.unwrap(), 1);
    assert_eq!(members.count(community(1)).await.unwrap(), 1);
}

async fn a_scan_gives_every_member(subject: Subject) {
    let members = subject.stores().members;
    let largest = (1 << 53) - 1;
    let numbers = || (0..25_000).map(|n| n * 7).chain([largest]);
    for part in users(numbers()).chunks(MEMBERS_PAGE_MAX) {
        members.add(community(1), part.to_vec()).await.unwrap();
    }
    assert_eq!(members.count(community(1)).await.unwrap(), 25_001);
    assert_eq!(scan(&*members, community(1)).await, numbers().collect());
}

async fn a_scan_of_nobody_ends_at_once(subject: Subject) {
    let members = subject.stores().members;
    let page = members.scan(community(404), None).await.unwrap();
    assert_eq!((page.users, page.next), (Vec::new(), None));
}

async fn who_stays_a_member_during_a_scan_is_given(subject: Subject) {
    let members = subject.stores().members;
    let numbers = 0..22_000;
    for part in users(numbers.clone()).chunks(MEMBERS_PAGE_MAX) {
        members.add(community(1), part.to_vec()).await.unwrap();
    }
    let mut given = BTreeSet::new();
    let mut from = None;
    let mut odd = numbers.clone().filter(|number| number % 2 == 1);
    loop {
        let page = members.scan(community(1), from).await.unwrap();
        given.extend(page.users.iter().map(|user| user.get()));
        members.remove(community(1), users(odd.by_ref().take(3_000))).await.unwrap();
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    for stayed in numbers.filter(|number| number % 2 == 0) {
        assert!(given.contains(&stayed), "{stayed} was a member all along and was not given");
    }
}

async fn communities_are_apart(subject: Subject) {
    let members = subject.stores().members;
    members.add(community(1), users([1, 2])).await.unwrap();
    members.add(community(2), users([2, 3])).await.unwrap();
    members.remove(community(2), users([1, 2])).await.unwrap();
    assert_eq!(scan(&*members, community(1)).await, BTreeSet::from([1, 2]));
    assert_eq!(scan(&*members, community(2)).await, BTreeSet::from([3]));
    assert_eq!(scan(&*members, community(3)).await, BTreeSet::new());
}

async fn members_outlive_the_process(mut subject: Subject) {
    let members = subject.stores().members;
    members.add(community(1), users([1, 2, 3])).await.unwrap();
    members.remove(community(1), users([2])).await.unwrap();
    drop(members);
    subject.reopen().await;
    let members = subject.stores().members;
    assert_eq!(scan(&*members, community(1)).await, BTreeSet::from([1, 3]));
    assert_eq!(members.count(community(1)).await.unwrap(), 2);
}

/// What is no user in a community, with how its users are found.
async fn invalid(members: &dyn Members, community: CommunityId) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    let mut from = None;
    loop {
        let page = members.scan(community, from).await.unwrap();
        assert!(page.invalid.iter().all(|invalid| !invalid.set.is_empty()));
        all.extend(page.invalid.iter().map(|invalid| invalid.member.to_vec()));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

async fn what_is_no_user_is_given_beside_the_users(mut subject: Subject) {
    const TEXTS: [&str; 7] = ["alice", "007", "+1", "-1", "1.5", "9007199254740992", "a \"b\" \u{e4}"];
    let members = subject.stores().members;
    for (number, users_of) in [(1, 0..3), (2, 0..12_000)] {
        members.add(community(number), users(users_of.clone().take(MEMBERS_PAGE_MAX))).await.unwrap();
        members.add(community(number), users(users_of.clone().skip(MEMBERS_PAGE_MAX))).await.unwrap();
        for text in TEXTS {
            subject.put_member(community(number), text).await;
        }
        for _ in 0..2 {
            let expected: BTreeSet<_> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
            assert_eq!(invalid(&*members, community(number)).await, expected);
            assert_eq!(scan(&*members, community(number)).await, users_of.clone().collect());
        }
        assert_eq!(members.count(community(number)).await.unwrap(), users_of.end + TEXTS.len() as u64);
    }
    assert_eq!(invalid(&*members, community(3)).await, BTreeSet::new());
}

async fn a_set_with_no_user_in_it_is_not_empty(mut subject: Subject) {
    let members = subject.stores().members;
    subject.put_member(community(1), "alice").await;
    assert_eq!(invalid(&*members, community(1)).await, BTreeSet::from([b"alice".to_vec()]));
    assert_eq!(scan(&*members, community(1)).await, BTreeSet::new());
    assert_eq!(members.count(community(1)).await.unwrap(), 1);
}
