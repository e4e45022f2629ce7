//! One batch of many items, to every user in turn: how long it takes until all are accepted, and until all are heard or parked.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::json;
use tokio::sync::mpsc;

use super::account::Account;
use super::course::Run;
use super::ledger::{Audience, Posted};
use super::user::Outcome;
use crate::api::Outcome as Result;

/// Items that are written at once.
const ITEMS_A_WRITE: usize = 500;

/// Such writes that wait for the publisher.
const WRITES_AHEAD: usize = 8;

pub(super) async fn run(run: &Arc<Run>) -> Outcome {
    let items = run.plan.number("items").map_err(|error| error.to_string())?;
    let began = run.clock.uptime();
    let (sender, receiver) = mpsc::channel(WRITES_AHEAD);
    let writes = tokio::spawn(write(Arc::clone(run), items, sender));
    let mut answers = run.api.batch(receiver).await.map_err(|error| error.to_string())?;
    let mut answered = 0;
    while let Some(answer) = answers.next().await.map_err(|error| error.to_string())? {
        let item = answer.item - 1;
        if answer.result != Result::Accepted {
            return Err(format!("an item of the batch was {:?}: {}", answer.result, answer.detail));
        }
        // An item stands ahead of those behind it: its number is its time.
        let at = Duration::from_micros(item);
        let posted = Posted { audience: Audience::User(user(run, item)), joiner: None, began: at, answered: at };
        run.audience.ledger().accepted(&event(run, item), posted);
        answered += 1;
    }
    writes.await.map_err(|error| error.to_string())?;
    if answered != items {
        return Err(format!("{answered} of {items} items of a batch were answered"));
    }
    run.record.notes().figures.insert("enqueued_s", run.clock.uptime().saturating_sub(began));
    if run.scene.sockets {
        run.audience.hear_all().await?;
    } else {
        for last in items.saturating_sub(run.scene.users)..items {
            Account::settled(&run.api, &event(run, last), run.scene.patience).await?;
        }
    }
    run.record.notes().figures.insert("drained_s", run.clock.uptime().saturating_sub(began));
    Ok(())
}

async fn write(run: Arc<Run>, items: u64, sender: mpsc::Sender<Bytes>) {
    for first in (0..items).step_by(ITEMS_A_WRITE) {
        let mut lines = BytesMut::new();
        for item in first..items.min(first + ITEMS_A_WRITE as u64) {
            let posted = u64::try_from(run.clock.uptime().as_micros()).unwrap_or(u64::MAX);
            let (user, event) = (user(&run, item), event(&run, item));
            let line = json!({ "user": user, "kind": "letter.sent", "event": event, "data": { "posted": posted } });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.extend_from_slice(b"\n");
        }
        if sender.send(lines.freeze()).await.is_err() {
            return; // the batch has ended, and says why
        }
    }
}

fn user(run: &Run, item: u64) -> u64 {
    run.scene.seat(item).user
}

fn event(run: &Run, item: u64) -> String {
    format!("{}-bulk-{item}", run.scene.first())
}
