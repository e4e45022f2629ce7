//! How a locked directory becomes open stores: made if it is new, its journal mended, its stamp checked, its threads
//! started.

use std::path::PathBuf;
use std::sync::Arc;

use peal_proto::Generation;

use super::directory::Directory;
use super::engine::{Engine, Shared};
use super::fault::Fault;
use super::memory::Memory;
use super::schema::{self, Stamp, Table};
use super::sweep::Sweeper;
use super::tables::Tables;
use super::writer::Writer;
use super::{Embedded, OpenError, Settings, journal};
use crate::inbox::embedded::EmbeddedInbox;
use crate::leases::embedded::EmbeddedLeases;
use crate::log::embedded::EmbeddedLog;
use crate::members::embedded::EmbeddedMembers;
use crate::shards::embedded::EmbeddedShards;
use crate::status::embedded::EmbeddedStatuses;
use crate::subscriptions::embedded::EmbeddedSubscriptions;
use crate::{Stores, clock};

/// Why opening failed.
pub(crate) enum Failure {
    Open(OpenError),
    Fault(Fault),
}

impl Failure {
    /// As whoever opens is told.
    pub(crate) fn at(self, path: PathBuf) -> OpenError {
        match self {
            Self::Open(error) => error,
            Self::Fault(Fault::Damaged(reason)) => OpenError::Damaged { path, reason },
            Self::Fault(Fault::Unavailable(reason) | Fault::Refused(reason) | Fault::Fenced(reason)) => {
                OpenError::Unavailable { path, reason }
            }
        }
    }
}

impl<E: Into<Fault>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// Opens a locked directory and starts its threads.
pub(crate) fn open(directory: Directory, settings: Settings) -> Result<Embedded, Failure> {
    if settings.log_age_max <= settings.retention.ttl {
        tracing::warn!(
            ?settings,
            "the log keeps records for no longer than the inbox, which can't be made again from it"
        );
    }
    if !directory.database().try_exists()? {
        make(&directory, settings.partitions)?;
    }
    let (tables, doubtful) = open_tables(&directory)?;
    let stored = tables.view().get(Table::State, &schema::stamp_key())?;
    let stored = stored.ok_or_else(|| Fault::Damaged("the database has no stamp".to_owned()))?;
    let mut stamp = Stamp::decode(&stored).map_err(Fault::from)?;
    if stamp.partitions != settings.partitions {
        let path = directory.path().to_owned();
        return Err(Failure::Open(OpenError::Partitions {
            path,
            stored: stamp.partitions,
            given: settings.partitions,
        }));
    }
    if doubtful {
        // Readers may have seen what is gone: another generation tells them of a gap instead of nothing.
        stamp.generation = new_generation(stamp.generation.get() + 1);
        put_stamp(&tables, stamp)?;
    }
    start(directory, stamp, tables, settings)
}

fn start(directory: Directory, stamp: Stamp, tables: Tables, settings: Settings) -> Result<Embedded, Failure> {
    let shared = Arc::new(Shared::new(directory, stamp, tables));
    let memory = Memory::load(&*shared.tables()?, &shared.tails)?;
    for (slot, _, _) in shared.tails.all() {
        shared.tails.reset(slot, memory.end(slot));
    }
    let (engine, calls) = Engine::new(Arc::clone(&shared));
    let writer = Writer::new(shared, calls, memory);
    let writer = std::thread::Builder::new().name("peal-store".to_owned()).spawn(|| writer.run())?;
    let stores = stores(&engine, settings);
    let mut embedded = Embedded { stores, engine: engine.clone(), sweeper: None, writer: Some(writer) };
    embedded.sweeper = Some(Sweeper::start(engine, settings)?);
    Ok(embedded)
}

fn stores(engine: &Engine, settings: Settings) -> Stores {
    Stores {
        log: Arc::new(EmbeddedLog::new(engine.of("log"))),
        members: Arc::new(EmbeddedMembers::new(engine.of("store of members"))),
        statuses: Arc::new(EmbeddedStatuses::new(engine.of("store of statuses"))),
        inbox: Arc::new(EmbeddedInbox::new(engine.of("inbox"), settings.retention)),
        subscriptions: Arc::new(EmbeddedSubscriptions::new(engine.of("store of subscriptions"))),
        shards: Arc::new(EmbeddedShards::new(engine.of("shard map"))),
        leases: Arc::new(EmbeddedLeases::default()),
    }
}

/// Makes a database beside its place and moves it there when it is whole, so that a crash leaves none that is half made.
fn make(directory: &Directory, partitions: u32) -> Result<(), Failure> {
    let unfinished = directory.unfinished();
    if unfinished.try_exists()? {
        std::fs::remove_dir_all(&unfinished)?;
    }
    let tables = Tables::open(&unfinished)?;
    put_stamp(&tables, Stamp { partitions, generation: new_generation(1) })?;
    drop(tables);
    directory.finish()?;
    Ok(())
}

/// Another one for each log that is made, and higher: the seconds since 1970, which last until 2106.
fn new_generation(least: u32) -> Generation {
    let seconds = u32::try_from(clock::now().millis() / 1_000).unwrap_or(u32::MAX);
    Generation::new(seconds.max(least))
}

fn put_stamp(tables: &Tables, stamp: Stamp) -> fjall::Result<()> {
    let mut batch = tables.batch(true);
    batch.insert(tables.keyspace(Table::State), schema::stamp_key(), stamp.encode());
    tables.commit(batch)
}

/// Opens the database of a directory; whether what was cut off its journal may have been answered.
pub(crate) fn open_tables(directory: &Directory) -> Result<(Tables, bool), Fault> {
    let cut = journal::cut_torn_tail(&directory.database())?;
    if let Some(cut) = &cut {
        tracing::warn!(journal = %cut.journal.display(), at = cut.at, followed = cut.followed, "a torn tail was cut");
    }
    Ok((Tables::open(&directory.database())?, cut.is_some_and(|cut| cut.followed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_the_second_it_was_made_in_and_never_one_that_was() {
        let second = u32::try_from(clock::now().millis() / 1_000).unwrap();
        assert!((second..=second + 60).contains(&new_generation(1).get()));
        assert_eq!(new_generation(second + 1_000).get(), second + 1_000, "the clock went back");
    }
}
