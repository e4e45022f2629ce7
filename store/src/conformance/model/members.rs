//! Calls of the members.

use std::collections::BTreeSet;

use peal_proto::{CommunityId, UserId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::Stores;

#[derive(Debug, Clone)]
pub(super) enum MembersStep {
    Add { community: u64, users: Vec<u64> },
    Remove { community: u64, users: Vec<u64> },
    Scan { community: u64 },
}

pub(super) fn steps() -> impl Strategy<Value = MembersStep> {
    let users = || vec(0..12_u64, 0..6);
    prop_oneof![
        (0..2_u64, users()).prop_map(|(community, users)| MembersStep::Add { community, users }),
        (0..2_u64, users()).prop_map(|(community, users)| MembersStep::Remove { community, users }),
        (0..2_u64).prop_map(|community| MembersStep::Scan { community }),
    ]
}

fn ids(users: &[u64]) -> Vec<UserId> {
    users.iter().map(|user| UserId::new(*user).unwrap()).collect()
}

pub(super) async fn call(stores: &Stores, step: &MembersStep) -> String {
    let members = &stores.members;
    let id = |community: u64| CommunityId::new(community).unwrap();
    match step {
        MembersStep::Add { community, users } => {
            let added = members.add(id(*community), ids(users)).await.unwrap();
            format!("{added} of {}", members.count(id(*community)).await.unwrap())
        }
        MembersStep::Remove { community, users } => {
            let removed = members.remove(id(*community), ids(users)).await.unwrap();
            format!("{removed} of {}", members.count(id(*community)).await.unwrap())
        }
        MembersStep::Scan { community } => {
            let (mut users, mut from) = (BTreeSet::new(), None);
            loop {
                let page = members.scan(id(*community), from).await.unwrap();
                users.extend(page.users);
                from = page.next;
                if from.is_none() {
                    return format!("{users:?}");
                }
            }
        }
    }
}
