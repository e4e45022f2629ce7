//! Calls of the log. Offsets may have holes that differ, so records are told by their text and their order.

use std::collections::BTreeMap;

use peal_proto::name::{FANOUT_GROUP, NODES_GROUP};
use peal_proto::{Offset, Partition, Position, Topic};
use proptest::prelude::*;

use crate::Stores;
use crate::conformance::PARTITIONS;
use crate::conformance::append::{records, texts};
use crate::conformance::read::collect;
use crate::log::{Commit, Source, Writer};

const TOPIC: Topic = Topic::Notifications;
const SLICES: Source = Source { group: FANOUT_GROUP, topic: Topic::Receipts, partition: Partition::new(0) };

#[derive(Debug, Clone, Copy)]
pub(super) enum LogStep {
    Append { partition: u32, records: usize },
    Slice { partition: u32, records: usize },
    Read { partition: u32, again_from: usize },
    Commit { partition: u32, position: u64 },
    Committed { partition: u32 },
}

pub(super) fn steps() -> impl Strategy<Value = LogStep> {
    let partition = 0..PARTITIONS;
    prop_oneof![
        (partition.clone(), 1..6_usize).prop_map(|(partition, records)| LogStep::Append { partition, records }),
        (partition.clone(), 0..6_usize).prop_map(|(partition, records)| LogStep::Slice { partition, records }),
        (partition.clone(), 0..9_usize).prop_map(|(partition, again_from)| LogStep::Read { partition, again_from }),
        (partition.clone(), 0..9_u64).prop_map(|(partition, position)| LogStep::Commit { partition, position }),
        partition.prop_map(|partition| LogStep::Committed { partition }),
    ]
}

/// What was written so far.
#[derive(Default)]
pub(super) struct LogCaller {
    writer: Option<Box<dyn Writer>>,
    /// Records in each partition.
    written: BTreeMap<u32, usize>,
    slices: u64,
}

fn source(partition: u32) -> Source {
    Source { group: NODES_GROUP, topic: TOPIC, partition: Partition::new(partition) }
}

impl LogCaller {
    /// Lets go of what keeps the stores open.
    pub(super) fn let_go(&mut self) {
        self.writer = None;
    }

    pub(super) async fn call(&mut self, stores: &Stores, step: &LogStep) -> String {
        let log = &stores.log;
        match *step {
            LogStep::Append { partition, records: count } => {
                let written = self.written.entry(partition).or_default();
                let given = records(partition, &format!("{written}+"), count);
                *written += count;
                log.append(TOPIC, given).await.unwrap().len().to_string()
            }
            LogStep::Slice { partition, records } => self.write_slice(stores, partition, records).await,
            LogStep::Read { partition, again_from } => {
                let written = self.written.get(&partition).copied().unwrap_or_default();
                let all = collect(log, TOPIC, partition, Position::START, written).await;
                let Some(first) = all.get(again_from) else { return format!("{:?}", texts(&all)) };
                let from = Position::at(first.offset);
                let again = collect(log, TOPIC, partition, from, written - again_from).await;
                format!("{:?}, {:?}", texts(&all), texts(&again))
            }
            LogStep::Commit { partition, position } => {
                let commit = Commit { position: Position::at(Offset::new(position)), metadata: format!("m{position}") };
                log.commit(source(partition), commit).await.unwrap();
                String::new()
            }
            LogStep::Committed { partition } => format!("{:?}", log.committed(source(partition)).await.unwrap()),
        }
    }

    async fn write_slice(&mut self, stores: &Stores, partition: u32, count: usize) -> String {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(stores.log.writer("model").await.unwrap()),
        };
        let written = self.written.entry(partition).or_default();
        let slice = records(partition, &format!("{written}s"), count);
        *written += count;
        self.slices += 1;
        let commit = Commit { position: Position::at(Offset::new(self.slices)), metadata: String::new() };
        writer.write(vec![(TOPIC, slice)], SLICES, commit).await.unwrap();
        format!("{:?}", stores.log.committed(SLICES).await.unwrap())
    }
}
