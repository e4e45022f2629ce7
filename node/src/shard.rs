//! The shell of one partition: the one task that owns its log reader, its calls to the inbox and its sockets' mailboxes.
//!
//! Drains what the core wants done, waits for whatever happens next, and feeds it to the core. It decides nothing about
//! notifications; what it does decide is what to do when a store does not answer: wait, and try again.

mod calls;
mod departure;
mod handle;
mod meters;
mod notification;
mod poison;
mod receipts;
mod takeover;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metrics::counter;
use peal_proto::{CloseCode, NodeId, Partition, Timestamp, Topic, UserId};
use peal_serve::Clock;
use peal_store::log::{Reader, Record, dead_letter};
use peal_store::{StoreError, Stores};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::calls::Call;
pub(crate) use self::calls::warm_up;
use self::departure::Departing;
pub(crate) use self::departure::{Departure, Farewell};
use self::handle::Shared;
pub(crate) use self::handle::{Health, ShardHandle, Shards};
use self::meters::Meters;
use self::notification::{Addressed, Reading};
use self::poison::Poison;
use crate::core::{Core, Frame, Input, Output, SessionId};
use crate::limits::{Limits, REPORTS_MAX, REPORTS_PER_TURN, TURN_INTERVAL};
use crate::session::{Batch, Mailbox, Report};
use crate::shedding::Shed;

/// A socket as its partition holds it.
struct Socket {
    user: UserId,
    mailbox: Arc<Mailbox>,
    /// Frames since the outputs were last carried out.
    frames: Batch,
}

/// One partition of one node.
pub(crate) struct Shard {
    partition: Partition,
    stores: Stores,
    clock: Clock,
    limits: Limits,
    reports: mpsc::Receiver<Report>,
    shared: Arc<Shared>,
    sockets: HashMap<SessionId, Socket>,
    /// Sockets with new frames, in the order of the first.
    touched: Vec<SessionId>,
    /// At most one of each kind.
    calls: FuturesUnordered<Call>,
    reader: Option<Box<dyn Reader>>,
    reading: Reading,
    /// The log did not answer: it is not read before then.
    read_at: Duration,
    drain_until: Option<Duration>,
    /// Sockets that are to be closed once the partition is given up.
    departing: Departing,
    /// What is shed for want of memory.
    shed: watch::Receiver<Shed>,
    meters: Meters,
}

impl Shard {
    pub(crate) fn new(
        node: NodeId,
        partition: Partition,
        stores: Stores,
        clock: Clock,
        limits: Limits,
        shed: watch::Receiver<Shed>,
    ) -> (Self, ShardHandle) {
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        let shared = Arc::<Shared>::default();
        let limits = Limits { inbox_ttl: stores.inbox.ttl(), ..limits };
        let reading = Reading::new(partition, stores.log.partitions());
        let handle = ShardHandle { reports: sender, shared: Arc::clone(&shared) };
        let shard = Self {
            partition,
            stores,
            clock,
            limits,
            reports,
            shared,
            sockets: HashMap::new(),
            touched: Vec::new(),
            calls: FuturesUnordered::new(),
            reader: None,
            reading,
            read_at: Duration::ZERO,
            drain_until: None,
            departing: Departing::new(),
            shed,
            meters: Meters::new(node),
        };
        (shard, handle)
    }

    /// Takes the partition over whenever it is this node's to read, and serves it until it is to be given up; then parks and
    /// commits. What is left are its sockets, which are to be closed.
    pub(crate) async fn run(mut self) -> Departure {
        let (mut tenure, stop) = (self.shared.tenure.subscribe(), self.shared.stop.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = is(&mut tenure, true) => {}
            }
            tokio::select! {
                biased;
                () = is(&mut tenure, false) => self.lose(),
                () = self.lead(&stop) => break,
            }
        }
        self.shared.set_health(Health::Left);
        let sockets = self.departing.values().map(Vec::len).sum::<usize>();
        tracing::info!(partition = self.partition.get(), sockets, "the partition is given up");
        Departure::new(self.reports, self.departing, self.shared.farewell())
    }

    async fn lead(&mut self, stop: &CancellationToken) {
        let begun = self.clock.uptime();
        if let Some(core) = self.take_over(stop).await {
            let (took_ms, at) = (self.since(begun).as_millis(), core.read_position().next().get());
            tracing::info!(partition = self.partition.get(), at, took_ms, "the partition is taken over");
            self.serve(core, stop).await;
        }
        self.shared.rest();
    }

    /// Another process reads the partition now. What was on its way here is its business: nothing is committed or parked
    /// any more.
    fn lose(&mut self) {
        tracing::warn!(partition = self.partition.get(), "lost the partition to another process");
        self.calls = FuturesUnordered::new();
        self.reader = None;
        self.touched.clear();
        let mut sessions: Vec<_> = self.sockets.keys().copied().collect();
        sessions.sort_unstable();
        for socket in sessions.into_iter().filter_map(|session| self.forget(session)) {
            socket.mailbox.close(CloseCode::GoingAway, "another process has taken the node's place; reconnect".into());
        }
        self.shared.hearing.forget();
        self.shared.rest();
        self.shared.set_health(Health::Starting);
    }

    async fn serve(&mut self, mut core: Core, stop: &CancellationToken) {
        let mut reports = Vec::with_capacity(REPORTS_PER_TURN);
        loop {
            self.pass_time(&mut core, stop);
            self.carry_out(&mut core);
            if self.has_drained(&core) {
                return;
            }
            self.open_reader(&core).await;
            let pause = self.pause(&mut core);
            let reads = core.takes_records();
            tokio::select! {
                biased;
                () = stop.cancelled(), if self.drain_until.is_none() => {}
                Some(input) = self.calls.next(), if !self.calls.is_empty() => {
                    let (now, wall) = self.time();
                    core.handle(now, wall, input);
                }
                () = has_changed(&mut self.shed) => {}
                () = self.shared.hearing.is_to_listen_anew() => self.listen_anew(&core).await,
                batch = next_batch(&mut self.reader), if reads => self.take_batch(&mut core, batch, stop).await,
                count = self.reports.recv_many(&mut reports, REPORTS_PER_TURN) => {
                    if count == 0 {
                        return; // the node was dropped
                    }
                }
                () = sleep(pause) => {}
            }
            // Reports get their turn even while the log always has more.
            while reports.len() < REPORTS_PER_TURN
                && let Ok(report) = self.reports.try_recv()
            {
                reports.push(report);
            }
            let time = self.time();
            for report in reports.drain(..) {
                self.take_report(&mut core, time, report);
            }
        }
    }

    fn since(&self, begun: Duration) -> Duration {
        self.clock.uptime().saturating_sub(begun)
    }

    /// The monotonic clock and the time of day, read once for all that happens together.
    fn time(&self) -> (Duration, Timestamp) {
        (self.clock.uptime(), self.clock.now())
    }

    fn pass_time(&mut self, core: &mut Core, stop: &CancellationToken) {
        let (now, wall) = self.time();
        self.shared.turn(now);
        let shed = *self.shed.borrow();
        if core.is_shed() != shed {
            core.handle(now, wall, Input::Shed(shed));
        }
        if core.due().is_some_and(|due| due <= now) {
            core.handle(now, wall, Input::Tick);
        }
        if stop.is_cancelled() && self.drain_until.is_none() {
            let Farewell { code, reason, within, .. } = self.shared.farewell();
            self.drain_until = Some(now + within);
            core.handle(now, wall, Input::Drain(code, reason));
        }
        self.shared.set_read(core.read_position());
    }

    fn has_drained(&self, core: &Core) -> bool {
        let Some(until) = self.drain_until else { return false };
        if self.clock.uptime() >= until {
            tracing::warn!(
                partition = self.partition.get(),
                "given up before everything was settled; it is read again"
            );
            return true;
        }
        core.is_drained()
    }

    /// How long nothing is due.
    fn pause(&mut self, core: &mut Core) -> Duration {
        let now = self.clock.uptime();
        let reopens = self.reader.is_none() && self.drain_until.is_none();
        let reopen = reopens.then_some(self.read_at);
        let due = [core.due(), reopen, self.drain_until].into_iter().flatten().min();
        due.map_or(TURN_INTERVAL, |due| due.saturating_sub(now).min(TURN_INTERVAL))
    }

    fn take_report(&mut self, core: &mut Core, (now, wall): (Duration, Timestamp), report: Report) {
        let input = match report {
            Report::Opened { session, user, cursor, mailbox } => {
                self.sockets.insert(session, Socket { user, mailbox, frames: Batch::new() });
                self.meters.sessions.increment(1);
                Input::Opened { session, user, cursor }
            }
            Report::Input(input) => {
                if let Input::Closed { session } = input {
                    self.forget(session);
                }
                input
            }
        };
        core.handle(now, wall, input);
    }

    fn forget(&mut self, session: SessionId) -> Option<Socket> {
        let socket = self.sockets.remove(&session)?;
        self.meters.sessions.decrement(1);
        Some(socket)
    }

    async fn take_batch(&mut self, core: &mut Core, batch: Result<Vec<Record>, StoreError>, stop: &CancellationToken) {
        let records = match batch {
            Ok(records) => records,
            Err(error) => return self.log_failed(&error),
        };
        self.shared.set_health(Health::Reading);
        self.meters.read.increment(records.len() as u64);
        let (now, wall) = self.time();
        self.shared.hearing.hear(now);
        for record in records {
            let offset = record.offset;
            let input = match self.reading.look_at(&record) {
                Ok(_) if record.headers.canary => Input::Skipped { offset },
                Ok(Addressed { user, event, collapse }) => {
                    let Record { headers, value, .. } = record;
                    Input::Record { offset, user, event, expires: headers.expires, collapse, value }
                }
                Err(poison) => {
                    if !self.dead_letter(&record, &poison, stop).await {
                        return;
                    }
                    Input::Skipped { offset }
                }
            };
            core.handle(now, wall, input);
        }
    }

    /// Keeps a record that is no notification, with the reason; whether it is kept, and not the node stopped.
    async fn dead_letter(&mut self, record: &Record, poison: &Poison, stop: &CancellationToken) -> bool {
        let (partition, offset) = (self.partition, record.offset);
        tracing::warn!(
            partition = partition.get(),
            offset = offset.get(),
            %poison,
            "a poison record goes to the dead letters"
        );
        let topic = Topic::Notifications;
        counter!("peal_dead_letters_total", "topic" => topic.name(), "reason" => poison.name()).increment(1);
        let letter = dead_letter(topic, partition, record, poison.name(), poison.to_string());
        loop {
            match self.stores.log.append(Topic::DeadLetters, vec![letter.clone()]).await {
                Ok(_) => return true,
                Err(error) => self.set_waiting(&error),
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep(self.limits.retry_max) => {}
            }
        }
    }

    fn log_failed(&mut self, error: &StoreError) {
        self.set_waiting(error);
        self.reader = None;
        self.read_at = self.clock.uptime() + self.limits.retry_max;
    }

    async fn open_reader(&mut self, core: &Core) {
        if self.reader.is_some() || self.clock.uptime() < self.read_at || self.drain_until.is_some() {
            return;
        }
        let log = &self.stores.log;
        match log.reader(Topic::Notifications, self.partition, core.read_position()).await {
            Ok(reader) => {
                self.reader = Some(reader);
                self.shared.set_health(Health::Reading);
            }
            Err(error) => self.log_failed(&error),
        }
    }

    /// Reads on with another reader. The one before is let go of only then: while there are two, the log gives the second a
    /// connection of its own, and what made the first deaf is left behind.
    async fn listen_anew(&mut self, core: &Core) {
        if self.reader.is_none() || !core.takes_records() {
            return; // it does not listen
        }
        tracing::warn!(partition = self.partition.get(), "deaf to what is in the log; listening anew");
        match self.stores.log.reader(Topic::Notifications, self.partition, core.read_position()).await {
            Ok(reader) => self.reader = Some(reader),
            Err(error) => self.log_failed(&error),
        }
    }

    fn set_waiting(&self, error: &StoreError) {
        tracing::warn!(partition = self.partition.get(), %error, "a store did not answer; trying again");
        self.shared.set_health(Health::Waiting);
    }

    /// Does what the core wants done.
    fn carry_out(&mut self, core: &mut Core) {
        for output in core.outputs() {
            match output {
                Output::Send { session, frame } => self.send(session, frame),
                Output::Ping { session } => {
                    if let Some(socket) = self.sockets.get(&session) {
                        socket.mailbox.ping();
                    }
                }
                Output::Close { session, code, reason } => {
                    if let Some(mut socket) = self.forget(session) {
                        if !socket.frames.is_empty() {
                            socket.mailbox.put(&mut socket.frames);
                        }
                        match self.drain_until {
                            Some(_) => {
                                self.departing.entry(socket.user).or_default().push((socket.mailbox, code, reason));
                            }
                            None => socket.mailbox.close(code, reason),
                        }
                    }
                }
                Output::Park { expected, marker, entries } => {
                    self.meters.parked.increment(entries.len() as u64);
                    self.calls.push(self.park(expected, marker, entries));
                }
                Output::Fetch { requests } => self.calls.push(self.fetch(requests)),
                Output::Trim { trims } => self.calls.push(self.trim(trims)),
                Output::Commit { settled, receipts, offline } => {
                    self.meters.absent.increment(offline.len() as u64);
                    self.calls.push(self.commit(settled, receipts, offline));
                }
                Output::Rewind { to } => {
                    self.meters.rewinds.increment(1);
                    tracing::warn!(
                        partition = self.partition.get(),
                        from = to.next().get(),
                        "the inbox lost what was parked; the log is read again from here"
                    );
                    self.reader = None;
                }
            }
        }
        for session in self.touched.drain(..) {
            if let Some(socket) = self.sockets.get_mut(&session) {
                socket.mailbox.put(&mut socket.frames);
            }
        }
    }

    fn send(&mut self, session: SessionId, frame: Frame) {
        let Some(socket) = self.sockets.get_mut(&session) else { return };
        match &frame {
            Frame::Notification { .. } => self.meters.sent.increment(1),
            Frame::Gap { .. } => self.meters.gaps.increment(1),
            Frame::Hello { .. } => {}
        }
        if socket.frames.is_empty() {
            self.touched.push(session);
        }
        socket.frames.push(frame);
    }
}

/// Waits until the partition is this node's to read, or is not. Who says so may be gone, which changes nothing.
async fn is(tenure: &mut watch::Receiver<bool>, held: bool) {
    if tenure.wait_for(|now| *now == held).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until something else is shed. Who says so may be gone, which changes nothing.
async fn has_changed(shed: &mut watch::Receiver<Shed>) {
    if shed.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn next_batch(reader: &mut Option<Box<dyn Reader>>) -> Result<Vec<Record>, StoreError> {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}
