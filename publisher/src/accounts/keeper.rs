//! The task that keeps the accounts: takes what all readers have for it at once, and changes the parts in one step.
//!
//! A step costs by itself, and a small event's receipts come from all partitions within a moment. So after each step they are let
//! gather for as long as keeps the steps a small part of the time: hardly at all when little happens.

use std::sync::Arc;

use peal_serve::Clock;
use peal_store::{Statuses, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::fold::{Plan, Progress};
use super::sheet::{Damaged, Sheet};
use crate::limits::{ACCOUNTS_PAUSE_MAX, ACCOUNTS_PAUSE_MIN, ACCOUNTS_PAUSE_STEPS};

pub(super) struct Keeper {
    statuses: Arc<dyn Statuses>,
    clock: Clock,
    handed_over: mpsc::Receiver<HandedOver>,
}

/// Where readers hand over what is to be changed.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<HandedOver>);

struct HandedOver {
    plan: Plan,
    settled: oneshot::Sender<Result<Progress, StoreError>>,
}

impl Desk {
    /// Waits until the parts are changed; how far the receipts are read then.
    pub(super) async fn settle(&self, plan: Plan) -> Result<Progress, StoreError> {
        let gone =
            || StoreError::Unavailable { store: "store of statuses", reason: "nobody keeps accounts".to_owned() };
        let (settled, answer) = oneshot::channel();
        self.0.send(HandedOver { plan, settled }).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Keeper {
    pub(super) fn new(statuses: Arc<dyn Statuses>, clock: Clock) -> (Self, Desk) {
        // A reader waits for its answer, so there are never more than partitions.
        let (desk, handed_over) = mpsc::channel(1);
        (Self { statuses, clock, handed_over }, Desk(desk))
    }

    /// Works until there is no reader any more.
    pub(super) async fn run(mut self) {
        let mut pause = ACCOUNTS_PAUSE_MIN;
        while let Some(first) = self.handed_over.recv().await {
            sleep(pause).await;
            let mut all = vec![first];
            while let Ok(next) = self.handed_over.try_recv() {
                all.push(next);
            }
            let began = self.clock.uptime();
            let (plans, readers): (Vec<_>, Vec<_>) = all.into_iter().map(|one| (one.plan, one.settled)).unzip();
            let settled = settle(&*self.statuses, plans).await;
            for (reader, settled) in readers.into_iter().zip(settled) {
                drop(reader.send(settled)); // it may be gone
            }
            let step = self.clock.uptime().saturating_sub(began);
            pause = (step * ACCOUNTS_PAUSE_STEPS).clamp(ACCOUNTS_PAUSE_MIN, ACCOUNTS_PAUSE_MAX);
        }
    }
}

/// Changes the parts; how far each of the plans got.
async fn settle(statuses: &dyn Statuses, plans: Vec<Plan>) -> Vec<Result<Progress, StoreError>> {
    let sheet = Sheet::of(plans);
    match change(statuses, &sheet).await {
        Ok(damaged) => sheet.settled(&damaged),
        Err(error) => sheet.failed(&error),
    }
}

/// Another publisher that changed a part meanwhile may have read the same receipts, so all are looked at again. The answer is
/// which can't be read.
async fn change(statuses: &dyn Statuses, sheet: &Sheet) -> Result<Damaged, StoreError> {
    loop {
        let stored = statuses.parts(sheet.keys()).await?;
        let (changes, damaged) = sheet.changes(stored);
        if changes.is_empty() || statuses.change(changes).await? {
            return Ok(damaged);
        }
    }
}
