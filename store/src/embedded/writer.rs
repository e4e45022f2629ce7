//! The writer thread: everything that waits becomes one batch with one fsync, and then all of it is answered.
//!
//! The only one that writes, so that steps see each other in one order. After a failed write nothing is acknowledged any
//! more; if the disk was full, the database is opened again once there is room. Readers go on in the meantime.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Weak};
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram};
use tokio::sync::mpsc;

use super::engine::{Call, Durability, Message, Shared};
use super::fault::{Fault, io_cause};
use super::memory::Memory;
use super::opening::open_tables;
use super::stage::Stage;
use super::tables::Tables;
use super::tails::{Publisher, Slot};
use crate::clock;
use crate::limits::{BACKPRESSURE_PAUSE, GROUP_BYTES_MAX, GROUP_CALLS_MAX, REOPEN_PAUSE};
use crate::log::Record;

/// The state of the writer thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Message>,
    memory: Memory,
    publisher: Publisher,
    broken: Option<Broken>,
    meters: Meters,
}

/// Why nothing is written at the moment.
struct Broken {
    fault: Fault,
    /// Whether it may end while the process lives. After a failed fsync the kernel may have dropped what it could not
    /// write and claim to have it (<https://www.usenix.org/system/files/atc20-rebello.pdf>), so only a full disk does.
    may_end: bool,
    looked: Instant,
    closing: Weak<Tables>,
}

struct Meters {
    waiting_calls: Gauge,
    group_calls: Histogram,
    group_seconds: Histogram,
    failures: Counter,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Message>, memory: Memory) -> Self {
        let meters = Meters {
            waiting_calls: metrics::gauge!("peal_store_waiting_calls"),
            group_calls: metrics::histogram!("peal_store_group_calls"),
            group_seconds: metrics::histogram!("peal_store_group_seconds"),
            failures: metrics::counter!("peal_store_failures_total"),
        };
        Self { shared, queue, memory, publisher: Publisher::default(), broken: None, meters }
    }

    /// Writes until the stores are closed or nobody holds them.
    pub(crate) fn run(mut self) {
        let mut received = Vec::new();
        while self.queue.blocking_recv_many(&mut received, GROUP_CALLS_MAX) > 0 {
            let mut calls = VecDeque::with_capacity(received.len());
            self.meters.waiting_calls.set((self.queue.len() + received.len()) as f64);
            for message in received.drain(..) {
                match message {
                    Message::Call(call) => calls.push_back(call),
                    Message::Close => self.queue.close(),
                }
            }
            while !calls.is_empty() {
                self.write(&mut calls);
            }
        }
        let closing = self.shared.close();
        self.shared.tails.wake_all();
        wait_until_closed(&closing);
    }

    /// Writes one group off the front of what waits.
    fn write(&mut self, calls: &mut VecDeque<Box<dyn Call>>) {
        let mut group = Vec::new();
        let written = self.ready().and_then(|tables| {
            let began = clock::instant();
            let appended = self.commit(&tables, calls, &mut group)?;
            self.meters.group_calls.record(group.len() as f64);
            self.meters.group_seconds.record(began.elapsed());
            Ok(appended)
        });
        match written {
            Ok(appended) => {
                self.publisher.publish(&self.shared.tails, appended);
                group.into_iter().for_each(|call| call.answer(Ok(())));
            }
            Err(fault) => {
                let refused = group.into_iter().chain(calls.drain(..));
                refused.for_each(|call| call.answer(Err(fault.clone())));
            }
        }
    }

    /// The tables, once they can be written to.
    fn ready(&mut self) -> Result<Arc<Tables>, Fault> {
        self.mend()?;
        let tables = self.shared.tables()?;
        loop {
            match tables.keeps_up() {
                Ok(true) => return Ok(tables),
                Ok(false) => std::thread::park_timeout(BACKPRESSURE_PAUSE),
                Err(error) => return Err(self.break_down(&error)),
            }
        }
    }

    fn commit(
        &mut self,
        tables: &Tables,
        calls: &mut VecDeque<Box<dyn Call>>,
        group: &mut Vec<Box<dyn Call>>,
    ) -> Result<Vec<(Slot, Record)>, Fault> {
        let mut stage = Stage::new(tables, &self.shared.tails, &mut self.memory, clock::now());
        while stage.bytes() < GROUP_BYTES_MAX
            && let Some(mut call) = calls.pop_front()
        {
            call.stage(&mut stage);
            group.push(call);
        }
        let durable = group.iter().any(|call| call.durability() == Durability::Synced);
        stage.commit(durable).map_err(|error| self.break_down(&error))
    }

    /// Nothing is written from now on.
    fn break_down(&mut self, error: &fjall::Error) -> Fault {
        // The engine does not say why a thread of its own failed; the disk may.
        let probed = if io_cause(error).is_none() { self.shared.directory.probe().err() } else { None };
        let io = probed.as_ref().or(io_cause(error));
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        let may_end = io.is_none_or(|io| full.contains(&io.kind()));
        let fault = Fault::Unavailable(io.map_or_else(|| error.to_string(), ToString::to_string));
        tracing::error!(directory = %self.shared.directory.path().display(), ?fault, may_end, "writing has failed");
        self.meters.failures.increment(1);
        self.broken = Some(Broken { fault: fault.clone(), may_end, looked: clock::instant(), closing: Weak::new() });
        fault
    }

    /// Opens the database again if it broke down and there is room now.
    fn mend(&mut self) -> Result<(), Fault> {
        let Some(broken) = &mut self.broken else { return Ok(()) };
        if !broken.may_end || broken.looked.elapsed() < REOPEN_PAUSE {
            return Err(broken.fault.clone());
        }
        broken.looked = clock::instant();
        self.shared.directory.probe()?;
        if let Ok(tables) = self.shared.tables() {
            drop(tables);
            broken.closing = self.shared.close();
        }
        if !wait_until_closed(&broken.closing) {
            return Err(broken.fault.clone());
        }
        self.reopen()?;
        self.broken = None;
        tracing::info!(directory = %self.shared.directory.path().display(), "writing goes on");
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Fault> {
        let (tables, _) = open_tables(&self.shared.directory)?;
        self.memory.reload(&tables, &self.shared.tails)?;
        for (slot, topic, partition) in self.shared.tails.all() {
            let (end, published) = (self.memory.end(slot), self.shared.tails.end(slot));
            if end < published {
                return Err(Fault::Damaged(format!(
                    "{topic}/{partition} ends at {end} and was read up to {published}"
                )));
            }
            // What was written and never answered may be there after all.
            self.shared.tails.reset(slot, end);
        }
        self.shared.open(tables);
        Ok(())
    }
}

/// Waits a while for the last look at the tables to end; whether it has.
fn wait_until_closed(tables: &Weak<Tables>) -> bool {
    const LOOKS_MAX: u32 = 1_000; // of two milliseconds each
    for _ in 0..LOOKS_MAX {
        if tables.strong_count() == 0 {
            return true;
        }
        std::thread::park_timeout(BACKPRESSURE_PAUSE);
    }
    false
}
