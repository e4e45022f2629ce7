//! Event statuses in the embedded database: the status as JSON, beside it the claim with the count of duplicates, and the parts
//! of the account.

use async_trait::async_trait;
use bytes::Bytes;
use peal_proto::{EventId, Timestamp};

use super::{Change, Changes, Claim, Origin, PartKey, Status, Statuses, Watching};
use crate::embedded::schema::{self, Claimed, Part};
use crate::embedded::{Durability, Engine, Fault, Stage, Table, View};
use crate::{StoreError, clock};

/// The statuses of an open directory.
pub(crate) struct EmbeddedStatuses {
    engine: Engine,
    watching: Watching,
}

impl EmbeddedStatuses {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, watching: Watching::new() }
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

fn part(stored: Option<Bytes>) -> Result<Option<Bytes>, Fault> {
    let part = stored.map(|stored| Part::decode(&stored)).transpose()?;
    Ok(part.map(|part| part.value))
}

fn change(stage: &mut Stage<'_>, changes: Vec<Change>, now: Timestamp) -> Result<bool, Fault> {
    let mut all = true;
    for Change { key, before, after } in changes {
        let key = schema::part_key(&key);
        let stored = part(stage.get(Table::State, &key)?)?;
        if stored == before {
            stage.put(Table::State, key, Part { at: now, value: after }.encode());
        } else {
            all &= stored == Some(after);
        }
    }
    Ok(all)
}

fn account(view: &View<'_>, event: &EventId) -> Result<Option<(Status, Vec<Bytes>)>, Fault> {
    let Some(status) = get(view, event)? else { return Ok(None) };
    let mut parts = Vec::new();
    for pair in view.range(Table::State, schema::parts(event)) {
        let (_, stored) = pair?;
        parts.push(Part::decode(&stored)?.value);
    }
    Ok(Some((status, parts)))
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
        let event = status.event.clone();
        self.engine.run(Durability::Riding, 0, move |stage| put(stage, &status)).await?;
        self.watching.changed([&event]);
        Ok(())
    }

    async fn get(&self, event: &EventId) -> Result<Option<Status>, StoreError> {
        let event = event.clone();
        self.engine.look(move |view| get(view, &event)).await
    }

    async fn parts(&self, keys: &[PartKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(schema::part_key).collect();
        let look = move |view: &View<'_>| keys.iter().map(|key| part(view.get(Table::State, key)?)).collect();
        self.engine.look(look).await
    }

    async fn change(&self, changes: Vec<Change>) -> Result<bool, StoreError> {
        let bytes = changes.iter().map(|change| change.after.len()).sum();
        let events: Vec<_> = changes.iter().map(|change| change.key.event.clone()).collect();
        let all = self.engine.run(Durability::Riding, bytes, move |stage| change(stage, changes, clock::now())).await?;
        self.watching.changed(&events);
        Ok(all)
    }

    async fn account(&self, event: &EventId) -> Result<Option<(Status, Vec<Bytes>)>, StoreError> {
        let event = event.clone();
        self.engine.look(move |view| account(view, &event)).await
    }

    async fn watch(&self, event: &EventId) -> Result<(), StoreError> {
        self.watching.watch(event);
        Ok(())
    }

    fn changes(&self) -> Changes {
        self.watching.changes()
    }
}
