//! That the oracle can fail: each act breaks one promise of a cluster that is otherwise well, and the oracle says which.

mod accounts;
mod batches;
mod keeping;
mod resharding;

use std::sync::Arc;
use std::time::Duration;

use peal_node::limits::Limits;
use peal_proto::{CommunityId, UserId};
use peal_store::inbox::Retention;
use peal_store::simulated::Store;

use crate::book::{Keep, Trace};
use crate::cluster::run;
use crate::community::Errand;
use crate::device::Mode;
use crate::oracle::Violation;
use crate::schedule::{Host, Layout, Schedule, Step};
use crate::tampering::{Act, Tamperer};

/// The user who is away for a while.
const AWAY: usize = 1;

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

/// Three users in one community; the last is away from 3 s to 8 s, the link of another is cut from 5 s on, and the node
/// dies a second later.
fn schedule(notifications_max: u32) -> Schedule {
    let layout = Layout {
        retention: Retention { notifications_max, ..Retention::default() },
        limits: Limits { page_entries_max: 2, ..Layout::plain(3).limits },
        ..Layout::plain(3)
    };
    let community = CommunityId::new(7).unwrap();
    let mut steps = vec![(0, Step::Errand(Errand::Add { community, users: (0..3).map(user).collect() }))];
    steps.extend((0..3).map(|device| (100, Step::Device { device, mode: Mode::On })));
    for number in 0..40 {
        let event = format!("e{number}").parse().unwrap();
        let post = Errand::Post { community, event, bytes: 0, keep: Keep::default(), attempts_max: 1_000 };
        steps.push((1_000 + number / 4 * 700, Step::Errand(post)));
    }
    steps.push((500, Step::Delay(Store::Log, Duration::from_millis(30))));
    steps.push((3_000, Step::Device { device: AWAY, mode: Mode::Off }));
    steps.push((8_000, Step::Device { device: AWAY, mode: Mode::On }));
    steps.push((5_000, Step::Device { device: AWAY + 1, mode: Mode::Cut }));
    steps.push((6_000, Step::Crash(Host::Node(0))));
    steps.push((6_500, Step::Start(Host::Node(0))));
    Schedule::plain(layout, steps)
}

fn violations(act: Act, passes: u32, schedule: &Schedule) -> Vec<Violation> {
    let tamperer = Arc::new(Tamperer::new(act, passes));
    let outcome = run(schedule, Trace::Off, Some(Arc::clone(&tamperer)));
    assert!(tamperer.has_struck(), "there was no opportunity for {act:?}");
    outcome.violations
}

/// The oracle finds this, at whichever of a few opportunities the act is done.
#[track_caller]
fn finds(act: Act, expected: impl Fn(&Violation) -> bool) {
    finds_in(&schedule(1_000), act, expected);
}

#[track_caller]
fn finds_in(schedule: &Schedule, act: Act, expected: impl Fn(&Violation) -> bool) {
    for passes in [0, 3, 7] {
        let found = violations(act, passes, schedule);
        assert!(found.iter().any(&expected), "{act:?} after {passes} others: {found:#?}");
    }
}

#[test]
fn a_cluster_that_nobody_tampers_with_keeps_its_promises() {
    for notifications_max in [2, 1_000] {
        assert_eq!(run(&schedule(notifications_max), Trace::Off, None).violations, []);
    }
}

#[test]
fn an_entry_that_is_forgotten_is_lost() {
    finds(Act::ForgetEntry, |found| matches!(found, Violation::Lost { .. }));
}

#[test]
fn a_commit_that_is_early_loses_what_a_crash_takes() {
    finds(Act::CommitEarly, |found| matches!(found, Violation::Lost { .. }));
}

#[test]
fn commits_that_are_never_made_are_not_quiet() {
    finds(Act::CommitNever, |found| matches!(found, Violation::NotQuiet { .. }));
}

#[test]
fn a_trim_of_too_much_loses_it() {
    finds(Act::TrimAll, |found| matches!(found, Violation::Lost { .. }));
}

#[test]
fn a_gap_that_is_not_told_is_a_loss() {
    let found = violations(Act::HideGaps, 0, &schedule(2));
    assert!(found.iter().any(|found| matches!(found, Violation::Lost { .. })), "{found:#?}");
}

#[test]
fn a_gap_for_what_is_kept_is_not_allowed() {
    finds(Act::InventGap, |found| matches!(found, Violation::GapNotAllowed { .. }));
}

#[test]
fn a_notification_that_is_written_twice_is_twice_in_the_log_and_seen_twice() {
    finds(Act::AppendTwice, |found| matches!(found, Violation::TwiceInLog { .. }));
    finds(Act::AppendTwice, |found| matches!(found, Violation::SeenTwice { .. }));
}

#[test]
fn a_member_who_is_skipped_is_not_in_the_log() {
    finds(Act::AppendLess, |found| matches!(found, Violation::NotInLog { .. }));
}

#[test]
fn notifications_that_change_places_are_out_of_order() {
    let out_of_order =
        |found: &Violation| matches!(found, Violation::LogOutOfOrder { .. } | Violation::OrdersDiffer { .. });
    finds(Act::AppendSwapped, out_of_order);
}

#[test]
fn a_notification_for_a_stranger_is_uninvited() {
    finds(Act::AppendUninvited, |found| matches!(found, Violation::Uninvited { .. }));
}

#[test]
fn a_status_that_counts_wrong_is_told() {
    finds(Act::Miscount, |found| matches!(found, Violation::WrongStatus { .. }));
}

#[test]
fn a_frame_that_does_not_arrive_is_lost() {
    finds(Act::DropFrame, |found| matches!(found, Violation::Lost { .. }));
}

#[test]
fn a_frame_that_arrives_twice_is_hidden_by_the_cursor() {
    for passes in [0, 3, 7] {
        assert_eq!(violations(Act::RepeatFrame, passes, &schedule(1_000)), []);
    }
}

#[test]
fn a_frame_that_comes_again_as_another_is_seen_twice_and_not_of_the_log() {
    finds(Act::ForgeFrame, |found| matches!(found, Violation::SeenTwice { .. }));
    finds(Act::ForgeFrame, |found| matches!(found, Violation::NotOfTheLog { .. }));
}

#[test]
fn frames_that_change_places_are_out_of_order() {
    finds(Act::SwapFrames, |found| matches!(found, Violation::OutOfOrder { .. }));
}
