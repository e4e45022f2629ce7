//! What the simulator found, each as the few steps that show it, so that it stays found whatever seeds come to mean.

use std::time::Duration;

use peal_proto::{Audience, CommunityId, UserId};
use peal_store::simulated::{Outage, Store};

use crate::book::{Keep, Trace};
use crate::cluster::run;
use crate::community::{Batch, Errand, Form, Item};
use crate::device::Mode;
use crate::report::watch;
use crate::schedule::{Host, Layout, Schedule, Step};

/// Holds the steps against the oracle, with two users who are there and get an event from the beginning and one at the end.
fn hold(name: &str, steps: Vec<(u64, Step)>) {
    let layout = Layout::plain(2);
    let users = layout.devices.iter().map(|plan| plan.habits.user).collect();
    let community = CommunityId::new(7).unwrap();
    let post = |name: &str| {
        let event = name.parse().unwrap();
        Step::Errand(Errand::Post { community, event, bytes: 0, keep: Keep::default(), attempts_max: 1_000 })
    };
    let mut all =
        vec![(0, Step::Errand(Errand::Add { community, users })), (1_000, post("first")), (9_000, post("last"))];
    all.extend((0..2).map(|device| (100, Step::Device { device, mode: Mode::On })));
    all.extend(steps);
    let watched = watch(name, 0);
    assert_eq!(run(&Schedule::plain(layout, all), Trace::Off, None).violations, []);
    drop(watched);
}

/// Events for one of the users, of these names.
fn batch(names: &[&str], again: bool, attempts_max: u32) -> Step {
    let audience = Audience::User(UserId::new(0).unwrap());
    let items = names
        .iter()
        .map(|name| Item::Event { audience, event: name.parse().unwrap(), bytes: 0, keep: Keep::default() })
        .collect();
    let (form, pause) = (Form::Lines, Duration::ZERO);
    Step::Errand(Errand::Batch(Batch { items, form, pieces: 1, pause, again, attempts_max }))
}

/// It waited for a reader that it would not open: no time passed for it, and it took all there was of its processor.
#[test]
fn a_node_that_leaves_while_the_log_is_away_does_not_spin() {
    let node = Host::Node(0);
    let steps = vec![
        (3_000, Step::BreakDown(Store::Log, Outage::Refuse)),
        (3_500, Step::Stop(node)),
        (7_000, Step::Heal(Store::Log)),
        (8_000, Step::Start(node)),
    ];
    hold("found::a_node_that_leaves_while_the_log_is_away_does_not_spin", steps);
}

/// A client only hears from a node: where the node's machine is gone without a word, silence is all that tells.
#[test]
fn a_client_of_a_node_that_lost_its_power_comes_back_by_itself() {
    let node = Host::Node(0);
    hold(
        "found::a_client_of_a_node_that_lost_its_power_comes_back_by_itself",
        vec![(3_000, Step::PowerLoss(node)), (4_000, Step::Start(node))],
    );
}

/// The claims of all copies were under way together, and any of them could be the first.
#[test]
fn a_batch_that_is_read_twice_at_once_is_told_in_its_order() {
    let steps = vec![
        (3_000, Step::BreakDown(Store::Statuses, Outage::Refuse)),
        (4_000, batch(&["a", "b", "c", "d", "e", "f", "g", "h"], true, 1_000)),
        (6_000, Step::Crash(Host::Publisher)),
        (6_000, Step::Delay(Store::Statuses, Duration::from_millis(30))),
        (6_000, Step::Heal(Store::Statuses)),
        (6_500, Step::Start(Host::Publisher)),
    ];
    hold("found::a_batch_that_is_read_twice_at_once_is_told_in_its_order", steps);
}

/// The second was answered to be a duplicate of the first, of which it was not known whether it is there.
#[test]
fn an_id_that_stands_twice_in_a_batch_is_not_accepted_while_the_log_is_away() {
    let steps = vec![
        (3_000, Step::BreakDown(Store::Log, Outage::Refuse)),
        (4_000, batch(&["a", "a"], false, 1)),
        (5_000, Step::Heal(Store::Log)),
    ];
    hold("found::an_id_that_stands_twice_in_a_batch_is_not_accepted_while_the_log_is_away", steps);
}
