//! Every family of schedules, and that a seed is a run. Seeds that ever failed stand in the lists; those that mean something
//! else by now, because the dice of [`crate::schedule`] fall otherwise, live on in [`crate::found`].

use crate::book::Trace;
use crate::cluster::run;
use crate::report::hold;
use crate::schedule::{Family, Schedule};

#[test]
fn calm() {
    hold("families::calm", Family::Calm, 10, &[]);
}

#[test]
fn crashes() {
    hold("families::crashes", Family::Crashes, 30, &[]);
}

#[test]
fn network() {
    hold("families::network", Family::Network, 30, &[]);
}

#[test]
fn stores() {
    hold("families::stores", Family::Stores, 30, &[]);
}

#[test]
fn inbox() {
    hold("families::inbox", Family::Inbox, 30, &[]);
}

#[test]
fn everything() {
    hold("families::everything", Family::Everything, 40, &[]);
}

#[test]
fn retention() {
    hold("families::retention", Family::Retention, 30, &[]);
}

#[test]
fn retention_wiped() {
    hold("families::retention_wiped", Family::RetentionWiped, 30, &[]);
}

#[test]
fn new_log() {
    hold("families::new_log", Family::NewLog, 30, &[]);
}

#[test]
fn twins() {
    hold("families::twins", Family::Twins, 30, &[]);
}

#[test]
fn lost_commits() {
    hold("families::lost_commits", Family::LostCommits, 30, &[]);
}

#[test]
fn reshard() {
    hold("families::reshard", Family::Reshard, 30, &[]);
}

#[test]
fn a_seed_is_a_run() {
    for (seed, family) in [Family::Everything, Family::Twins, Family::NewLog, Family::LostCommits, Family::Reshard]
        .into_iter()
        .enumerate()
    {
        let schedule = Schedule::new(family, seed as u64);
        let [first, second] = [(); 2].map(|()| run(&schedule, Trace::Hashed, None));
        assert_eq!(first.digest, second.digest, "seed {seed} of {family:?}");
        assert_eq!((first.tally, first.lasted), (second.tally, second.lasted));
    }
}
