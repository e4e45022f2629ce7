//! What is promised of batches and of events for one user.

use std::time::Duration;

use peal_proto::{Audience, CommunityId, EventId};

use super::{finds_in, user};
use crate::book::{Keep, Trace};
use crate::cluster::run;
use crate::community::{Batch, Errand, Form, Item};
use crate::device::Mode;
use crate::oracle::Violation;
use crate::schedule::{Layout, Schedule, Step};
use crate::tampering::Act;

/// Batches to two users in one community: two items for the first of them, one for both, and a repeat.
fn schedule() -> Schedule {
    let community = CommunityId::new(7).unwrap();
    let mut steps = vec![(0, Step::Errand(Errand::Add { community, users: (0..2).map(user).collect() }))];
    steps.extend((0..2).map(|device| (100, Step::Device { device, mode: Mode::On })));
    for number in 0..10 {
        let event = |name: char| format!("{name}{number}").parse::<EventId>().unwrap();
        let item = |name, audience| Item::Event { audience, event: event(name), bytes: 0, keep: Keep::default() };
        let one = Audience::User(user(0));
        let items = vec![item('a', one), item('b', one), item('c', Audience::Community(community)), item('a', one)];
        let form = if number % 2 == 0 { Form::Lines } else { Form::Array };
        let batch = Batch { items, form, pieces: 1, pause: Duration::ZERO, again: false, attempts_max: 1_000 };
        steps.push((1_000 + number * 700, Step::Errand(Errand::Batch(batch))));
    }
    Schedule::plain(Layout::plain(2), steps)
}

#[test]
fn batches_that_nobody_tampers_with_are_told() {
    assert_eq!(run(&schedule(), Trace::Off, None).violations, []);
}

#[test]
fn a_part_that_is_answered_before_it_is_durable_is_not_in_the_log() {
    finds_in(&schedule(), Act::LosePart, |found| matches!(found, Violation::NotInLog { .. }));
}

#[test]
fn items_that_change_places_are_out_of_order() {
    finds_in(&schedule(), Act::SwapItems, |found| matches!(found, Violation::LogOutOfOrder { .. }));
}

#[test]
fn an_event_for_one_user_that_is_told_twice_is_twice_in_the_log() {
    finds_in(&schedule(), Act::TellTwice, |found| matches!(found, Violation::TwiceInLog { .. }));
}
