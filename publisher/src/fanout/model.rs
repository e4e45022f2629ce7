//! The machine against a naive model: random events, members and limits, with lost members, crashes and lost answers anywhere.
//!
//! A [`World`] is the stores, as plain maps. The promise is checked from the outside, in the notification log: everybody who
//! had to be told is told exactly once, in the order of the events; and what can't be told is a dead letter, and nothing else.

mod expected;
mod scenario;
mod world;

use std::time::Duration;

use peal_proto::{Partition, Position};
use proptest::prelude::*;

use self::expected::check;
use self::scenario::{Fate, Scenario, offset, scenarios};
use self::world::{Answer, World};
use super::machine::{Effect, Machine, Wait};

const PARTITION: Partition = Partition::new(3);
const PARTITIONS: u32 = 12;

/// What an effect takes.
const STEP: Duration = Duration::from_millis(50);

/// Runs a fan-out to the end of its events, whatever happens to it on the way.
fn run(scenario: &Scenario) -> World {
    let mut world = World::of(scenario);
    let mut machine = Machine::new(PARTITION, PARTITIONS, scenario.limits);
    let mut fates = scenario.fates.iter();
    let end = Position::behind(offset(scenario.posts.len() - 1));
    loop {
        world.now += STEP;
        let effect = machine.next(world.now);
        let fate = fates.next().copied().unwrap_or(Fate::Answered);
        if let Effect::Read { from, wait: Wait::Long } = effect
            && !world.has_unread(from)
        {
            assert_eq!(world.commit.as_ref().map(|commit| commit.position), Some(end));
            return world;
        }
        match rests(&effect, fate, &world) {
            Some(until) => world.now = until,
            None => settle(effect, fate, &mut machine, &mut world, scenario),
        }
    }
}

/// Until when nothing happens, if nothing does.
fn rests(effect: &Effect, fate: Fate, world: &World) -> Option<Duration> {
    if let Effect::Rest { until } = effect {
        return Some(*until);
    }
    let Effect::Read { from, wait: Wait::Until(until) } = effect else { return None };
    let is_quiet = matches!(fate, Fate::Quiet) || !world.has_unread(*from);
    is_quiet.then_some(*until)
}

fn settle(effect: Effect, fate: Fate, machine: &mut Machine, world: &mut World, scenario: &Scenario) {
    match fate {
        Fate::Quiet if matches!(effect, Effect::Read { wait: Wait::Long, .. }) => machine.handle_quiet(),
        Fate::Answered | Fate::Quiet => feed(machine, world.perform(effect, scenario)),
        Fate::Lost { done } => {
            if done {
                world.perform(effect, scenario);
            }
        }
        Fate::Crash { done } => {
            if done {
                world.perform(effect, scenario);
            }
            *machine = Machine::new(PARTITION, PARTITIONS, scenario.limits);
        }
    }
}

fn feed(machine: &mut Machine, answer: Answer) {
    match answer {
        Answer::Opened(commit) => machine.handle_opened(commit).unwrap(),
        Answer::Records(records) => machine.handle_records(&records),
        Answer::Claimed(claims) => machine.handle_claims(claims),
        Answer::Joined => machine.handle_joined(),
        Answer::Page(page) => machine.handle_page(&page),
        Answer::Missing => machine.handle_missing(),
        Answer::Written => machine.handle_written(),
        Answer::Reported => machine.handle_reported(),
        Answer::Buried => machine.handle_buried(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn everybody_is_told_exactly_once_whatever_happens_to_the_worker(scenario in scenarios(80)) {
        check(&scenario, &run(&scenario));
    }

    #[test]
    fn without_faults_exactly_the_members_at_the_time_are_told(scenario in scenarios(0)) {
        check(&scenario, &run(&scenario));
    }
}
