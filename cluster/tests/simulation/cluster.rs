//! A cluster that lives through a schedule: the hosts on their simulated network, the steps at their times, then everything
//! healed, until all is quiet.

mod hosts;
mod settling;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use peal_proto::{Generation, Position, Topic};
use peal_store::simulated::Store;
use tokio::sync::watch;
use turmoil::Sim;

use self::hosts::Processes;
use crate::book::{Book, Tally, Trace};
use crate::community::Desk;
use crate::device::{Device, Mode, SEEN};
use crate::oracle::{self, Evidence, Violation};
use crate::schedule::{Family, Host, Planned, Schedule, Step};
use crate::services::Services;
use crate::tampering::Tamperer;

/// How much time passes at once.
const TICK: Duration = Duration::from_millis(10);

/// How long everything may take once all is healed.
const QUIET_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked whether all is quiet.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long it is listened, once all is quiet, for what should not come.
const LISTEN: Duration = Duration::from_secs(3);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    /// Of the trace, unless it was off.
    pub(crate) digest: u64,
    pub(crate) tally: Tally,
    /// Simulated time.
    pub(crate) lasted: Duration,
}

thread_local! {
    /// Tasks that panicked in this thread: a runtime keeps that to itself.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Counts every panic of this thread from now on.
fn watch_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            before(info);
        }));
    });
}

/// Lives through a schedule.
pub(crate) fn run(schedule: &Schedule, trace: Trace, tamperer: Option<Arc<Tamperer>>) -> Outcome {
    watch_panics();
    let panics = PANICS.get();
    let mut cluster = Cluster::new(schedule, trace, tamperer);
    let mut violations = Vec::from_iter(cluster.live().err());
    if !violations.iter().any(|violation| matches!(violation, Violation::Broke { .. })) {
        violations.extend(oracle::judge(&cluster.evidence()));
    }
    if PANICS.get() > panics {
        violations.push(Violation::Panicked { times: PANICS.get() - panics });
    }
    let tally = std::mem::take(&mut cluster.book.open().tally);
    Outcome { violations, digest: cluster.book.digest(), tally, lasted: cluster.sim.elapsed() }
}

struct Cluster<'a> {
    schedule: &'a Schedule,
    sim: Sim<'a>,
    processes: Arc<Processes>,
    /// What is done to each device.
    modes: Vec<watch::Sender<Mode>>,
    desk: Desk,
    book: Book,
    down: BTreeSet<Host>,
    /// When everything was healed.
    healed: Duration,
    /// When the log in use was new.
    begun: Duration,
}

impl<'a> Cluster<'a> {
    fn new(schedule: &'a Schedule, trace: Trace, tamperer: Option<Arc<Tamperer>>) -> Self {
        let layout = &schedule.layout;
        let book = Book::new(trace);
        let (own, lapse) = (book.clone(), schedule.family == Family::Twins);
        let services = Services::new(schedule.seed, layout.partitions, layout.retention, own, tamperer.clone(), lapse);
        let processes = Arc::new(Processes::new(layout, services));
        let sim = turmoil::Builder::new()
            .rng_seed(schedule.seed)
            .epoch(SystemTime::UNIX_EPOCH)
            .simulation_duration(Duration::from_secs(24 * 3600))
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(layout.latency_max)
            .enable_random_order()
            .build();
        let desk = Desk::new(book.clone());
        let (modes, down, healed, begun) = (Vec::new(), BTreeSet::new(), Duration::MAX, Duration::ZERO);
        for store in Store::ALL {
            processes.services().faults_of(store).delay(store, layout.store_delay_max);
        }
        let mut cluster = Self { schedule, sim, processes, modes, desk, book, down, healed, begun };
        cluster.add_hosts(tamperer.as_ref());
        cluster
    }

    fn add_hosts(&mut self, tamperer: Option<&Arc<Tamperer>>) {
        let layout = &self.schedule.layout;
        for host in self.servers() {
            let processes = Arc::clone(&self.processes);
            self.sim.host(host.to_string(), move || Arc::clone(&processes).boot(host));
            if matches!(host, Host::Twin(_) | Host::Relief) {
                self.crash(host);
            }
        }
        let desk = self.desk.clone();
        self.sim.host(Host::Community.to_string(), move || {
            let desk = desk.clone();
            async move {
                desk.serve().await;
                Ok(())
            }
        });
        self.modes = layout.devices.iter().map(|_| watch::Sender::new(Mode::Off)).collect();
        for number in 0..layout.client_hosts {
            let here = layout.devices.iter().enumerate().filter(|(_, plan)| plan.host == number);
            let plans: Vec<_> = here.map(|(d, plan)| (d, plan.habits.clone(), self.modes[d].subscribe())).collect();
            let (book, tamperer) = (self.book.clone(), tamperer.cloned());
            self.sim.host(Host::Clients(number).to_string(), move || {
                let (plans, book, tamperer) = (plans.clone(), book.clone(), tamperer.clone());
                async move {
                    for (device, habits, mode) in plans {
                        let device = Device::new(device, habits, mode, book.clone(), tamperer.clone());
                        tokio::task::spawn_local(device.live());
                    }
                    std::future::pending().await
                }
            });
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        for Planned { at, step } in &self.schedule.steps {
            while self.sim.elapsed() < *at {
                self.tick()?;
            }
            self.apply(step)?;
        }
        self.heal();
        self.healed = self.sim.elapsed();
        let mut seen = 0;
        loop {
            self.pass(LOOK_INTERVAL)?;
            let before = std::mem::replace(&mut seen, self.seen());
            let missing = self.missing().or_else(|| (before < seen).then(|| "notifications that still come".into()));
            let Some(missing) = missing else { break };
            if self.sim.elapsed() - self.healed > QUIET_WITHIN {
                return Err(Violation::NotQuiet { after: QUIET_WITHIN, missing });
            }
        }
        self.book.set_now(self.sim.elapsed());
        self.book.trace(|| "--- all is quiet".into());
        self.pass(LISTEN)?;
        self.settle_accounts()
    }

    fn tick(&mut self) -> Result<(), Violation> {
        self.sim.step().map(drop).map_err(|error| Violation::Broke { why: error.to_string() })
    }

    fn pass(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.tick()?;
        }
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<(), Violation> {
        self.book.set_now(self.sim.elapsed());
        self.book.trace(|| format!("--- {step:?}"));
        self.book.count(step.name());
        match step {
            Step::Errand(errand) => self.desk.put(errand.clone()),
            Step::Device { device, mode } => {
                self.modes[*device].send_replace(*mode);
            }
            Step::Crash(host) => self.crash(*host),
            Step::PowerLoss(host) => {
                let others: Vec<_> = self.hosts().into_iter().filter(|other| other != host).collect();
                others.iter().for_each(|other| self.sim.partition(host.to_string(), other.to_string()));
                self.crash(*host);
                others.iter().for_each(|other| self.sim.release(host.to_string(), other.to_string()));
            }
            Step::Stop(host) => {
                self.processes.stop(*host);
                self.down.insert(*host); // or about to be
            }
            Step::Start(host) => self.start(*host),
            Step::Partition(a, b) => self.sim.partition(a.to_string(), b.to_string()),
            Step::Hold(a, b) => self.sim.hold(a.to_string(), b.to_string()),
            Step::Release(a, b) => self.sim.release(a.to_string(), b.to_string()),
            Step::BreakDown(store, outage) => self.processes.services().faults_of(*store).break_down(*store, *outage),
            Step::Heal(store) => self.processes.services().faults_of(*store).heal(*store),
            Step::CutOff(host, outage) => self.processes.set_line(*host, Some(*outage)),
            Step::Reconnect(host) => self.processes.set_line(*host, None),
            Step::Delay(store, most) => self.processes.services().faults_of(*store).delay(*store, *most),
            Step::LoseAnswers(store, percent) => {
                self.processes.services().faults_of(*store).lose_answers(*store, *percent);
            }
            Step::WipeInbox => self.processes.services().faults().wipe_inbox(),
            Step::SnapshotInbox => self.processes.services().snapshot_inbox(),
            Step::RewindInbox => self.processes.services().rewind_inbox(),
            Step::LoseCommits => self.lose_commits(),
            Step::Skew { host, millis } => self.processes.set_skew(*host, *millis),
            Step::NewLog => self.begin_era()?,
            Step::Twin(node) => self.switch_twin(*node),
        }
        Ok(())
    }

    fn hosts(&self) -> Vec<Host> {
        let layout = &self.schedule.layout;
        let servers = self.servers().into_iter();
        servers.chain([Host::Community]).chain((0..layout.client_hosts).map(Host::Clients)).collect()
    }

    fn servers(&self) -> Vec<Host> {
        let nodes = 0..self.schedule.layout.nodes_max;
        let mut servers: Vec<_> = std::iter::once(Host::Publisher).chain(nodes.clone().map(Host::Node)).collect();
        if self.schedule.family == Family::Twins {
            servers.extend(nodes.map(Host::Twin).chain([Host::Relief]));
        }
        servers
    }

    /// The process ends in the middle of whatever it does, and the host stays without one.
    fn crash(&mut self, host: Host) {
        self.processes.dies(host, true);
        self.sim.bounce(host.to_string());
        self.down.insert(host);
    }

    /// Another process takes the place of the one before, if there is one.
    fn start(&mut self, host: Host) {
        self.processes.dies(host, false);
        self.sim.bounce(host.to_string());
        self.down.remove(&host);
    }

    fn lose_commits(&mut self) {
        let up: Vec<_> = self.servers().into_iter().filter(|host| !self.down.contains(host)).collect();
        up.iter().for_each(|host| self.crash(*host));
        self.processes.services().faults().lose_commits();
        up.iter().for_each(|host| self.start(*host));
    }

    /// The old log is lost while nothing is under way: what was accepted and not told is the loss of whoever lost the log,
    /// and nothing here could know of it.
    fn begin_era(&mut self) -> Result<(), Violation> {
        self.heal_services();
        let begun = self.sim.elapsed();
        while self.book.open().errands > 0 || !self.processes.services().is_fanned_out() {
            self.pass(LOOK_INTERVAL)?;
            if self.sim.elapsed() - begun > QUIET_WITHIN {
                let missing = "errands of the community service".into();
                return Err(Violation::NotQuiet { after: QUIET_WITHIN, missing });
            }
        }
        let servers = self.servers();
        servers.iter().for_each(|host| self.crash(*host));
        self.processes.services().begin_era();
        self.begun = self.sim.elapsed();
        servers.iter().for_each(|host| self.start(*host));
        Ok(())
    }

    fn switch_twin(&mut self, node: usize) {
        let at = self.processes.switch(node);
        if self.down.contains(&at) {
            self.start(at);
        }
    }

    fn heal_services(&mut self) {
        let services = self.processes.services();
        for store in Store::ALL {
            services.faults_of(store).heal(store);
            services.faults_of(store).delay(store, Duration::ZERO);
            services.faults_of(store).lose_answers(store, 0);
        }
        drop(services);
        let hosts = self.hosts();
        for (number, a) in hosts.iter().enumerate() {
            hosts[..number].iter().for_each(|b| self.sim.release(a.to_string(), b.to_string()));
        }
        for host in self.servers() {
            self.processes.set_line(host, None);
            let spare = self.processes.is_spare(host);
            if spare && !self.down.contains(&host) {
                self.crash(host);
                if host == Host::Relief {
                    self.start(Host::Publisher); // it has lost its place, and would be restarted for that
                }
            } else if !spare && self.down.contains(&host) {
                self.start(host);
            }
        }
    }

    fn heal(&mut self) {
        self.book.set_now(self.sim.elapsed());
        self.book.trace(|| "--- all is healed".into());
        self.heal_services();
        for mode in &self.modes {
            mode.send_replace(Mode::On);
        }
    }

    fn seen(&self) -> u64 {
        self.book.open().tally.get(SEEN).copied().unwrap_or_default()
    }

    /// What is not done yet.
    fn missing(&mut self) -> Option<String> {
        let errands = self.book.open().errands;
        if errands > 0 {
            return Some(format!("{errands} errands of the community service"));
        }
        let services = self.processes.services();
        if !services.is_fanned_out() {
            return Some("events to fan out".into());
        }
        if self.schedule.layout.reshards()
            && let Some(moving) = services.is_moving()
        {
            return Some(moving);
        }
        let records = services.records(Topic::Notifications).pop().unwrap();
        let settled = services.settled();
        let mut ends = BTreeMap::new();
        for (partition, records) in records.iter().enumerate() {
            let Some(last) = records.last() else { continue };
            // Of two readers the slower may commit last, behind the other; the next commit sets that right.
            let alone = self.schedule.family != Family::Twins;
            if alone && !settled[partition].covers(last.offset) {
                return Some(format!(
                    "partition {partition} is settled up to {}, not {}",
                    settled[partition], last.offset
                ));
            }
            ends.extend(records.iter().map(|record| (record.key.unwrap(), Position::behind(record.offset))));
        }
        let generation = services.generation_now();
        drop(services);
        self.missing_on_devices(generation, &ends)
    }

    /// Every device has a socket, and one of each user is at the end of its log: the others may have been away when that
    /// one acknowledged.
    fn missing_on_devices(&self, generation: Generation, ends: &BTreeMap<u64, Position>) -> Option<String> {
        let pages = self.book.open();
        let mut at_end = BTreeSet::new();
        for (device, plan) in self.schedule.layout.devices.iter().enumerate() {
            let user = plan.habits.user;
            let own = pages.sockets.iter().rev().find(|socket| socket.device == device);
            let Some(open) = own.filter(|socket| socket.closed.is_none() && socket.alive > self.healed) else {
                return Some(format!("device {device} of user {user} has no socket that lives"));
            };
            let reached = open.heard.iter().map(|heard| heard.cursor).max().or(open.presented);
            let end = ends.get(&user.get()).copied().unwrap_or_default();
            let is_there = reached.is_some_and(|at| at.generation == generation && at.position >= end);
            if is_there || end == Position::START {
                at_end.insert(user);
            }
        }
        let behind =
            self.schedule.layout.devices.iter().map(|plan| plan.habits.user).find(|user| !at_end.contains(user));
        behind.map(|user| format!("no device of user {user} is at the end of its log"))
    }

    fn evidence(&self) -> Evidence {
        let services = self.processes.services();
        let pages = self.book.open();
        Evidence {
            partitions: self.schedule.layout.partitions,
            retention: self.schedule.layout.retention,
            inbox_went_back: self.schedule.steps.iter().any(|planned| planned.step.takes_inbox_back()),
            had_twins: matches!(self.schedule.family, Family::Twins | Family::Reshard),
            skew_max: self.schedule.skew_max,
            devices: self.schedule.layout.devices.iter().map(|plan| plan.habits.user).collect(),
            posts: pages.posts.clone(),
            changes: pages.changes.clone(),
            sockets: pages.sockets.clone(),
            parked: pages.parked.clone(),
            accounts: pages.accounts.clone(),
            ended: self.sim.elapsed(),
            logs: services.records(Topic::Notifications),
        }
    }
}
