//! Several plans as one change of the store: the parts that they are about, each once.

use std::collections::HashMap;

use bytes::Bytes;
use peal_store::StoreError;
use peal_store::status::{Change, PartKey};

use super::fold::{Plan, Progress};
use super::part::Part;

/// Plans, and the parts that they change.
pub(super) struct Sheet {
    plans: Vec<Plan>,
    keys: Vec<PartKey>,
    /// For each plan, which of the keys each of its steps is about.
    slots: Vec<Vec<usize>>,
}

/// Which of the keys have a part that can't be read.
pub(super) type Damaged = HashMap<usize, StoreError>;

impl Sheet {
    pub(super) fn of(plans: Vec<Plan>) -> Self {
        let (mut keys, mut known) = (Vec::new(), HashMap::new());
        let mut slot = |key: &PartKey| {
            *known.entry(key.clone()).or_insert_with(|| {
                keys.push(key.clone());
                keys.len() - 1
            })
        };
        let slots = plans.iter().map(|plan| plan.keys().map(&mut slot).collect()).collect();
        Self { plans, keys, slots }
    }

    /// Which parts have to be looked at.
    pub(super) fn keys(&self) -> &[PartKey] {
        &self.keys
    }

    /// What becomes of the parts as they are stored. A plan that needs one which can't be read is left out.
    pub(super) fn changes(&self, stored: Vec<Option<Bytes>>) -> (Vec<Change>, Damaged) {
        let (mut parts, mut damaged) = (Vec::with_capacity(stored.len()), Damaged::new());
        for (slot, (key, stored)) in self.keys.iter().zip(&stored).enumerate() {
            parts.push(Part::read(&key.event, stored.as_deref()).unwrap_or_else(|error| {
                damaged.insert(slot, error);
                Part::new()
            }));
        }
        for (plan, slots) in self.plans.iter().zip(&self.slots) {
            if !slots.iter().any(|slot| damaged.contains_key(slot)) {
                plan.apply(slots, &mut parts);
            }
        }
        let mut changes = Vec::new();
        for (slot, (part, before)) in parts.into_iter().zip(stored).enumerate() {
            let after = part.encode();
            if before.as_ref() != Some(&after) && !damaged.contains_key(&slot) {
                changes.push(Change { key: self.keys[slot].clone(), before, after });
            }
        }
        (changes, damaged)
    }

    /// How far the receipts of each plan are read now.
    pub(super) fn settled(self, damaged: &Damaged) -> Vec<Result<Progress, StoreError>> {
        let settled = |(plan, slots): (Plan, Vec<usize>)| match slots.iter().find_map(|slot| damaged.get(slot)) {
            Some(error) => Err(error.clone()),
            None => Ok(plan.after),
        };
        self.plans.into_iter().zip(self.slots).map(settled).collect()
    }

    /// Nothing was changed, or it is not known.
    pub(super) fn failed(self, error: &StoreError) -> Vec<Result<Progress, StoreError>> {
        self.plans.iter().map(|_| Err(error.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::{Fate, Offset, Partition, Position, Receipt, Run};

    use super::super::fold::Entry;
    use super::*;

    /// What a partition of the receipts says of an event that has one notification in each partition.
    fn delivered(event: &str, receipts: u32) -> Plan {
        let run = Run::of(event.parse().unwrap(), Offset::new(0), Fate::Delivered);
        let receipt = Receipt::Settled { from: Position::START, to: Position::at(Offset::new(1)), runs: vec![run] };
        let partition = Partition::new(receipts);
        let before = Progress::of(partition, None).unwrap();
        Plan::of(&[Entry { offset: Offset::new(0), partition, receipt }], &before)
    }

    #[test]
    fn what_all_partitions_say_of_a_small_event_is_one_change() {
        let sheet = Sheet::of((0..12).map(|receipts| delivered("e", receipts)).collect());
        let (changes, damaged) = sheet.changes(vec![None]);
        assert_eq!((changes.len(), damaged.len()), (1, 0));
        let again = Sheet::of(vec![delivered("e", 7)]);
        assert_eq!(again.changes(vec![Some(changes[0].after.clone())]).0, [], "said twice, counted once");
    }

    #[test]
    fn a_part_that_cannot_be_read_is_left_as_it_is_and_is_in_nobody_elses_way() {
        let sheet = Sheet::of(vec![delivered("good", 0), delivered("bad", 1)]);
        let (changes, damaged) = sheet.changes(vec![None, Some(Bytes::from_static(b"?"))]);
        let events: Vec<_> = changes.iter().map(|change| change.key.event.as_str()).collect();
        assert_eq!(events, ["good"]);
        let settled: Vec<_> = sheet.settled(&damaged).into_iter().map(|settled| settled.is_ok()).collect();
        assert_eq!(settled, [true, false]);
    }
}
