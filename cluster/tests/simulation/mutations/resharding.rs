//! What is promised of a change of the number of nodes: that it ends, whoever is told of it late, and that nobody is left behind.

use peal_proto::CommunityId;

use super::{user, violations};
use crate::book::{Keep, Trace};
use crate::cluster::run;
use crate::community::Errand;
use crate::device::Mode;
use crate::oracle::Violation;
use crate::schedule::{Layout, Schedule, Step};
use crate::tampering::Act;

/// Three users in one community on one node, which become four nodes at 3 s and two at 6 s, under events all the time.
fn schedule() -> Schedule {
    let community = CommunityId::new(7).unwrap();
    let mut steps = vec![(0, Step::Errand(Errand::Add { community, users: (0..3).map(user).collect() }))];
    steps.extend((0..3).map(|device| (100, Step::Device { device, mode: Mode::On })));
    for number in 0..40 {
        let event = format!("e{number}").parse().unwrap();
        let post = Errand::Post { community, event, bytes: 0, keep: Keep::default(), attempts_max: 9 };
        steps.push((1_000 + number * 200, Step::Errand(post)));
    }
    steps.push((3_000, Step::Errand(Errand::Reshard { nodes: 4 })));
    steps.push((6_000, Step::Errand(Errand::Reshard { nodes: 2 })));
    Schedule::plain(Layout { partitions: 12, nodes_max: 4, ..Layout::plain(3) }, steps)
}

#[test]
fn users_who_are_moved_by_nobody_who_tampers_are_told_everything_once() {
    let outcome = run(&schedule(), Trace::Off, None);
    assert_eq!(outcome.violations, []);
    assert!(outcome.tally["moved"] > 0, "{:?}", outcome.tally);
}

#[test]
fn a_wave_that_is_not_kept_never_ends() {
    let found = violations(Act::LoseWaves, 0, &schedule());
    let is_stuck =
        |found: &Violation| matches!(found, Violation::NotQuiet { missing, .. } if missing.contains("yet to move"));
    assert!(found.iter().any(is_stuck), "{found:#?}");
}

#[test]
fn an_owner_that_never_hears_that_a_partition_moved_leaves_its_users_without_a_node() {
    let found = violations(Act::HideMaps, 0, &schedule());
    assert!(found.iter().any(|found| matches!(found, Violation::NotQuiet { .. })), "{found:#?}");
}
