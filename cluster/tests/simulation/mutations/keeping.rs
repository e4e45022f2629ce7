//! What is promised of deadlines and collapse keys: what is missing for another reason than these, or given in spite of them, is
//! found.

use peal_proto::CommunityId;

use super::{AWAY, user};
use crate::book::{Keep, Trace};
use crate::cluster::run;
use crate::community::Errand;
use crate::device::Mode;
use crate::oracle::Violation;
use crate::schedule::{Layout, Schedule, Step};
use crate::tampering::Act;

/// Two users in one community, one of them away from 2 s to 9 s; events with a deadline, with a collapse key, and with neither.
fn schedule() -> Schedule {
    let community = CommunityId::new(7).unwrap();
    let mut steps = vec![(0, Step::Errand(Errand::Add { community, users: (0..2).map(user).collect() }))];
    steps.extend((0..2).map(|device| (100, Step::Device { device, mode: Mode::On })));
    for number in 0..18 {
        let event = format!("e{number}").parse().unwrap();
        let keep = match number % 3 {
            0 => Keep { collapse: Some("a"), ..Keep::default() },
            1 => Keep { ttl: Some(1), ..Keep::default() },
            _ => Keep::default(),
        };
        steps.push((
            1_000 + number * 400,
            Step::Errand(Errand::Post { community, event, bytes: 0, keep, attempts_max: 9 }),
        ));
    }
    steps.push((2_000, Step::Device { device: AWAY, mode: Mode::Off }));
    steps.push((9_000, Step::Device { device: AWAY, mode: Mode::On }));
    Schedule::plain(Layout::plain(2), steps)
}

#[test]
fn deadlines_and_keys_that_nobody_tampers_with_are_kept_and_met() {
    let outcome = run(&schedule(), Trace::Off, None);
    assert_eq!(outcome.violations, []);
    assert!(outcome.tally["notifications that stand for others"] > 0 && outcome.tally["gaps of age"] > 0);
}

#[test]
fn what_is_given_behind_its_deadline_is_too_late() {
    let found = super::violations(Act::ForgetDeadlines, 0, &schedule());
    assert!(found.iter().any(|found| matches!(found, Violation::TooLate { .. })), "{found:#?}");
}

#[test]
fn what_makes_way_for_one_of_another_key_is_lost() {
    let found = super::violations(Act::ReplaceOthers, 0, &schedule());
    assert!(found.iter().any(|found| matches!(found, Violation::Lost { .. })), "{found:#?}");
}

#[test]
fn what_is_replaced_and_not_written_down_is_parked_for_ever() {
    let found = super::violations(Act::LoseReplaced, 0, &schedule());
    let is_wrong = |found: &Violation| matches!(found, Violation::WrongAccount { why, .. } if why.contains("parked"));
    assert!(!found.is_empty() && found.iter().all(is_wrong), "{found:#?}");
}
