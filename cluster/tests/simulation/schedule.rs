//! A schedule: what the cluster is made of, and what happens to it when. Everything in it follows from its family and its
//! seed, which [`draw`] turns into steps; a run takes no other dice that matter.

mod draw;

use std::fmt;
use std::time::Duration;

use peal_node::limits::Limits;
use peal_proto::UserId;
use peal_publisher::FanoutLimits;
use peal_store::inbox::Retention;
use peal_store::simulated::{Outage, Store};

use crate::community::Errand;
use crate::device::{Habits, Mode};

/// What may happen in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Posts and clients that come and go, and nothing that fails.
    Calm,
    /// Processes die, lose power, or leave in order.
    Crashes,
    /// Links drop and hold messages; clients stall and vanish.
    Network,
    /// Stores are away, slow, or lose their answers.
    Stores,
    /// The inbox is wiped or goes back in time.
    Inbox,
    /// All of that.
    Everything,
    /// The inbox keeps little and not for long.
    Retention,
    /// The inbox keeps little, and is wiped or goes back in time.
    RetentionWiped,
    /// The log is lost and a new one takes its place.
    NewLog,
    /// Two nodes serve the same partitions for a while, or two publishers fan out the same events.
    Twins,
    /// The log forgets the commits that no append followed.
    LostCommits,
    /// The number of nodes changes, while any of that happens but to the inbox.
    Reshard,
}

/// A seeded schedule.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) family: Family,
    pub(crate) seed: u64,
    pub(crate) layout: Layout,
    pub(crate) steps: Vec<Planned>,
    /// How far wall clocks may differ from the time.
    pub(crate) skew_max: Duration,
}

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) partitions: u32,
    pub(crate) nodes: usize,
    /// How many nodes there may be in the end; those beyond `nodes` wait for the map to name them. Where there are none, the map
    /// is of the harness, and stays.
    pub(crate) nodes_max: usize,
    pub(crate) client_hosts: usize,
    pub(crate) devices: Vec<Plan>,
    pub(crate) retention: Retention,
    pub(crate) limits: Limits,
    pub(crate) fanout: FanoutLimits,
    pub(crate) latency_max: Duration,
    /// Every call of a store takes up to twice this long, when nothing is wrong.
    pub(crate) store_delay_max: Duration,
    pub(crate) segment_bytes_max: usize,
}

/// A device and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) habits: Habits,
    /// Which of the clients' hosts.
    pub(crate) host: usize,
    /// Whether it is never on before everything is healed.
    pub(crate) late: bool,
}

/// A step and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) step: Step,
}

/// A host of the simulated network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    Publisher,
    Node(usize),
    /// Another node of the same ordinal.
    Twin(usize),
    /// Another publisher, to which nobody posts.
    Relief,
    Community,
    Clients(usize),
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The community service has something to do.
    Errand(Errand),
    /// A user does something with a device.
    Device {
        device: usize,
        mode: Mode,
    },
    /// `kill -9`: the kernel still says goodbye to its connections.
    Crash(Host),
    /// The machine is off at once, and its peers are not told.
    PowerLoss(Host),
    /// `SIGTERM`.
    Stop(Host),
    /// The process is started, or started again.
    Start(Host),
    /// Everything between the two is lost.
    Partition(Host, Host),
    /// Everything between the two is held up.
    Hold(Host, Host),
    /// Neither any more; what was held up arrives.
    Release(Host, Host),
    BreakDown(Store, Outage),
    Heal(Store),
    /// This process alone does not reach the stores.
    CutOff(Host, Outage),
    /// It does again.
    Reconnect(Host),
    /// Calls take up to twice this long.
    Delay(Store, Duration),
    /// So many calls in a hundred are done and not answered.
    LoseAnswers(Store, u32),
    WipeInbox,
    SnapshotInbox,
    RewindInbox,
    /// The log forgets commits, and all nodes and the publisher lose their connection to it: they start again.
    LoseCommits,
    /// The wall clock of a host is this much fast.
    Skew {
        host: Host,
        millis: i64,
    },
    /// All services are replaced by empty ones with a new log, while everything that uses them is down.
    NewLog,
    /// The other node of this ordinal starts, and clients are sent there.
    Twin(usize),
}

impl Layout {
    /// One node, one partition, and so many users with a device each.
    pub(crate) fn plain(users: u64) -> Self {
        let habits = |number| Habits { user: UserId::new(number).unwrap(), ack_notifications_max: 1, seed: number };
        Self {
            partitions: 1,
            nodes: 1,
            nodes_max: 1,
            client_hosts: 1,
            devices: (0..users).map(|number| Plan { habits: habits(number), host: 0, late: false }).collect(),
            retention: Retention::default(),
            limits: Limits { heartbeat: Duration::from_secs(3), ..Limits::default() },
            fanout: FanoutLimits::default(),
            latency_max: Duration::from_millis(5),
            store_delay_max: Duration::ZERO,
            segment_bytes_max: 4_096,
        }
    }
}

impl Layout {
    /// Whether the number of nodes changes.
    pub(crate) fn reshards(&self) -> bool {
        self.nodes_max > self.nodes
    }
}

impl Schedule {
    /// A schedule that somebody wrote: each step with its time in milliseconds.
    pub(crate) fn plain(layout: Layout, mut steps: Vec<(u64, Step)>) -> Self {
        steps.sort_by_key(|(at, _)| *at);
        let planned = |(at, step)| Planned { at: Duration::from_millis(at), step };
        let steps = steps.into_iter().map(planned).collect();
        Self { family: Family::Calm, seed: 1, layout, steps, skew_max: Duration::ZERO }
    }

    /// The schedule of a seed.
    pub(crate) fn new(family: Family, seed: u64) -> Self {
        draw::schedule(family, seed)
    }

    /// The same with other steps.
    pub(crate) fn with_steps(&self, steps: Vec<Planned>) -> Self {
        Self { steps, ..self.clone() }
    }
}

impl Step {
    /// What it is counted as.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Errand(_) => "errands",
            Self::Device { mode: Mode::On | Mode::Off, .. } => "comings and goings",
            Self::Device { mode: Mode::Cut, .. } => "links cut",
            Self::Device { mode: Mode::Stalled, .. } => "clients stalled",
            Self::Crash(_) => "crashes",
            Self::PowerLoss(_) => "power losses",
            Self::Stop(_) => "stops",
            Self::Start(_) => "starts",
            Self::Partition(..) => "partitions",
            Self::Hold(..) => "holds",
            Self::Release(..) => "releases",
            Self::BreakDown(..) => "stores down",
            Self::Heal(_) => "stores up",
            Self::CutOff(..) => "processes cut off",
            Self::Reconnect(_) => "processes reconnected",
            Self::Delay(..) => "stores slow",
            Self::LoseAnswers(..) => "answers lost",
            Self::WipeInbox => "inboxes wiped",
            Self::SnapshotInbox => "inboxes saved",
            Self::RewindInbox => "inboxes rewound",
            Self::LoseCommits => "commits lost",
            Self::Skew { .. } => "clocks set",
            Self::NewLog => "new logs",
            Self::Twin(_) => "twins switched",
        }
    }

    /// Whether it takes something away from the inbox.
    pub(crate) fn takes_inbox_back(&self) -> bool {
        matches!(self, Self::WipeInbox | Self::RewindInbox)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher => write!(f, "publisher"),
            Self::Node(node) => write!(f, "node-{node}"),
            Self::Twin(node) => write!(f, "twin-{node}"),
            Self::Relief => write!(f, "relief"),
            Self::Community => write!(f, "community"),
            Self::Clients(number) => write!(f, "clients-{number}"),
        }
    }
}
