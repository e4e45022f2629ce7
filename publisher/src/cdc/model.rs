//! Sets that follow a table, held against the table itself: whatever is read again, lost, put back or done by two, they end
//! equal to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peal_proto::{Offset, Partition, Position};
use peal_store::members::{Followed, SetChange, Step, Stepped};
use peal_store::table::RowRecord;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::machine::{Look, Machine};
use crate::config::Columns;

const PARTITIONS: u32 = 3;

/// Community and user.
type Row = (u64, u64);

/// What is done to the table.
#[derive(Debug, Clone)]
enum Change {
    Insert(Row),
    Touch(Row),
    Move(Row, Row),
    Delete(Row),
}

/// What happens to those who follow.
#[derive(Debug, Clone)]
enum Event {
    /// One of two followers reads so many records of a partition.
    Read { follower: usize, partition: u32, records: usize },
    /// The same, and is not told what became of it.
    Unheard { follower: usize, partition: u32, records: usize },
    /// A follower looks where the sets are.
    Look { follower: usize },
    /// A position goes back, and the sets do not.
    Back { partition: u32, by: u64 },
    /// The store remembers what it holds …
    Save,
    /// … and goes back to it.
    Restore,
    /// It holds nothing any more.
    Wipe,
}

fn rows() -> impl Strategy<Value = Row> {
    (1..3_u64, 1..6_u64)
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => rows().prop_map(Change::Insert),
        1 => rows().prop_map(Change::Touch),
        2 => (rows(), rows()).prop_map(|(from, to)| Change::Move(from, to)),
        3 => rows().prop_map(Change::Delete),
    ];
    vec(change, 0..60)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let read = || (0..2_usize, 0..PARTITIONS, 0..12_usize);
    let event = prop_oneof![
        10 => read().prop_map(|(follower, partition, records)| Event::Read { follower, partition, records }),
        3 => read().prop_map(|(follower, partition, records)| Event::Unheard { follower, partition, records }),
        2 => (0..2_usize).prop_map(|follower| Event::Look { follower }),
        2 => (0..PARTITIONS, 0..20_u64).prop_map(|(partition, by)| Event::Back { partition, by }),
        1 => Just(Event::Save),
        1 => Just(Event::Restore),
        1 => Just(Event::Wipe),
    ];
    vec(event, 0..60)
}

fn partition_of((_, user): Row) -> Partition {
    Partition::new(u32::try_from(user % u64::from(PARTITIONS)).unwrap())
}

/// The table, and what Debezium tells of it.
#[derive(Default)]
struct Table {
    rows: BTreeSet<Row>,
    topic: Vec<Vec<RowRecord>>,
}

impl Table {
    fn after(changes: &[Change]) -> Self {
        let mut table = Self { rows: BTreeSet::new(), topic: vec![Vec::new(); PARTITIONS as usize] };
        changes.iter().for_each(|change| table.change(change));
        table
    }

    fn change(&mut self, change: &Change) {
        match *change {
            Change::Insert(row) if self.rows.insert(row) => self.tell(row, Some(("c", None, Some(row)))),
            Change::Touch(row) if self.rows.contains(&row) => self.tell(row, Some(("u", None, Some(row)))),
            Change::Delete(row) => self.delete(row),
            Change::Move(from, to) if self.rows.contains(&from) && !self.rows.contains(&to) => {
                self.delete(from);
                self.change(&Change::Insert(to));
            }
            Change::Insert(_) | Change::Touch(_) | Change::Move(..) => {}
        }
    }

    fn delete(&mut self, row: Row) {
        if self.rows.remove(&row) {
            self.tell(row, Some(("d", Some(row), None)));
            self.tell(row, None);
        }
    }

    fn tell(&mut self, key: Row, event: Option<(&str, Option<Row>, Option<Row>)>) {
        let columns = |(community, user): Row| json!({ "community_id": community, "user_id": user, "role": "x" });
        let bytes = |value: Value| Bytes::from(value.to_string());
        let partition = partition_of(key);
        let records = &mut self.topic[partition.get() as usize];
        let value = event.map(|(op, before, after)| {
            bytes(json!({ "op": op, "before": before.map(columns), "after": after.map(columns) }))
        });
        let offset = Offset::new(records.len() as u64);
        records.push(RowRecord { partition, offset, key: Some(bytes(columns(key))), value });
    }

    /// Kafka keeps the last record of each key, where so much of the topic has been looked through.
    fn compact(&mut self, percent: usize) {
        for records in &mut self.topic {
            let clean = Offset::new((records.len() * percent / 100) as u64);
            let last: BTreeMap<_, _> =
                records.iter().filter(|record| record.offset < clean).map(|r| (r.key.clone(), r.offset)).collect();
            records.retain(|record| record.offset >= clean || last[&record.key] == record.offset);
        }
    }

    fn end(&self, partition: Partition) -> Position {
        self.topic[partition.get() as usize].last().map_or(Position::START, |last| Position::behind(last.offset))
    }

    fn read(&self, partition: Partition, from: Position, records: usize) -> Vec<RowRecord> {
        let all = self.topic[partition.get() as usize].iter();
        all.filter(|record| !from.covers(record.offset)).take(records).cloned().collect()
    }
}

/// Sets, and how far they are.
#[derive(Clone, Default)]
struct Store {
    rows: BTreeSet<Row>,
    followed: BTreeMap<Partition, Followed>,
}

impl Store {
    fn follow(&mut self, step: &Step) -> Stepped {
        let found = self.followed.get(&step.partition).copied();
        let position = found.map(|found| found.position);
        if position != step.from {
            return Stepped::Elsewhere(position);
        }
        for SetChange { community, add, remove } in &step.changes {
            assert!(!add.iter().any(|user| remove.contains(user)), "{step:?}");
            self.rows.extend(add.iter().map(|user| (community.get(), user.get())));
            self.rows.retain(|(of, user)| *of != community.get() || !remove.iter().any(|gone| gone.get() == *user));
        }
        let whole = step.whole || found.is_some_and(|found| found.whole);
        self.followed.insert(step.partition, Followed { position: step.to, whole, age: Duration::ZERO });
        Stepped::Done
    }

    fn found(&self) -> Vec<(Partition, Option<Followed>)> {
        (0..PARTITIONS).map(Partition::new).map(|at| (at, self.followed.get(&at).copied())).collect()
    }

    fn machine(&self) -> Machine {
        Machine::new(Arc::from("t"), Columns::default(), self.found())
    }

    /// The rows of a partition that is said to be whole are those of the table.
    fn is_as_it_says(&self, table: &Table) {
        for (partition, _) in self.followed.iter().filter(|(_, followed)| followed.whole) {
            let of =
                |rows: &BTreeSet<Row>| rows.iter().filter(|row| partition_of(**row) == *partition).copied().collect();
            let (found, due): (Vec<_>, Vec<_>) = (of(&self.rows), of(&table.rows));
            assert_eq!(found, due, "{partition}, {:?}", self.followed);
        }
    }
}

/// Reads some records; whether there were any.
fn read(table: &Table, store: &mut Store, machine: &mut Machine, partition: u32, records: usize, heard: bool) -> bool {
    let partition = Partition::new(partition);
    let from = machine.from().into_iter().find(|(at, _)| *at == partition).unwrap().1;
    let records = table.read(partition, from, records);
    let mut goes_on = heard;
    for (work, _) in machine.handle_records(&records) {
        assert!(work.letters.is_empty(), "{:?}", work.letters);
        let stepped = store.follow(&work.step);
        goes_on &= machine.handle_stepped(&work.step, stepped);
        if !goes_on {
            break;
        }
    }
    if !goes_on {
        *machine = store.machine();
    }
    !records.is_empty()
}

/// Looks where the sets are, and where the topic ends.
fn look(table: &Table, store: &mut Store, machine: &mut Machine) {
    if !machine.is_at(&store.found()) {
        *machine = store.machine();
    }
    for partition in (0..PARTITIONS).map(Partition::new) {
        if machine.handle_end(partition, table.end(partition)) == Look::Whole {
            let step = machine.whole(partition);
            let stepped = store.follow(&step);
            assert!(machine.handle_stepped(&step, stepped));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_sets_end_equal_to_the_table(changes in changes(), events in events(), percent in 0..=100_usize) {
        let mut table = Table::after(&changes);
        table.compact(percent);
        let (mut store, mut saved) = (Store::default(), Store::default());
        let mut machines = [store.machine(), store.machine()];
        for event in &events {
            match *event {
                Event::Read { follower, partition, records } => {
                    read(&table, &mut store, &mut machines[follower], partition, records, true);
                }
                Event::Unheard { follower, partition, records } => {
                    read(&table, &mut store, &mut machines[follower], partition, records, false);
                }
                Event::Look { follower } => look(&table, &mut store, &mut machines[follower]),
                Event::Back { partition, by } => {
                    if let Some(followed) = store.followed.get_mut(&Partition::new(partition)) {
                        let back = followed.position.next().get().saturating_sub(by);
                        (followed.position, followed.whole) = (Position::at(Offset::new(back)), false);
                    }
                }
                Event::Save => saved = store.clone(),
                Event::Restore => store = saved.clone(),
                Event::Wipe => store = Store::default(),
            }
            store.is_as_it_says(&table);
        }
        let [mut machine, _] = machines;
        if !machine.is_at(&store.found()) {
            machine = store.machine();
        }
        for partition in 0..PARTITIONS {
            while read(&table, &mut store, &mut machine, partition, 5, true) {}
        }
        look(&table, &mut store, &mut machine);
        prop_assert!(store.followed.values().all(|followed| followed.whole));
        prop_assert_eq!(store.rows, table.rows);
    }
}
