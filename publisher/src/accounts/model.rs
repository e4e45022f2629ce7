//! The accounts against a naive world: nodes that settle, crash, read again and settle otherwise, and keepers that crash and
//! read receipts again. The oracle keeps a fate for every notification.

use std::collections::BTreeMap;

use peal_proto::{EventId, Fate, Offset, Partition, Position, Receipt, Run, Timestamp};
use peal_store::log::Commit;
use peal_store::status::PartKey;
use proptest::prelude::*;

use super::fold::{Entry, Progress, fold, keys};
use super::part::{OFFSETS_A_PART, Part, Tally};

const NOW: Timestamp = Timestamp::from_millis(1_000);
const LATER: Timestamp = Timestamp::from_millis(5_000);

/// What a node writes down, with its dice.
#[derive(Debug, Clone)]
enum Step {
    /// Settles so many more, or again from so far back.
    Settle { partition: u32, back: u64, count: u64, dice: u64 },
    /// Says that some are delivered, whatever became of them before.
    Replay { partition: u32, back: u64, count: u64 },
    /// The keeper takes in what was written, and commits perhaps.
    Take { commits: bool },
    /// The keeper begins again where it committed.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0_u32..3;
    prop_oneof![
        5 => (partition.clone(), 0_u64..40, 1_u64..60, any::<u64>())
            .prop_map(|(partition, back, count, dice)| Step::Settle { partition, back, count, dice }),
        4 => (partition, 0_u64..60, 1_u64..60).prop_map(|(partition, back, count)| Step::Replay { partition, back, count }),
        4 => any::<bool>().prop_map(|commits| Step::Take { commits }),
        1 => Just(Step::Crash),
    ]
}

fn event_of(offset: u64) -> EventId {
    format!("e{}", offset / 7 % 3).parse().unwrap()
}

fn fate_of(offset: u64, dice: u64) -> Fate {
    match (offset ^ dice) % 5 {
        0 | 1 => Fate::Delivered,
        2 | 3 => Fate::Parked { until: LATER },
        _ => Fate::Expired,
    }
}

fn runs(offsets: std::ops::Range<u64>, fate: impl Fn(u64) -> Fate) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for number in offsets {
        let (event, offset, fate) = (event_of(number), Offset::new(number), fate(number));
        if !runs.last_mut().is_some_and(|run| run.extend(&event, offset, fate)) {
            runs.push(Run::of(event, offset, fate));
        }
    }
    runs
}

struct World {
    log: Vec<(Partition, Receipt)>,
    /// Behind the last that was settled, by partition; it starts in the middle of a part.
    settled: BTreeMap<u32, u64>,
    fates: BTreeMap<(u32, u64), Fate>,
    parts: BTreeMap<PartKey, Part>,
    progress: Progress,
    committed: Option<Commit>,
}

const FIRST: u64 = OFFSETS_A_PART - 100;

/// Where the receipts stand: the number of one of the partitions that they speak of.
const RECEIPTS: Partition = Partition::new(1);

impl World {
    fn new() -> Self {
        Self {
            log: Vec::new(),
            settled: BTreeMap::new(),
            fates: BTreeMap::new(),
            parts: BTreeMap::new(),
            progress: Progress::of(RECEIPTS, None).unwrap(),
            committed: None,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Settle { partition, back, count, dice } => self.settle(partition, back, count, dice),
            Step::Replay { partition, back, count } => {
                let end = *self.settled.entry(partition).or_insert(FIRST);
                let first = end.saturating_sub(back).max(FIRST);
                let offsets = first..(first + count).min(end);
                for offset in offsets.clone() {
                    if let Some(fate @ Fate::Parked { .. }) = self.fates.get_mut(&(partition, offset)) {
                        *fate = Fate::Delivered;
                    }
                }
                let runs = runs(offsets, |_| Fate::Delivered);
                self.log.push((Partition::new(partition), Receipt::Replayed { runs }));
            }
            Step::Take { commits } => {
                self.take();
                if commits {
                    self.committed = Some(self.progress.commit());
                }
            }
            Step::Crash => self.progress = Progress::of(RECEIPTS, self.committed.clone()).unwrap(),
        }
    }

    fn settle(&mut self, partition: u32, back: u64, count: u64, dice: u64) {
        let settled = self.settled.entry(partition).or_insert(FIRST);
        let first = settled.saturating_sub(back).max(FIRST);
        let end = first + count;
        let fate = |offset| fate_of(offset, dice);
        for offset in first..end {
            let place = (partition, offset);
            if offset >= *settled {
                self.fates.insert(place, fate(offset));
            } else if fate(offset) == Fate::Delivered && matches!(self.fates[&place], Fate::Parked { .. }) {
                self.fates.insert(place, Fate::Delivered);
            }
        }
        *settled = end.max(*settled);
        let position = |offset| Position::at(Offset::new(offset));
        let receipt = Receipt::Settled { from: position(first), to: position(end), runs: runs(first..end, fate) };
        self.log.push((Partition::new(partition), receipt));
    }

    fn take(&mut self) {
        let from = usize::try_from(self.progress.position.next().get()).unwrap();
        let new = self.log.iter().enumerate().skip(from);
        let entries: Vec<_> = new
            .map(|(offset, (partition, receipt))| Entry {
                offset: Offset::new(offset as u64),
                partition: *partition,
                receipt: receipt.clone(),
            })
            .collect();
        // As they are stored: what is written is what is read.
        let read = |part: Option<&Part>| part.map_or_else(Part::new, |part| Part::decode(&part.encode()).unwrap());
        let mut parts =
            keys(&entries, &self.progress).into_iter().map(|key| (key.clone(), read(self.parts.get(&key)))).collect();
        fold(&entries, &mut parts, &mut self.progress);
        self.parts.extend(parts);
    }

    fn check(&self) {
        for event in ["e0", "e1", "e2"].map(|id| id.parse::<EventId>().unwrap()) {
            let mut due = Tally::default();
            for ((_, offset), fate) in &self.fates {
                if event_of(*offset) == event {
                    match fate {
                        Fate::Delivered => due.delivered += 1,
                        Fate::Parked { .. } => due.parked += 1,
                        Fate::Expired => due.expired += 1,
                    }
                }
            }
            let parts = || self.parts.iter().filter(|(key, _)| key.event == event).map(|(_, part)| part);
            assert_eq!(parts().map(|part| part.tally(NOW)).sum::<Tally>(), due, "{event}");
            let later = Tally { parked: 0, expired: due.expired + due.parked, ..due };
            assert_eq!(parts().map(|part| part.tally(LATER)).sum::<Tally>(), later, "{event}, when all has expired");
        }
    }
}

proptest! {
    #[test]
    fn every_notification_is_counted_once_as_what_became_of_it(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.take();
        world.check();
    }
}
