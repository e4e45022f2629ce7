//! Random sequences of calls against the simulated stores as the model and another implementation as the system: both have
//! to answer the same.
//!
//! What the traits leave open is left out of the comparison: the numbers of log offsets, where exactly a gap ends, and
//! what becomes of an entry that meets the quota and its expiry at once (a sequence has either the one or the other).

mod inbox;
mod log;
mod members;
mod statuses;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::inbox::{InboxCaller, InboxStep, Loss};
use self::log::{LogCaller, LogStep};
use self::members::MembersStep;
use self::statuses::StatusStep;
use super::{Factory, PARTITIONS};
use crate::Stores;
use crate::inbox::Retention;
use crate::simulated::Simulation;

/// Calls in one sequence.
const STEPS_MAX: usize = 60;

/// One call, or the closing and opening of the stores.
#[derive(Debug, Clone)]
enum Step {
    Log(LogStep),
    Inbox(InboxStep),
    Members(MembersStep),
    Statuses(StatusStep),
    Reopen,
}

/// What was done to one set of stores so far. What a call answers is worded as text, to be compared.
#[derive(Default)]
struct Caller {
    log: LogCaller,
    inbox: InboxCaller,
}

impl Caller {
    async fn call(&mut self, stores: &Stores, step: &Step) -> String {
        match step {
            Step::Log(step) => self.log.call(stores, step).await,
            Step::Inbox(step) => self.inbox.call(stores, step).await,
            Step::Members(step) => members::call(stores, step).await,
            Step::Statuses(step) => statuses::call(stores, step).await,
            Step::Reopen => String::new(),
        }
    }
}

fn steps(loss: Loss) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => log::steps().prop_map(Step::Log),
        8 => inbox::steps(loss).prop_map(Step::Inbox),
        3 => members::steps().prop_map(Step::Members),
        4 => statuses::steps().prop_map(Step::Statuses),
        1 => Just(Step::Reopen),
    ];
    vec(step, 1..STEPS_MAX)
}

/// Runs so many random sequences against a system.
///
/// # Panics
/// With the shortest sequence found whose answers differ.
pub fn hold(factory: &dyn Factory, sequences: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for loss in [Loss::Quota, Loss::Expiry] {
        let config = Config { cases: sequences.div_ceil(2), failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&steps(loss), |steps| {
            runtime.block_on(compare(factory, loss.retention(), &steps)).map_err(TestCaseError::fail)
        });
        if let Err(difference) = result {
            panic!("{difference}");
        }
    }
}

async fn compare(factory: &dyn Factory, retention: Retention, steps: &[Step]) -> Result<(), String> {
    let mut subject = factory.fresh(PARTITIONS, retention).await;
    let simulation = Simulation::new(0, PARTITIONS, retention);
    let (mut system, mut model) = (Caller::default(), Caller::default());
    for (number, step) in steps.iter().enumerate() {
        let expected = model.call(&simulation.stores(), step).await;
        let answered = system.call(&subject.stores(), step).await;
        if answered != expected {
            return Err(format!("call {number}, {step:?}: {answered} instead of {expected}"));
        }
        if matches!(step, Step::Reopen) {
            system.log.let_go();
            subject.reopen().await;
        }
    }
    Ok(())
}
