//! Event statuses in the embedded database: the status as JSON, and the claim with the count of duplicates beside it.

use async_trait::async_trait;
use peal_proto::{EventId, Timestamp};

use super::{Claim, Origin, Status, Statuses};
use crate::StoreError;
use crate::embedded::schema::{self, Claimed};
use crate::embedded::{Durability, Engine, Fault, Stage, Table, View};

/// The statuses of an open directory.
pub(crate) struct EmbeddedStatuses {
    engine: Engine,
}

impl EmbeddedStatuses {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

fn put(stage: &mut Stage<'_>, status: &Status) -> Result<(), Fault> {
    let value = serde_json::to_vec(status)?;
    stage.put(Table::State, schema::status_key(&status.event), value.into());
    Ok(())
}

fn claim(stage: &mut Stage<'_>, event: &EventId, origin: Origin, at: Timestamp) -> Result<Claim, Fault> {
    let key = schema::claim_key(event);
    let (claim, claimed) = match stage.get(Table::State, &key)? {
        None => (Claim::Ours, Claimed { origin, at, duplicates: 0 }),
        Some(stored) => {
            let claimed = Claimed::decode(&stored)?;
            if claimed.origin == origin {
                return Ok(Claim::Ours);
            }
            (Claim::Duplicate, Claimed { duplicates: claimed.duplicates + 1, ..claimed })
        }
    };
    stage.put(Table::State, key, claimed.encode());
    Ok(claim)
}

fn release(stage: &mut Stage<'_>, event: &EventId, origin: Origin) -> Result<(), Fault> {
    let key = schema::claim_key(event);
    if let Some(stored) = stage.get(Table::State, &key)?
        && Claimed::decode(&stored)?.origin == origin
    {
        stage.delete(Table::State, key);
    }
    Ok(())
}

fn get(view: &View<'_>, event: &EventId) -> Result<Option<Status>, Fault> {
    let Some(stored) = view.get(Table::State, &schema::status_key(event))? else { return Ok(None) };
    let status: Status = serde_json::from_slice(&stored)?;
    let claimed = view.get(Table::State, &schema::claim_key(event))?;
    let claimed = claimed.map(|stored| Claimed::decode(&stored)).transpose()?;
    Ok(Some(Status { duplicates: claimed.map_or(0, |claimed| claimed.duplicates), ..status }))
}

#[async_trait]
impl Statuses for EmbeddedStatuses {
    async fn accept(&self, status: Status) -> Result<(), StoreError> {
        let accept = move |stage: &mut Stage<'_>| match stage.get(Table::State, &schema::status_key(&status.event))? {
            Some(_) => Ok(()),
            None => put(stage, &status),
        };
        self.engine.run(Durability::Riding, 0, accept).await
    }

    async fn claim(&self, event: &EventId, origin: Origin, now: Timestamp) -> Result<Claim, StoreError> {
        let event = event.clone();
        // What is appended after the answer is synced together with all that was written before it.
        self.engine.run(Durability::Riding, 0, move |stage| claim(stage, &event, origin, now)).await
    }

    async fn release(&self, event: &EventId, origin: Origin) -> Result<(), StoreError> {
        let event = event.clone();
        self.engine.run(Durability::Riding, 0, move |stage| release(stage, &event, origin)).await
    }

    async fn update(&self, status: Status) -> Result<(), StoreError> {
        self.engine.run(Durability::Riding, 0, move |stage| put(stage, &status)).await
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        let event = event.clone();
        self.engine.look(move |view| get(view, &event)).await
    }
}
