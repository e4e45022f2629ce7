//! What a fan-out would tell that does one thing after the other and never fails, and whether that was told.

use std::collections::{BTreeMap, BTreeSet};

use peal_proto::{EventId, Offset};
use peal_store::status::State;

use super::scenario::{COMMUNITIES, Fortune, Post, Scenario, community, offset, user};
use super::world::{Told, World};

/// What a fan-out would tell that does one thing after the other and never fails.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) told: BTreeSet<Told>,
    /// Who is a member in the end, by post: told perhaps as well, when an earlier event is repeated after a join.
    pub(super) perhaps: BTreeSet<Told>,
    /// Who joined and did not want to be told.
    pub(super) never: BTreeSet<Told>,
    pub(super) published: BTreeMap<EventId, usize>,
    pub(super) buried: BTreeSet<Offset>,
    /// Events of which a copy is a dead letter: another copy is told perhaps, as a replay is.
    pub(super) loose: BTreeMap<EventId, BTreeSet<usize>>,
}

pub(super) fn expected(scenario: &Scenario) -> Expected {
    let communities = || (0..COMMUNITIES).map(community);
    let is_given_up = |of| matches!(scenario.fortune(of), Fortune::GivenUp { .. });
    let mut members: BTreeMap<_, _> =
        communities().filter(|of| !is_given_up(*of)).map(|of| (of, scenario.founders(of))).collect();
    let mut expected = Expected::default();
    let (mut counted, mut maybe) = (Vec::new(), Vec::new());
    for (index, post) in scenario.posts.iter().enumerate() {
        let (id, of, left_out) = match post {
            Post::Say { id, community } => (id, Some(*community), None),
            Post::Join { id, community, user, notify_self } => (id, Some(*community), (!notify_self).then_some(*user)),
            Post::Tell { id, user: _ } => (id, None, None),
            Post::Rubbish => {
                expected.buried.insert(offset(index));
                continue;
            }
        };
        let left_out = left_out.map(|joiner| (index, user(joiner)));
        let event: EventId = format!("e{id}").parse().unwrap();
        if expected.published.contains_key(&event) {
            continue;
        }
        let is_lost = of.is_some_and(
            |of| matches!(scenario.fortune(community(of)), Fortune::GivenUp { since, .. } if index < since),
        );
        let is_loose = expected.loose.contains_key(&event);
        if is_lost || is_loose {
            if !is_loose {
                expected.buried.insert(offset(index));
            }
            expected.loose.entry(event).or_default().insert(index);
            match post {
                Post::Say { .. } | Post::Rubbish => {}
                Post::Join { community: of, user: joiner, .. } => maybe.push((community(*of), user(*joiner))),
                Post::Tell { user: told, .. } => drop(expected.perhaps.insert((index, user(*told)))),
            }
            counted.extend(of.filter(|_| !is_lost).map(|of| (index, community(of))));
            expected.never.extend(left_out);
            continue;
        }
        expected.published.insert(event, index);
        if let Post::Tell { user: told, .. } = post {
            expected.told.insert((index, user(*told)));
        }
        let Some(of) = of else { continue };
        if let Post::Join { user: joiner, .. } = post {
            members.entry(community(of)).or_default().insert(user(*joiner));
        }
        let now = members.get(&community(of)).into_iter().flatten();
        expected.told.extend(now.map(|member| (index, *member)));
        counted.push((index, community(of)));
        expected.never.extend(left_out);
    }
    for (of, joiner) in maybe {
        members.entry(of).or_default().insert(joiner);
    }
    for (index, of) in counted {
        let later = members.get(&of).into_iter().flatten();
        expected.perhaps.extend(later.map(|member| (index, *member)));
    }
    expected.perhaps.extend(expected.told.iter().copied());
    expected.told.retain(|told| !expected.never.contains(told));
    expected.perhaps.retain(|told| !expected.never.contains(told));
    expected
}

pub(super) fn check(scenario: &Scenario, world: &World) {
    let expected = expected(scenario);
    let told = world.told();
    let once: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(once.len(), told.len(), "somebody was told twice");
    assert!(once.is_superset(&expected.told), "skipped: {:?}", expected.told.difference(&once).collect::<Vec<_>>());
    let more: Vec<_> = once.difference(&expected.told).filter(|told| !expected.perhaps.contains(told)).collect();
    assert!(more.is_empty(), "told without being a member: {more:?}");
    for key in scenario.posts.iter().map(|post| post.key()) {
        let posts: Vec<_> =
            told.iter().map(|(post, _)| *post).filter(|post| scenario.posts[*post].key() == key).collect();
        assert!(posts.is_sorted(), "out of the order of events");
    }
    let loose = || expected.loose.values().flatten();
    assert!(world.buried.is_superset(&expected.buried), "not buried: {:?}", &expected.buried - &world.buried);
    let more = &world.buried - &expected.buried;
    assert!(more.iter().all(|buried| loose().any(|index| offset(*index) == *buried)), "buried: {more:?}");
    for copies in expected.loose.values() {
        let told: BTreeSet<_> = once.iter().map(|(post, _)| *post).filter(|post| copies.contains(post)).collect();
        assert!(told.len() <= 1, "two copies were told");
    }
    let is_known = |event: &EventId| expected.published.contains_key(event) || expected.loose.contains_key(event);
    assert!(world.statuses.keys().all(is_known));
    for (event, index) in &expected.published {
        let count = told.iter().filter(|(post, _)| post == index).count() as u64;
        let failed = check_letters(scenario, world, *index);
        let status = &world.statuses[event];
        let all = count + failed;
        let expected = (State::Published, all, all, failed);
        assert_eq!((status.state, status.members, status.published, status.failed), expected, "{event}");
    }
    let may_have = |of: Offset| {
        let mut posts = expected.published.values().chain(loose());
        posts.any(|index| offset(*index) == of)
    };
    assert!(world.letters.iter().all(|(of, _)| may_have(*of)), "letters of what was told before or never");
    let letters: BTreeSet<_> = world.letters.iter().collect();
    assert_eq!(letters.len(), world.letters.len(), "somebody has two letters of an event");
    if scenario.fates.is_empty() && expected.loose.is_empty() {
        assert_eq!(once, expected.told);
    }
}

/// Each member that is no user has a letter of an event that was told; how many it are.
fn check_letters(scenario: &Scenario, world: &World, index: usize) -> u64 {
    let letters = world.letters.iter().filter(|(of, _)| *of == offset(index));
    let letters: BTreeSet<_> = letters.map(|(_, member)| member.clone()).collect();
    let expected = scenario.posts[index].community().map(|of| scenario.invalid(of)).unwrap_or_default();
    assert_eq!(letters, expected, "letters of post {index}");
    letters.len() as u64
}
