//! What event statuses and claims promise.

use std::time::Duration;

use bytes::Bytes;
use peal_proto::{Audience, CommunityId, EventId, Kind, Offset, Partition, Topic};

use super::append::record;
use super::{Case, Subject, cases};
use crate::clock;
use crate::status::{Change, Changes, Claim, Origin, PartKey, State, Status};

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
    a_part_of_an_account_changes_only_from_what_it_was,
    an_account_has_the_status_and_all_parts_of_its_event,
    an_account_without_a_status_is_unknown,
    who_watches_an_event_is_told_of_its_next_change,
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
        failed: 0,
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

fn part(name: &str, partition: u32, number: u64) -> PartKey {
    PartKey { event: event(name), partition: Partition::new(partition), number }
}

fn change(key: PartKey, before: Option<&'static str>, after: &'static str) -> Change {
    Change { key, before: before.map(Bytes::from), after: after.into() }
}

async fn a_part_of_an_account_changes_only_from_what_it_was(subject: Subject) {
    let statuses = subject.stores().statuses;
    let keys = [part("e", 0, 0), part("e", 1, 0), part("f", 0, 0), part("e", 1, 7)];
    assert_eq!(statuses.parts(&keys).await.unwrap(), [None, None, None, None]);
    let first = keys[..3].iter().map(|key| change(key.clone(), None, "a")).collect::<Vec<_>>();
    assert!(statuses.change(first.clone()).await.unwrap());
    assert!(statuses.change(first).await.unwrap(), "as they are to be");
    let second = vec![change(part("e", 0, 0), Some("other"), "b"), change(part("e", 1, 0), Some("a"), "c")];
    assert!(!statuses.change(second).await.unwrap());
    assert!(!statuses.change(vec![change(part("f", 0, 0), None, "d")]).await.unwrap());
    let now = ["a", "c", "a"].map(|value| Some(Bytes::from(value)));
    assert_eq!(statuses.parts(&keys).await.unwrap(), [&now[..], &[None]].concat());
}

async fn an_account_has_the_status_and_all_parts_of_its_event(mut subject: Subject) {
    let stores = subject.stores();
    let (statuses, e) = (&stores.statuses, event("e"));
    statuses.accept(status("e")).await.unwrap();
    statuses.claim(&e, origin(1), clock::now()).await.unwrap();
    statuses.claim(&e, origin(2), clock::now()).await.unwrap();
    let parts = (0..300).map(|number| change(part("e", number % 4, u64::from(number)), None, "part"));
    let others = [change(part("e.", 0, 0), None, "other"), change(part("e0", 0, 0), None, "other")];
    assert!(statuses.change(parts.chain(others).collect()).await.unwrap());
    let update =
        Status { state: State::Published, members: 300, published: 300, failed: 2, duplicates: 1, ..status("e") };
    statuses.update(update.clone()).await.unwrap();
    let (kept, parts) = statuses.account(&e).await.unwrap().unwrap();
    assert_eq!((kept, parts), (update.clone(), vec![Bytes::from("part"); 300]));
    stores.log.append(Topic::Notifications, vec![record(0, "behind the parts")]).await.unwrap();
    drop(stores);
    subject.reopen().await;
    let (kept, parts) = subject.stores().statuses.account(&e).await.unwrap().unwrap();
    assert_eq!((kept, parts.len()), (update, 300));
}

async fn an_account_without_a_status_is_unknown(subject: Subject) {
    let statuses = subject.stores().statuses;
    assert!(statuses.change(vec![change(part("e", 0, 0), None, "a")]).await.unwrap());
    assert_eq!(statuses.account(&event("e")).await.unwrap(), None);
    statuses.accept(status("e")).await.unwrap();
    let (kept, parts) = statuses.account(&event("e")).await.unwrap().unwrap();
    assert_eq!((kept.state, parts), (State::Accepted, vec![Bytes::from("a")]));
}

async fn who_watches_an_event_is_told_of_its_next_change(subject: Subject) {
    let statuses = subject.stores().statuses;
    let mut changes = statuses.changes();
    let expected = Some(event("e"));
    // Anything may have changed as long as nobody says what: a store that has just connected says so, and hears nothing before.
    let next = async |changes: &mut Changes| loop {
        if let Some(event) = changes.next().await {
            return Some(event);
        }
    };
    loop {
        statuses.watch(&event("first")).await.unwrap();
        statuses.update(status("first")).await.unwrap();
        if tokio::time::timeout(Duration::from_secs(2), next(&mut changes)).await.is_ok() {
            break;
        }
    }
    for round in 0..3 {
        statuses.watch(&event("e")).await.unwrap();
        statuses.watch(&event("e")).await.unwrap();
        statuses.update(status("other")).await.unwrap();
        statuses.update(Status { members: round, ..status("e") }).await.unwrap();
        assert_eq!(next(&mut changes).await, expected, "its status");
        assert_eq!(statuses.get(&event("e")).await.unwrap().unwrap().members, round, "told once it can be seen");
        statuses.update(Status { members: 99, ..status("e") }).await.unwrap();
        statuses.watch(&event("e")).await.unwrap();
        assert!(statuses.change(vec![change(part("e", 0, round), None, "a")]).await.unwrap());
        assert_eq!(next(&mut changes).await, expected, "a part");
    }
    statuses.watch(&event("last")).await.unwrap();
    statuses.update(status("last")).await.unwrap();
    assert_eq!(next(&mut changes).await, Some(event("last")), "nobody was told more than once");
}
