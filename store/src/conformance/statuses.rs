//! What event statuses and claims promise.

use peal_proto::{Audience, CommunityId, EventId, Kind, Offset, Partition, Topic};

use super::append::record;
use super::{Case, Subject, cases};
use crate::clock;
use crate::status::{Claim, Origin, State, Status};

pub(super) const CASES: &[Case] = cases![
    an_unknown_event_has_no_status,
    the_first_status_stays_when_it_is_accepted_again,
    an_update_replaces_the_status,
    an_update_of_an_unknown_event_writes_it,
    the_first_copy_to_claim_counts_for_good,
    a_claim_that_is_taken_back_is_the_next_copys,
    duplicates_are_counted,
    an_update_keeps_the_duplicates_that_were_counted,
    one_of_many_copies_that_claim_at_once_wins,
    a_claim_that_an_append_followed_outlives_the_process,
];

fn event(name: &str) -> EventId {
    name.parse().unwrap()
}

fn status(name: &str) -> Status {
    Status {
        event: event(name),
        state: State::Accepted,
        kind: Kind::joined(),
        audience: Audience::Community(CommunityId::new(7).unwrap()),
        at: clock::now(),
        members: 0,
        published: 0,
        duplicates: 0,
    }
}

fn origin(offset: u64) -> Origin {
    Origin { partition: Partition::new(1), offset: Offset::new(offset) }
}

async fn an_unknown_event_has_no_status(subject: Subject) {
    assert_eq!(subject.stores().statuses.get(&event("unknown")).await.unwrap(), None);
}

async fn the_first_status_stays_when_it_is_accepted_again(subject: Subject) {
    let statuses = subject.stores().statuses;
    let first = Status { members: 3, ..status("e") };
    statuses.accept(first.clone()).await.unwrap();
    statuses.accept(Status { members: 4, state: State::Published, ..status("e") }).await.unwrap();
    assert_eq!(statuses.get(&event("e")).await.unwrap(), Some(first));
}

async fn an_update_replaces_the_status(subject: Subject) {
    let statuses = subject.stores().statuses;
    statuses.accept(status("e")).await.unwrap();
    statuses.accept(status("other")).await.unwrap();
    for (state, published) in [(State::Expanding, 0), (State::Expanding, 500), (State::Published, 1_000)] {
        let update = Status { state, members: 1_000, published, ..status("e") };
        statuses.update(update.clone()).await.unwrap();
        assert_eq!(statuses.get(&event("e")).await.unwrap(), Some(update));
    }
    assert_eq!(statuses.get(&event("other")).await.unwrap().unwrap().state, State::Accepted);
}

async fn an_update_of_an_unknown_event_writes_it(subject: Subject) {
    let statuses = subject.stores().statuses;
    let update = Status { state: State::Expanding, members: 2, ..status("e") };
    statuses.update(update.clone()).await.unwrap();
    assert_eq!(statuses.get(&event("e")).await.unwrap(), Some(update));
}

async fn the_first_copy_to_claim_counts_for_good(subject: Subject) {
    let (statuses, now) = (subject.stores().statuses, clock::now());
    statuses.accept(status("e")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(statuses.claim(&event("e"), origin(5), now).await.unwrap(), Claim::Ours);
        assert_eq!(statuses.claim(&event("e"), origin(9), now).await.unwrap(), Claim::Duplicate);
    }
    let same_offset_elsewhere = Origin { partition: Partition::new(2), ..origin(5) };
    assert_eq!(statuses.claim(&event("e"), same_offset_elsewhere, now).await.unwrap(), Claim::Duplicate);
    assert_eq!(statuses.claim(&event("other"), origin(9), now).await.unwrap(), Claim::Ours);
}

async fn a_claim_that_is_taken_back_is_the_next_copys(subject: Subject) {
    let (statuses, now) = (subject.stores().statuses, clock::now());
    statuses.accept(status("e")).await.unwrap();
    statuses.release(&event("e"), origin(5)).await.unwrap();
    assert_eq!(statuses.claim(&event("e"), origin(5), now).await.unwrap(), Claim::Ours);
    statuses.release(&event("e"), origin(9)).await.unwrap();
    assert_eq!(statuses.claim(&event("e"), origin(9), now).await.unwrap(), Claim::Duplicate);
    for _ in 0..2 {
        statuses.release(&event("e"), origin(5)).await.unwrap();
    }
    assert_eq!(statuses.claim(&event("e"), origin(9), now).await.unwrap(), Claim::Ours);
    assert_eq!(statuses.claim(&event("e"), origin(5), now).await.unwrap(), Claim::Duplicate);
    assert_eq!(statuses.get(&event("e")).await.unwrap().unwrap().state, State::Accepted);
}

async fn duplicates_are_counted(subject: Subject) {
    let (statuses, now) = (subject.stores().statuses, clock::now());
    statuses.accept(status("e")).await.unwrap();
    for offset in 1..=3 {
        statuses.claim(&event("e"), origin(offset), now).await.unwrap();
        assert_eq!(statuses.get(&event("e")).await.unwrap().unwrap().duplicates, offset - 1);
    }
}

async fn an_update_keeps_the_duplicates_that_were_counted(subject: Subject) {
    let (statuses, now) = (subject.stores().statuses, clock::now());
    statuses.accept(status("e")).await.unwrap();
    statuses.claim(&event("e"), origin(1), now).await.unwrap();
    statuses.claim(&event("e"), origin(2), now).await.unwrap();
    statuses.update(Status { state: State::Expanding, members: 9, ..status("e") }).await.unwrap();
    let stored = statuses.get(&event("e")).await.unwrap().unwrap();
    assert_eq!((stored.members, stored.duplicates), (9, 1));
    statuses.claim(&event("e"), origin(3), now).await.unwrap();
    assert_eq!(statuses.get(&event("e")).await.unwrap().unwrap().duplicates, 2);
}

async fn one_of_many_copies_that_claim_at_once_wins(subject: Subject) {
    let (statuses, now) = (subject.stores().statuses, clock::now());
    statuses.accept(status("e")).await.unwrap();
    let claims = (0..32).map(|offset| {
        let statuses = statuses.clone();
        tokio::spawn(async move { statuses.claim(&event("e"), origin(offset), now).await.unwrap() })
    });
    let mut ours = 0;
    for claim in claims.collect::<Vec<_>>() {
        ours += u32::from(claim.await.unwrap() == Claim::Ours);
    }
    assert_eq!(ours, 1);
    assert_eq!(statuses.get(&event("e")).await.unwrap().unwrap().duplicates, 31);
}

async fn a_claim_that_an_append_followed_outlives_the_process(mut subject: Subject) {
    let (stores, now) = (subject.stores(), clock::now());
    assert_eq!(stores.statuses.claim(&event("e"), origin(5), now).await.unwrap(), Claim::Ours);
    stores.log.append(Topic::Notifications, vec![record(0, "behind the claim")]).await.unwrap();
    drop(stores);
    subject.reopen().await;
    let statuses = subject.stores().statuses;
    assert_eq!(statuses.claim(&event("e"), origin(6), now).await.unwrap(), Claim::Duplicate);
    assert_eq!(statuses.claim(&event("e"), origin(5), now).await.unwrap(), Claim::Ours);
}
