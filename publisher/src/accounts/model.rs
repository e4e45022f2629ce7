//! The accounts against a naive world: nodes that settle, crash, read again and settle otherwise, and readers that crash and
//! read receipts again, of one or of all logs at once. The oracle keeps a fate for every notification.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use peal_proto::{EventId, Fate, Offset, Partition, Position, Receipt, Run, Timestamp};
use peal_store::log::Commit;
use peal_store::status::PartKey;
use proptest::prelude::*;

use super::fold::{Entry, Plan, Progress};
use super::part::{OFFSETS_A_PART, Part, Tally};
use super::sheet::Sheet;

const NOW: Timestamp = Timestamp::from_millis(1_000);
const LATER: Timestamp = Timestamp::from_millis(5_000);

/// What a node writes down, with its dice.
#[derive(Debug, Clone)]
enum Step {
    /// Settles so many more, or again from so far back.
    Settle { partition: u32, back: u64, count: u64, dice: u64 },
    /// Says that some are delivered, whatever became of them before.
    Replay { partition: u32, back: u64, count: u64 },
    /// Says that some are replaced, whether it said before that they are parked, or says so later.
    Replace { partition: u32, back: u64, count: u64 },
    /// The keeper takes in what was written to these logs, whose readers commit perhaps.
    Take { logs: Vec<usize>, commits: bool },
    /// A reader begins again where it committed.
    Crash { log: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0_u32..3;
    let logs = prop::sample::subsequence((0..LOGS).collect::<Vec<_>>(), 1..=LOGS);
    prop_oneof![
        5 => (partition.clone(), 0_u64..40, 1_u64..60, any::<u64>())
            .prop_map(|(partition, back, count, dice)| Step::Settle { partition, back, count, dice }),
        4 => (partition.clone(), 0_u64..60, 1_u64..60)
            .prop_map(|(partition, back, count)| Step::Replay { partition, back, count }),
        3 => (partition, 0_u64..40, 1_u64..60)
            .prop_map(|(partition, back, count)| Step::Replace { partition, back, count }),
        4 => (logs, any::<bool>()).prop_map(|(logs, commits)| Step::Take { logs, commits }),
        1 => (0..LOGS).prop_map(|log| Step::Crash { log }),
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

/// A log of receipts, and its reader.
struct Log {
    receipts: Vec<(Partition, Receipt)>,
    progress: Progress,
    committed: Option<Commit>,
}

struct World {
    logs: Vec<Log>,
    /// Behind the last that was settled, by partition; it starts in the middle of a part.
    settled: BTreeMap<u32, u64>,
    fates: BTreeMap<(u32, u64), Fate>,
    /// Those of them that are replaced as long as they are parked.
    replaced: BTreeSet<(u32, u64)>,
    parts: BTreeMap<PartKey, Bytes>,
}

const FIRST: u64 = OFFSETS_A_PART - 100;

/// How many logs of receipts there are; their numbers are those of partitions that they speak of.
const LOGS: usize = 2;

fn start(log: usize, committed: Option<Commit>) -> Progress {
    Progress::of(Partition::new(u32::try_from(log).unwrap()), committed).unwrap()
}

impl Log {
    /// What the receipts that were not read yet change.
    fn plan(&self) -> Plan {
        let from = usize::try_from(self.progress.position.next().get()).unwrap();
        let new = self.receipts.iter().enumerate().skip(from);
        let entries: Vec<_> = new
            .map(|(offset, (partition, receipt))| Entry {
                offset: Offset::new(offset as u64),
                partition: *partition,
                receipt: receipt.clone(),
            })
            .collect();
        Plan::of(&entries, &self.progress)
    }
}

impl World {
    fn new() -> Self {
        Self {
            logs: (0..LOGS)
                .map(|log| Log { receipts: Vec::new(), progress: start(log, None), committed: None })
                .collect(),
            settled: BTreeMap::new(),
            fates: BTreeMap::new(),
            replaced: BTreeSet::new(),
            parts: BTreeMap::new(),
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
                self.write(partition, Receipt::Replayed { runs });
            }
            Step::Replace { partition, back, count } => {
                let first = self.settled.entry(partition).or_insert(FIRST).saturating_sub(back).max(FIRST);
                let offsets = first..first + count;
                self.replaced.extend(offsets.clone().map(|offset| (partition, offset)));
                let runs = runs(offsets, |_| Fate::Replaced);
                self.write(partition, Receipt::Replayed { runs });
            }
            Step::Take { logs, commits } => {
                self.take(&logs);
                if commits {
                    logs.iter().for_each(|log| self.logs[*log].committed = Some(self.logs[*log].progress.commit()));
                }
            }
            Step::Crash { log } => self.logs[log].progress = start(log, self.logs[log].committed.clone()),
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
        self.write(partition, receipt);
    }

    fn write(&mut self, partition: u32, receipt: Receipt) {
        self.logs[partition as usize % LOGS].receipts.push((Partition::new(partition), receipt));
    }

    fn take(&mut self, logs: &[usize]) {
        let sheet = Sheet::of(logs.iter().map(|log| self.logs[*log].plan()).collect());
        let stored = sheet.keys().iter().map(|key| self.parts.get(key).cloned()).collect();
        let (changes, damaged) = sheet.changes(stored);
        self.parts.extend(changes.into_iter().map(|change| (change.key, change.after)));
        for (log, progress) in logs.iter().zip(sheet.settled(&damaged)) {
            self.logs[*log].progress = progress.unwrap();
        }
    }

    fn check(&self) {
        for event in ["e0", "e1", "e2"].map(|id| id.parse::<EventId>().unwrap()) {
            let mut due = Tally::default();
            for (place @ (_, offset), fate) in &self.fates {
                if event_of(*offset) == event {
                    match fate {
                        Fate::Delivered => due.delivered += 1,
                        Fate::Parked { .. } if self.replaced.contains(place) => due.replaced += 1,
                        Fate::Parked { .. } => due.parked += 1,
                        Fate::Expired => due.expired += 1,
                        Fate::Replaced => panic!("nothing is settled as replaced"),
                    }
                }
            }
            let parts = || {
                let parts = self.parts.iter().filter(|(key, _)| key.event == event);
                parts.map(|(_, stored)| Part::read(&event, Some(stored)).unwrap())
            };
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
        world.take(&(0..LOGS).collect::<Vec<_>>());
        world.check();
    }
}
