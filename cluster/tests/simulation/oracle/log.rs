//! What the notification log must hold: each accepted event once for each of its members, or for its one user, in the order of
//! each community, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peal_proto::shard::partition_of;
use peal_proto::{CommunityId, EventId, UserId};
use peal_store::log::Record;
use serde_json::Value;

use super::membership::{may_be_told, must_be_told};
use super::{Entries, Entry, Evidence, Violation};
use crate::book::Post;

/// The log by user; what is no notification is a violation.
pub(super) fn read(evidence: &Evidence, violations: &mut Vec<Violation>) -> Entries {
    let mut entries = Entries::new();
    for log in &evidence.logs {
        let mut users = BTreeMap::<_, Vec<_>>::new();
        for (partition, records) in log.iter().enumerate() {
            for record in records {
                match entry(evidence, partition, record) {
                    Ok((user, entry)) => users.entry(user).or_default().push(entry),
                    Err(why) => {
                        let value = String::from_utf8_lossy(&record.value).into_owned();
                        violations.push(Violation::NotARecord { value, why });
                    }
                }
            }
        }
        entries.push(users);
    }
    entries
}

fn entry(evidence: &Evidence, partition: usize, record: &Record) -> Result<(UserId, Entry), &'static str> {
    let user = record.key.and_then(|key| UserId::new(key).ok()).ok_or("its key is no user")?;
    if partition_of(user.get(), evidence.partitions).get() as usize != partition {
        return Err("it is in another partition than its user");
    }
    let text = String::from_utf8(record.value.to_vec()).map_err(|_| "it is no text")?;
    let value: Value = serde_json::from_str(&text).map_err(|_| "it is no JSON")?;
    let event: EventId = value["event"].as_str().and_then(|event| event.parse().ok()).ok_or("it names no event")?;
    let id = format!("{event}:{user}");
    if value["id"] != id.as_str() {
        return Err("its id is not of its event and its user");
    }
    let post = evidence.posts.get(&event).ok_or("nobody posted its event")?;
    if value.get("community") != post.community().map(|community| community.get().into()).as_ref() {
        return Err("its community is not that of its event");
    }
    if value["collapse"].as_str() != post.keep.collapse {
        return Err("its collapse key is not that of its event");
    }
    if record.headers.expires.is_some() != post.keep.ttl.is_some() {
        return Err("it has a deadline and its event none, or the other way round");
    }
    let collapse = post.keep.collapse;
    Ok((user, Entry { offset: record.offset, event, id, collapse, text }))
}

pub(super) fn check(evidence: &Evidence, entries: &Entries, violations: &mut Vec<Violation>) {
    let mut told = BTreeMap::<&EventId, BTreeSet<UserId>>::new();
    for (user, entry) in entries.iter().flatten().flat_map(|(user, entries)| entries.iter().map(|entry| (*user, entry)))
    {
        if !told.entry(&entry.event).or_default().insert(user) {
            violations.push(Violation::TwiceInLog { id: entry.id.clone() });
        }
    }
    let everybody = everybody(evidence);
    for (event, post) in &evidence.posts {
        let nobody = BTreeSet::new();
        let told = told.get(event).unwrap_or(&nobody);
        for user in told.iter().copied().filter(|user| !may_be_told(evidence, event, *user)) {
            violations.push(Violation::Uninvited { event: event.clone(), user });
        }
        if post.accepted.is_some() {
            let missed = everybody.iter().copied().filter(|user| !told.contains(user));
            for user in missed.filter(|user| must_be_told(evidence, event, *user)) {
                violations.push(Violation::NotInLog { event: event.clone(), user });
            }
        }
        let recorded = told.len() as u64;
        if let Some(published) = post.published.filter(|said| said.members != recorded || said.published != recorded) {
            let (event, members, published) = (event.clone(), published.members, published.published);
            violations.push(Violation::WrongStatus { event, members, published, recorded });
        }
    }
    for users in entries {
        check_order(evidence, users, violations);
    }
}

/// Everybody who ever was to be a member of something, or was written to.
fn everybody(evidence: &Evidence) -> BTreeSet<UserId> {
    let changed = evidence.changes.iter().flat_map(|change| change.users.iter().copied());
    let joined = evidence.posts.values().filter_map(|post| Some(post.join?.user));
    changed.chain(joined).chain(evidence.posts.values().filter_map(Post::user)).collect()
}

/// The events of one community stand in the order in which they were accepted, for everybody in the same; and so do those
/// that are for this user alone.
fn check_order(evidence: &Evidence, users: &BTreeMap<UserId, Vec<Entry>>, violations: &mut Vec<Violation>) {
    let mut orders = BTreeMap::<CommunityId, Vec<(UserId, Vec<&EventId>)>>::new();
    for (user, entries) in users {
        let mut own = BTreeMap::<Option<CommunityId>, Vec<&EventId>>::new();
        for entry in entries {
            own.entry(evidence.posts[&entry.event].community()).or_default().push(&entry.event);
        }
        for (community, events) in own {
            check_time(evidence, *user, &events, violations);
            check_batches(evidence, *user, &events, violations);
            if let Some(community) = community {
                orders.entry(community).or_default().push((*user, events));
            }
        }
    }
    for (community, orders) in orders {
        let longest = orders.iter().map(|(_, events)| events).max_by_key(|events| events.len()).unwrap();
        let place: BTreeMap<_, _> = longest.iter().enumerate().map(|(place, event)| (*event, place)).collect();
        for (user, events) in &orders {
            let known: Vec<_> = events.iter().copied().filter(|event| place.contains_key(event)).collect();
            for pair in known.windows(2).filter(|pair| place[pair[0]] > place[pair[1]]) {
                let (first, then) = (pair[0].clone(), pair[1].clone());
                violations.push(Violation::OrdersDiffer { community, user: *user, first, then });
            }
        }
    }
}

/// No event stands behind one that was not even posted when it was accepted.
fn check_time(evidence: &Evidence, user: UserId, events: &[&EventId], violations: &mut Vec<Violation>) {
    let mut latest: Option<(Duration, &EventId)> = None;
    for event in events {
        let post = &evidence.posts[*event];
        if let (Some(accepted), Some((sent, first))) = (post.accepted, latest)
            && accepted < sent
        {
            violations.push(Violation::LogOutOfOrder { user, first: first.clone(), then: (*event).clone() });
        }
        latest = latest.max(Some((post.sent, event)));
    }
}

/// No event stands before one that stands before it in its batch.
fn check_batches(evidence: &Evidence, user: UserId, events: &[&EventId], violations: &mut Vec<Violation>) {
    let mut missing: BTreeSet<_> = events.iter().copied().collect();
    for event in events {
        missing.remove(event);
        if let Some(then) = evidence.posts[*event].behind.as_ref().filter(|before| missing.contains(before)) {
            violations.push(Violation::LogOutOfOrder { user, first: (*event).clone(), then: then.clone() });
        }
    }
}
