//! `kill -9` at any moment: records, slices with their commit, parked entries with their marker, members.

use std::io::{BufRead, BufReader};

use peal_proto::{CommunityId, Offset, Partition, Position, Timestamp, Topic, UserId};
use peal_store::Stores;
use peal_store::inbox::{Entry, Marker, PageRequest, Parked};
use peal_store::log::{Commit, Source};

use crate::{PARTITIONS, TOPIC, all, child, child_directory, open, record, runtime, say, text};

const SOURCE: Source = Source { group: "slices", topic: Topic::Events, partition: Partition::new(0) };
/// The partition that slices go to; appends go to the others.
const SLICES: Partition = Partition::new(0);
const NOW: Timestamp = Timestamp::from_millis(1_795_341_600_000);

/// Appends, writes slices, parks and adds members from many tasks, and says what was answered, until it is killed.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(directory) = child_directory("kill::child_that_writes_until_it_is_killed") else { return };
    runtime().block_on(async {
        let stores = open(&directory);
        let handles = stores.stores();
        let first = handles.log.end(TOPIC, SLICES).await.unwrap().next().get() * 1_000;
        let mut tasks: Vec<_> = (0..12).map(|task| tokio::spawn(append(handles.clone(), first + task))).collect();
        tasks.push(tokio::spawn(write_slices(handles.clone())));
        tasks.push(tokio::spawn(park(handles.clone())));
        tasks.push(tokio::spawn(add_members(handles)));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn append(stores: Stores, first: u64) {
    for number in (first..).step_by(100) {
        let partition = Partition::new(1 + u32::try_from(number % 3).unwrap());
        let offsets = stores.log.append(TOPIC, vec![record(partition, text(number))]).await.unwrap();
        say(&format!("record {partition} {} {number}", offsets[0]));
    }
}

async fn write_slices(stores: Stores) {
    let mut writer = stores.log.writer("slices").await.unwrap();
    let done = stores.log.committed(SOURCE).await.unwrap().map_or(0, |commit| commit.position.next().get());
    for slice in done.. {
        let records = (0..3).map(|part| record(SLICES, text(slice * 3 + part))).collect();
        let commit = Commit { position: Position::behind(Offset::new(slice)), metadata: slice.to_string() };
        writer.write(vec![(TOPIC, records)], SOURCE, commit).await.unwrap();
        say(&format!("slice {slice}"));
    }
}

async fn park(stores: Stores) {
    let mut marker = stores.inbox.marker(Partition::new(1)).await.unwrap();
    loop {
        let next = marker.map_or(Marker::new(1), Marker::next);
        let (user, offset) = (UserId::new(next.get() % 50).unwrap(), Offset::new(next.get()));
        let entry = Entry { user, offset, expires: None, collapse: None, value: text(next.get()).into() };
        let parked = stores.inbox.park(Partition::new(1), marker, next, vec![entry], NOW).await.unwrap();
        assert!(matches!(parked, Parked::Done { .. }), "{parked:?}");
        say(&format!("parked {next}", next = next.get()));
        marker = Some(next);
    }
}

async fn add_members(stores: Stores) {
    let community = CommunityId::new(1).unwrap();
    for user in stores.members.count(community).await.unwrap().. {
        stores.members.add(community, vec![UserId::new(user).unwrap()]).await.unwrap();
        say(&format!("member {user}"));
    }
}

/// What a child said was answered.
#[derive(Default)]
struct Answered {
    records: Vec<(Partition, Offset, u64)>,
    slices: u64,
    parked: u64,
    members: u64,
}

impl Answered {
    fn hear(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let mut number = || words.next()?.parse::<u64>().ok();
        match what {
            "record" => {
                let partition = Partition::new(u32::try_from(number()?).ok()?);
                self.records.push((partition, Offset::new(number()?), number()?));
            }
            "slice" => self.slices = number()? + 1,
            "parked" => self.parked = number()?,
            "member" => self.members = number()? + 1,
            _ => return None, // what the test harness says
        }
        Some(())
    }

    async fn hold(&self, stores: &Stores) {
        for partition in (0..PARTITIONS).map(Partition::new) {
            let records = all(&stores.log, partition).await;
            for ((offset, record), expected) in records.iter().zip(0..) {
                assert_eq!(offset.get(), expected, "a hole");
                let number = record.split(':').next().unwrap().parse().unwrap();
                assert_eq!(*record, text(number), "a record that is not whole");
            }
            for (_, offset, number) in self.records.iter().filter(|(of, ..)| *of == partition) {
                let found = records.get(usize::try_from(offset.get()).unwrap());
                assert_eq!(found, Some(&(*offset, text(*number))), "{partition}/{offset} was answered");
            }
        }
        let slices = stores.log.committed(SOURCE).await.unwrap().map_or(0, |commit| commit.position.next().get());
        assert!(slices >= self.slices, "{} slices were answered, {slices} are there", self.slices);
        let records = all(&stores.log, SLICES).await.len() as u64;
        assert_eq!(records, 3 * slices, "slices and their commit are not written together");
        self.hold_inbox(stores).await;
        let members = stores.members.count(CommunityId::new(1).unwrap()).await.unwrap();
        assert!(members >= self.members, "{} members were answered, {members} are there", self.members);
    }

    async fn hold_inbox(&self, stores: &Stores) {
        let partition = Partition::new(1);
        let marker = stores.inbox.marker(partition).await.unwrap().map_or(0, Marker::get);
        assert!(marker >= self.parked, "{} batches were parked, the marker is {marker}", self.parked);
        let request = |user| PageRequest {
            user: UserId::new(user).unwrap(),
            from: Position::START,
            entries_max: 10_000,
            bytes_max: 1 << 30,
        };
        let pages = stores.inbox.pages(partition, (0..50).map(request).collect(), NOW).await.unwrap();
        let entries: usize = pages.iter().map(|page| page.items.len()).sum();
        assert_eq!(entries as u64, marker, "entries and the marker are not written together");
    }
}

#[test]
fn what_was_answered_outlives_kill_9_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let mut answered = Answered::default();
    let mut dice = u64::from(std::process::id());
    for round in 0..12 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lines_max = 50 + dice / 7 % 600;
        let mut child = child(&[], "kill::child_that_writes_until_it_is_killed", directory.path());
        let mut said = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let mut hear = |answered: &mut Answered| {
            let line = said.next()?.unwrap();
            Some(answered.hear(&String::from_utf8_lossy(&line)).is_some())
        };
        let mut heard = 0;
        while heard < lines_max {
            heard += u64::from(hear(&mut answered).expect("the child ended by itself"));
        }
        child.kill().unwrap();
        while hear(&mut answered).is_some() {} // what was said before it died
        assert!(!child.wait().unwrap().success());
        let stores = open(directory.path());
        runtime().block_on(answered.hold(&stores.stores()));
        eprintln!("round {round}: killed after {lines_max} answers, {} records in all", answered.records.len());
    }
}
