//! `peal load`: runs a load plan of `artillery/` against a cluster, with a generator that does not tire at a thousand users a
//! second, and fails unless everybody heard everything once, in order.
//!
//! A [`plan`] is read, everybody is gathered ([`audience`]), users arrive ([`course`]) and play their steps ([`user`]), the
//! [`ledger`] judges, and the [`report`] says how busy everything was, this process too.

mod account;
mod audience;
mod bulk;
mod busy;
mod course;
mod fault;
mod ledger;
mod phase;
mod plan;
mod record;
mod report;
mod scene;
mod silence;
mod template;
mod user;

use std::io;
use std::sync::Arc;

use peal_serve::Clock;

use self::audience::Audience;
use self::busy::Parts;
use self::course::{Course, Run, hears_the_rest};
use self::phase::Phase;
pub use self::plan::InvalidPlan;
use self::plan::Plan;
use self::record::Record;
use self::report::Report;
use self::scene::Scene;
use crate::config::load::Load;
use crate::output;

/// Why a run is no success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The plan can't be run.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
    /// It could not begin.
    #[error("nobody could be gathered: {0}")]
    Gather(String),
    /// It is through, and something is not as it has to be.
    #[error("the run failed:\n  {}", .0.join("\n  "))]
    Faults(Vec<String>),
    /// A process that is observed ended, or stdout is gone.
    #[error("the run could not be observed")]
    Io(#[from] io::Error),
}

/// `peal load`.
///
/// # Errors
/// [`Failure`].
pub async fn run(load: &Load) -> Result<(), Failure> {
    peal_serve::process::raise_open_files();
    let mut plan = Plan::read(&load.plan, load.environment.as_deref())?;
    plan.vary(load.variables.clone().unwrap_or_default())?;
    let (scene, clock, record) = (Scene::of(&plan)?, Clock::system(), Arc::new(Record::new()?));
    let parts = Parts::new(clock.clone(), &load.observe);
    parts.busy()?; // all are there
    let audience = Audience::new(load.which.api(), clock.clone(), scene.clone(), Arc::clone(&record));
    let (arrivals, posts) = Default::default();
    let run = Arc::new(Run { api: load.which.api(), clock, plan, scene, audience, record, arrivals, posts });
    let arrivals: u64 = run.plan.phases.iter().map(Phase::arrivals).sum();
    output::remark(format!("peal: {} users with their devices, then {arrivals} arrivals …", run.scene.users));
    run.audience.gather().await.map_err(Failure::Gather)?;

    let before = parts.busy()?;
    let passed = Course::new(&run, &parts).run().await?;
    let posted = run.clock.uptime();
    let late = hears_the_rest(&run).await;
    run.record.notes().figures.insert("heard_after_s", run.clock.uptime().saturating_sub(posted));
    let (busy, resident) = (parts.busy()?.since(&before), parts.resident_bytes()?);
    let faults = faults(&run, late);
    let report = Report { run: &run, passed: &passed, busy: &busy, resident: &resident, faults: &faults };
    output::line(if load.json { report.json().to_string() } else { report.text() })?;
    if faults.is_empty() { Ok(()) } else { Err(Failure::Faults(faults)) }
}

fn faults(run: &Run, late: Option<String>) -> Vec<String> {
    let mut faults = run.record.notes().failures();
    faults.extend(late);
    let ledger = run.audience.ledger();
    faults.extend(ledger.faults());
    if ledger.accepted_count() == 0 {
        faults.push("nothing was accepted, so nothing was shown".to_owned());
    }
    faults
}
