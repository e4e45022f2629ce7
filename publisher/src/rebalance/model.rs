//! The plan against a world of nodes that come, leave, die and read what the map gives them when they get to it.

use proptest::prelude::*;

use super::*;

const PARTITIONS: u32 = 24;

/// Numbers of nodes that divide it.
const NODES: [u32; 6] = [1, 2, 3, 4, 6, 8];

#[derive(Debug, Clone)]
enum Event {
    /// Somebody asks for another number of nodes.
    Reshard(usize),
    Comes {
        node: u32,
        moved: bool,
    },
    Leaves {
        node: u32,
        spread_ms: u64,
    },
    Dies(u32),
    /// A node gives back what is not its own, or takes what is free and its own.
    Reads(u32),
    /// The plan is asked.
    Plans,
}

fn event() -> impl Strategy<Value = Event> {
    let node = || 0..8_u32;
    prop_oneof![
        1 => (0..NODES.len()).prop_map(Event::Reshard),
        2 => (node(), any::<bool>()).prop_map(|(node, moved)| Event::Comes { node, moved }),
        1 => (node(), 0..30_000_u64).prop_map(|(node, spread_ms)| Event::Leaves { node, spread_ms }),
        1 => node().prop_map(Event::Dies),
        6 => node().prop_map(Event::Reads),
        8 => Just(Event::Plans),
    ]
}

struct World {
    map: ShardMap,
    seats: BTreeMap<u32, Seat>,
    holders: Vec<Option<Holder>>,
    runs: u32,
}

impl World {
    fn new(nodes: u32) -> Self {
        let urls = (0..nodes).map(|node| format!("ws://node-{node}")).collect();
        let map = ShardMap::new(1, PARTITIONS, urls).unwrap();
        Self { map, seats: BTreeMap::new(), holders: vec![None; PARTITIONS as usize], runs: 0 }
    }

    fn scene<T>(&self, with: impl FnOnce(Scene<'_>) -> T) -> T {
        let seats: Vec<_> = self.seats.values().cloned().collect();
        with(Scene::new(&self.map, &seats, &self.holders))
    }

    fn comes(&mut self, node: u32, moved: bool) {
        self.dies(node);
        self.runs += 1;
        let url = if moved { format!("ws://node-{node}-{}", self.runs) } else { format!("ws://node-{node}") };
        let holder = Holder::new(format!("run {}", self.runs));
        self.seats.insert(node, Seat::new(NodeId::new(node), url, holder));
    }

    fn dies(&mut self, node: u32) {
        let Some(seat) = self.seats.remove(&node) else { return };
        self.holders
            .iter_mut()
            .filter(|holder| holder.as_ref() == Some(&seat.holder))
            .for_each(|holder| *holder = None);
    }

    fn reads(&mut self, node: u32) {
        let Some(seat) = self.seats.get(&node) else { return };
        for (partition, owner) in self.map.owners() {
            let holder = &mut self.holders[partition.get() as usize];
            match holder {
                Some(by) if *by == seat.holder && owner.get() != node => *holder = None,
                None if owner.get() == node => *holder = Some(seat.holder.clone()),
                Some(_) | None => {}
            }
        }
    }

    /// Asks the plan, and holds the next map against what must never be.
    fn plans(&mut self) -> bool {
        let Some(next) = self.scene(|scene| scene.next()) else { return false };
        assert_eq!((next.epoch(), next.nodes()), (self.map.epoch() + 1, self.map.nodes()));
        let moved: Vec<_> = next.owners().zip(self.map.owners()).filter(|(now, before)| now != before).collect();
        for ((partition, to), _) in &moved {
            let seat =
                self.seats.get(&to.get()).unwrap_or_else(|| panic!("{partition} moves to {to}, which is not there"));
            assert_eq!(seat.leaving_ms, None, "{partition} moves to {to}, which is leaving");
            assert_eq!(next.url(*to), Some(seat.url.as_str()), "clients of {partition} are sent elsewhere");
        }
        let (under_way, most) = self.scene(|scene| (scene.under_way().len(), scene.wave_max()));
        assert!(moved.is_empty() || moved.len() + under_way <= most, "{moved:?} and {under_way} of {most}");
        let is_anybody_leaving = self.seats.values().any(|seat| seat.leaving_ms.is_some());
        assert!(is_anybody_leaving || most == (PARTITIONS as usize / WAVE_SHARE).max(1), "{most} in a wave");
        self.map = next;
        true
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Reshard(index) if NODES[*index] != self.map.nodes() => {
                self.map = self.map.towards(NODES[*index]).unwrap();
            }
            Event::Reshard(_) => {}
            Event::Comes { node, moved } => self.comes(*node, *moved),
            Event::Leaves { node, spread_ms } => {
                if let Some(seat) = self.seats.get_mut(node) {
                    seat.leaving_ms = Some(*spread_ms);
                }
            }
            Event::Dies(node) => self.dies(*node),
            Event::Reads(node) => self.reads(*node),
            Event::Plans => drop(self.plans()),
        }
    }

    /// As long as anything changes; how many maps that took.
    fn settles(&mut self) -> usize {
        for maps in 0..1_000 {
            (0..8).for_each(|node| self.reads(node)); // what was taken by another is given back …
            (0..8).for_each(|node| self.reads(node)); // … and taken
            if !self.plans() {
                return maps;
            }
        }
        panic!("it never settles: {:?}", self.map);
    }
}

proptest! {
    #[test]
    fn whatever_happens_all_is_by_the_rule_once_all_are_there(
        first in 0..NODES.len(),
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut world = World::new(NODES[first]);
        events.iter().for_each(|event| world.happens(event));
        world.settles();
        for node in 0..world.map.nodes() {
            world.comes(node, false);
        }
        world.settles();
        prop_assert!(world.map.placed().is_empty());
        prop_assert_eq!(world.map.urls().len(), world.map.nodes() as usize);
        prop_assert!(world.scene(|scene| scene.is_settled() && scene.under_way().is_empty()));
    }

    #[test]
    fn a_node_that_leaves_is_relieved_of_everything_while_another_stays(
        nodes in 1..NODES.len(),
        leaver in 0..8_u32,
        spread_ms in 0..30_000_u64,
    ) {
        let mut world = World::new(NODES[nodes]);
        (0..NODES[nodes]).for_each(|node| world.comes(node, false));
        world.settles();
        let leaver = leaver % NODES[nodes];
        world.happens(&Event::Leaves { node: leaver, spread_ms });
        let maps = world.settles();
        prop_assert_eq!(world.map.owned_by(NodeId::new(leaver)).count(), 0);
        prop_assert!(maps as u64 <= (spread_ms / 1_000).max(1).max(3), "{} maps in {} ms", maps, spread_ms);
        world.comes(leaver, true);
        world.settles();
        prop_assert!(world.map.placed().is_empty());
    }
}

#[test]
fn a_node_that_is_dead_keeps_its_partitions_and_is_named() {
    let mut world = World::new(3);
    (0..3).for_each(|node| world.comes(node, false));
    world.settles();
    world.dies(1);
    assert!(!world.plans());
    assert_eq!(world.scene(|scene| scene.missing()), [NodeId::new(1)]);
}

#[test]
fn of_two_nodes_at_one_url_the_second_gets_nothing() {
    let mut world = World::new(1);
    world.comes(0, false);
    world.comes(1, false);
    world.seats.get_mut(&1).unwrap().url = "ws://node-0".to_owned();
    world.map = world.map.towards(2).unwrap();
    world.settles();
    assert_eq!(world.map.owned_by(NodeId::new(1)).count(), 0);
    assert_eq!(world.scene(|scene| scene.ambiguous()), [NodeId::new(1)]);
}
