//! Draws schedules. How likely is what is decided here and nowhere else.

mod batch;

use std::time::Duration;

use peal_node::limits::Limits;
use peal_proto::limits::INTEGER_MAX;
use peal_proto::{CommunityId, EventId, UserId};
use peal_publisher::FanoutLimits;
use peal_store::inbox::Retention;
use peal_store::simulated::{Outage, Store};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::{Family, Host, Layout, Plan, Planned, Schedule, Step};
use crate::book::Keep;
use crate::community::Errand;
use crate::device::{Habits, Mode};

/// When the last step may be.
const END: Duration = Duration::from_secs(20);

/// Before this nothing fails: members are added, clients connect.
const WARM_UP: Duration = Duration::from_secs(2);

/// How often an event is sent whose poster does not give up.
const STUBBORN: u32 = 1_000;

/// How many nodes there are at most where their number changes.
const RESHARDED_NODES_MAX: usize = 6;

/// How P and N may be.
const SHAPES: [(u32, usize); 8] = [(1, 1), (2, 1), (2, 2), (3, 3), (4, 2), (6, 2), (6, 3), (12, 3)];

pub(super) fn schedule(family: Family, seed: u64) -> Schedule {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(family as u64));
    let (partitions, nodes) = *SHAPES.choose(&mut rng).unwrap();
    let (partitions, nodes, nodes_max) = match family {
        Family::Reshard => (12, nodes, RESHARDED_NODES_MAX),
        Family::Calm
        | Family::Crashes
        | Family::Network
        | Family::Stores
        | Family::Inbox
        | Family::Everything
        | Family::Retention
        | Family::RetentionWiped
        | Family::NewLog
        | Family::Twins
        | Family::LostCommits => (partitions, nodes, nodes),
    };
    let users = users(&mut rng);
    let client_hosts = rng.random_range(1..=2);
    let devices = devices(&mut rng, &users, client_hosts);
    let layout = Layout {
        partitions,
        nodes,
        nodes_max,
        client_hosts,
        devices,
        retention: retention(&mut rng, family),
        limits: limits(&mut rng, family),
        fanout: fanout(&mut rng),
        latency_max: Duration::from_millis(*[5, 20, 100].choose(&mut rng).unwrap()),
        store_delay_max: Duration::from_millis(*[0, 1, 5, 20].choose(&mut rng).unwrap()),
        segment_bytes_max: *[64, 200, 4_096].choose(&mut rng).unwrap(),
    };
    let skew_max = Duration::from_millis(if rng.random_bool(0.5) { 0 } else { 1_500 });
    let communities = (0..rng.random_range(1..=4)).map(|c| CommunityId::new(c * 5 + large().get()).unwrap()).collect();
    let has_relief = family == Family::Twins && rng.random_bool(0.3);
    let (steps, events) = (Vec::new(), 0);
    let mut draw = Draw { rng, layout: &layout, users, communities, has_relief, steps, events };
    draw.workload();
    draw.visits();
    for _ in 0..draw.rng.random_range(4..=14) {
        draw.fault(family, skew_max);
    }
    draw.special(family);
    let mut steps = draw.steps;
    steps.sort_by_key(|planned| planned.at);
    Schedule { family, seed, layout, steps, skew_max }
}

/// Users with devices, and those without, who never come.
struct Users {
    online: Vec<UserId>,
    late: Vec<UserId>,
    absent: Vec<UserId>,
}

/// The community that everybody is in who never comes.
fn large() -> CommunityId {
    CommunityId::new(7).unwrap()
}

fn user(number: u64) -> UserId {
    UserId::new(number).unwrap()
}

fn users(rng: &mut StdRng) -> Users {
    let online = (0..rng.random_range(3..=8)).map(|number| if number == 2 { INTEGER_MAX } else { number });
    let absent = rng.random_range(0..=150);
    Users {
        online: online.map(user).collect(),
        late: (50..50 + rng.random_range(1..=5)).map(user).collect(),
        absent: (100..100 + absent).map(user).collect(),
    }
}

fn devices(rng: &mut StdRng, users: &Users, hosts: usize) -> Vec<Plan> {
    let mut devices = Vec::new();
    for (user, late) in
        users.online.iter().map(|user| (*user, false)).chain(users.late.iter().map(|user| (*user, true)))
    {
        let number = if !late && rng.random_bool(0.3) { 2 } else { 1 };
        for _ in 0..number {
            let ack_notifications_max = *[1, 8, 64].choose(rng).unwrap();
            let habits = Habits { user, ack_notifications_max, seed: rng.random() };
            devices.push(Plan { habits, host: rng.random_range(0..hosts), late });
        }
    }
    devices
}

fn retention(rng: &mut StdRng, family: Family) -> Retention {
    match family {
        Family::Retention | Family::RetentionWiped => {
            let notifications_max = if rng.random_bool(0.7) { rng.random_range(2..=6) } else { 1_000 };
            let ttl = if rng.random_bool(0.5) { rng.random_range(4..=8) } else { 3_600 };
            Retention { notifications_max, bytes_max: 1024 * 1024, ttl: Duration::from_secs(ttl) }
        }
        Family::Calm
        | Family::Crashes
        | Family::Network
        | Family::Stores
        | Family::Inbox
        | Family::Everything
        | Family::NewLog
        | Family::Twins
        | Family::LostCommits
        | Family::Reshard => Retention::default(),
    }
}

/// Waits that fit a run of half a minute, and rooms that are small half of the time.
fn limits(rng: &mut StdRng, family: Family) -> Limits {
    let drains = family == Family::Reshard && rng.random_bool(0.7);
    let limits = Limits {
        drain_spread: drains.then_some(Duration::from_secs(2)),
        ack_timeout: Duration::from_secs(rng.random_range(2..=5)),
        slow_timeout: Duration::from_secs(rng.random_range(2..=6)),
        heartbeat: Duration::from_secs(*[3, 5].choose(rng).unwrap()),
        retry_max: Duration::from_secs(1),
        ..Limits::default()
    };
    if rng.random_bool(0.5) {
        return limits;
    }
    Limits {
        session_bytes_max: rng.random_range(200..=3_000),
        window_bytes_max: rng.random_range(2_000..=40_000),
        window_records_max: rng.random_range(5..=200),
        park_batch_max: rng.random_range(1..=10),
        pages_max: rng.random_range(1..=4),
        page_entries_max: rng.random_range(1..=6),
        page_bytes_max: rng.random_range(100..=1_000),
        ..limits
    }
}

fn fanout(rng: &mut StdRng) -> FanoutLimits {
    if rng.random_bool(0.3) {
        return FanoutLimits::default();
    }
    FanoutLimits {
        notifications_max: rng.random_range(1..=40),
        bytes_max: rng.random_range(200..=20_000),
        events_max: rng.random_range(1..=10),
        large_max: rng.random_range(1..=4),
        held_max: rng.random_range(1..=28),
    }
}

/// A schedule in the making.
struct Draw<'a> {
    rng: StdRng,
    layout: &'a Layout,
    users: Users,
    communities: Vec<CommunityId>,
    /// Whether there is a second publisher.
    has_relief: bool,
    steps: Vec<Planned>,
    events: u32,
}

impl Draw<'_> {
    fn at(&mut self, at: Duration, step: Step) {
        self.steps.push(Planned { at, step });
    }

    fn moment(&mut self, from: Duration, to: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        Duration::from_millis(self.rng.random_range(millis(from)..=millis(to)))
    }

    /// Begins at a random moment and ends a random while later.
    fn spell(&mut self) -> (Duration, Duration) {
        let begin = self.moment(WARM_UP, END);
        let most = Duration::from_millis(*[300, 2_000, 8_000].choose(&mut self.rng).unwrap());
        let end = begin + self.moment(Duration::from_millis(10), most);
        (begin, end.min(END))
    }

    fn workload(&mut self) {
        for number in 0..self.communities.len() {
            let mut members = self.users.online.clone();
            members.shuffle(&mut self.rng);
            members.truncate(self.rng.random_range(1..=members.len()));
            members.extend(self.users.late.iter().copied());
            if number == 0 {
                members.extend(self.users.absent.iter().copied());
            }
            let community = self.communities[number];
            self.at(Duration::ZERO, Step::Errand(Errand::Add { community, users: members }));
        }
        for _ in 0..self.rng.random_range(4..=30) {
            let at = self.moment(Duration::from_secs(1), END);
            if self.rng.random_bool(0.15) {
                self.batch(at);
                continue;
            }
            let together = if self.rng.random_bool(0.1) { self.rng.random_range(2..=12) } else { 1 };
            let community = self.community();
            for _ in 0..together {
                self.post(at, community);
            }
        }
        for _ in 0..self.rng.random_range(0..=8) {
            let at = self.moment(WARM_UP, END);
            let (community, user) = (self.community(), *self.users.online.choose(&mut self.rng).unwrap());
            self.join_or_leave(at, community, user);
        }
    }

    fn community(&mut self) -> CommunityId {
        *self.communities.choose(&mut self.rng).unwrap()
    }

    fn event(&mut self) -> EventId {
        self.events += 1;
        format!("e{}", self.events).parse().unwrap()
    }

    fn attempts_max(&mut self) -> u32 {
        if self.rng.random_bool(0.1) { self.rng.random_range(1..=2) } else { STUBBORN }
    }

    fn post(&mut self, at: Duration, community: CommunityId) {
        let (event, attempts_max) = (self.event(), self.attempts_max());
        let bytes = *[0, 0, 50, 500].choose(&mut self.rng).unwrap();
        let keep = self.keep();
        self.at(at, Step::Errand(Errand::Post { community, event, bytes, keep, attempts_max }));
    }

    /// Now and then an event is worth telling for a few seconds only, or replaces others.
    fn keep(&mut self) -> Keep {
        let ttl = self.rng.random_bool(0.2).then(|| *[1, 4, 12, 60].choose(&mut self.rng).unwrap());
        let collapse = self.rng.random_bool(0.3).then(|| *["a", "b"].choose(&mut self.rng).unwrap());
        Keep { ttl, collapse }
    }

    fn join_or_leave(&mut self, at: Duration, community: CommunityId, user: UserId) {
        let errand = match self.rng.random_range(0..4) {
            0 => Errand::Remove { community, user },
            1 => Errand::Add { community, users: vec![user] },
            _ => {
                let (event, attempts_max) = (self.event(), self.attempts_max());
                Errand::Join { community, user, event, notify_self: self.rng.random_bool(0.7), attempts_max }
            }
        };
        self.at(at, Step::Errand(errand));
    }

    /// When users are there.
    fn visits(&mut self) {
        for device in 0..self.layout.devices.len() {
            if self.layout.devices[device].late {
                continue;
            }
            let start = self.moment(Duration::from_millis(100), Duration::from_secs(4));
            self.at(start, Step::Device { device, mode: Mode::On });
            for _ in 0..self.rng.random_range(0..=3) {
                let (begin, end) = self.spell();
                self.at(begin, Step::Device { device, mode: Mode::Off });
                self.at(end, Step::Device { device, mode: Mode::On });
            }
        }
    }

    fn server(&mut self) -> Host {
        let nodes = self.layout.nodes_max;
        let server = self.rng.random_range(0..=nodes + usize::from(self.has_relief));
        if server < nodes {
            Host::Node(server)
        } else if server == nodes {
            Host::Publisher
        } else {
            Host::Relief
        }
    }

    fn client(&mut self) -> Host {
        if self.rng.random_bool(0.2) {
            Host::Community
        } else {
            Host::Clients(self.rng.random_range(0..self.layout.client_hosts))
        }
    }

    /// Something that a family has.
    fn fault(&mut self, family: Family, skew_max: Duration) {
        let of = match family {
            Family::Calm => return,
            Family::Crashes | Family::NewLog | Family::LostCommits => Self::crash,
            Family::Network => Self::network,
            Family::Stores => Self::store,
            Family::Inbox => *[Self::inbox, Self::inbox, Self::crash].choose(&mut self.rng).unwrap(),
            Family::Everything => {
                *[Self::crash, Self::network, Self::store, Self::inbox].choose(&mut self.rng).unwrap()
            }
            // Not the inbox as well: of two readers, one takes what the other parks again for all that was lost.
            Family::Twins => *[Self::crash, Self::network, Self::store].choose(&mut self.rng).unwrap(),
            Family::Reshard => *[Self::crash, Self::crash, Self::network, Self::store].choose(&mut self.rng).unwrap(),
            Family::Retention => *[Self::crash, Self::network, Self::store].choose(&mut self.rng).unwrap(),
            Family::RetentionWiped => *[Self::crash, Self::network, Self::inbox].choose(&mut self.rng).unwrap(),
        };
        of(self);
        if skew_max > Duration::ZERO && self.rng.random_bool(0.2) {
            let most = i64::try_from(skew_max.as_millis()).unwrap();
            let (host, millis) = (self.server(), self.rng.random_range(-most..=most));
            let at = self.moment(WARM_UP, END);
            self.at(at, Step::Skew { host, millis });
        }
    }

    fn crash(&mut self) {
        let (mut begin, mut end) = self.spell();
        let host = self.server();
        if self.rng.random_bool(0.3) {
            // Inside the fan-out of an event to many, or inside a batch.
            if self.rng.random_bool(0.7) {
                self.post(begin, large());
            } else {
                self.batch(begin);
            }
            let wait = self.moment(Duration::from_millis(20), Duration::from_millis(800));
            (begin, end) = (begin + wait, end + wait);
        }
        let step = match self.rng.random_range(0..4) {
            0 => Step::Stop(host),
            1 => Step::PowerLoss(host),
            _ => Step::Crash(host),
        };
        self.at(begin, step);
        self.at(end, Step::Start(host));
    }

    fn network(&mut self) {
        let (begin, end) = self.spell();
        let (client, server) = (self.client(), self.server());
        match self.rng.random_range(0..5) {
            0 => {
                self.at(begin, Step::Partition(client, server));
                self.at(end, Step::Release(client, server));
            }
            1 => {
                self.at(begin, Step::Hold(client, server));
                self.at(end, Step::Release(client, server));
            }
            way => {
                let device = self.rng.random_range(0..self.layout.devices.len());
                if self.layout.devices[device].late {
                    return;
                }
                let mode = if way == 2 { Mode::Cut } else { Mode::Stalled };
                if mode == Mode::Stalled && self.rng.random_bool(0.5) {
                    // More than the network holds.
                    for _ in 0..self.rng.random_range(10..=30) {
                        self.post(begin, large());
                    }
                }
                self.at(begin, Step::Device { device, mode });
                self.at(end, Step::Device { device, mode: Mode::On });
            }
        }
    }

    fn store(&mut self) {
        let (begin, end) = self.spell();
        let mut stores = vec![Store::Log, Store::Inbox, Store::Members, Store::Statuses];
        if self.layout.reshards() {
            stores.extend([Store::Shards, Store::Leases]);
        }
        let store = *stores.choose(&mut self.rng).unwrap();
        let outage = if self.rng.random_bool(0.5) { Outage::Refuse } else { Outage::Hang };
        match self.rng.random_range(0..5) {
            0 => {
                let most = Duration::from_millis(*[2, 30, 300].choose(&mut self.rng).unwrap());
                self.at(begin, Step::Delay(store, most));
                let usual = self.layout.store_delay_max;
                self.at(end, Step::Delay(store, usual));
            }
            1 => {
                let percent = *[10, 50, 100].choose(&mut self.rng).unwrap();
                self.at(begin, Step::LoseAnswers(store, percent));
                self.at(end, Step::LoseAnswers(store, 0));
            }
            2 => {
                let host = self.server();
                self.at(begin, Step::CutOff(host, outage));
                self.at(end, Step::Reconnect(host));
            }
            _ => {
                self.at(begin, Step::BreakDown(store, outage));
                self.at(end, Step::Heal(store));
            }
        }
    }

    fn inbox(&mut self) {
        let (begin, end) = self.spell();
        if self.rng.random_bool(0.5) {
            self.at(begin, Step::WipeInbox);
        } else {
            self.at(begin, Step::SnapshotInbox);
            self.at(end, Step::RewindInbox);
        }
    }

    /// Other numbers of nodes, sometimes one on the heels of the other.
    fn reshard(&mut self) {
        for _ in 0..self.rng.random_range(1..=4) {
            let (at, nodes) = (self.moment(WARM_UP, END), *[1, 2, 3, 4, 6].choose(&mut self.rng).unwrap());
            self.at(at, Step::Errand(Errand::Reshard { nodes }));
        }
    }

    /// What a family has once or twice.
    fn special(&mut self, family: Family) {
        if family == Family::Reshard {
            return self.reshard();
        }
        let step = match family {
            Family::NewLog => Step::NewLog,
            Family::Twins if self.has_relief => Step::Start(Host::Relief),
            Family::Twins => Step::Twin(self.rng.random_range(0..self.layout.nodes)),
            Family::LostCommits => Step::LoseCommits,
            Family::Calm
            | Family::Crashes
            | Family::Network
            | Family::Stores
            | Family::Inbox
            | Family::Everything
            | Family::Retention
            | Family::RetentionWiped
            | Family::Reshard => return,
        };
        for _ in 0..self.rng.random_range(1..=2) {
            let at = self.moment(WARM_UP, END);
            self.at(at, step.clone());
        }
    }
}
