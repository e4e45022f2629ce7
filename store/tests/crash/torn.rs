//! The end of the newest journal torn in every way: cut, never written, flipped, followed by rubbish.

use std::path::{Path, PathBuf};

use peal_proto::Partition;

use tokio::runtime::Runtime;

use crate::{TOPIC, all, open, record, runtime, text};

const RECORDS: usize = 40;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The newest journal, and how far it is written.
fn newest_journal(directory: &Path) -> (PathBuf, Vec<u8>) {
    let files = std::fs::read_dir(directory.join("database")).unwrap().map(|entry| entry.unwrap().path());
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let journals = files.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    let newest = journals.max_by_key(number).unwrap();
    let mut written = std::fs::read(&newest).unwrap();
    written.truncate(written.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    (newest, written)
}

/// Opens a directory whose tail was torn: a clean beginning is left, and the store goes on behind it.
async fn hold_beginning(directory: &Path, written: usize, lost_max: usize) {
    let partition = Partition::new(1);
    for round in 0..2 {
        let stores = open(directory);
        let log = stores.stores().log;
        let records = all(&log, partition).await;
        let kept = records.len() - round;
        assert!(kept + lost_max >= written, "{kept} of {written} are left, {lost_max} may be lost");
        for (number, (offset, record)) in (0..).zip(&records[..kept]) {
            assert_eq!((offset.get(), record), (number, &text(number)));
        }
        log.append(TOPIC, vec![record(partition, format!("after {round}"))]).await.unwrap();
        assert_eq!(all(&log, partition).await.len(), kept + round + 1);
    }
}

/// Forty records, each in a batch of its own, and the journal they are in.
fn written(runtime: &Runtime, directory: &Path) -> (PathBuf, Vec<u8>) {
    runtime.block_on(async {
        let stores = open(directory);
        for number in 0..RECORDS as u64 {
            let log = stores.stores().log;
            log.append(TOPIC, vec![record(Partition::new(1), text(number))]).await.unwrap();
        }
    });
    newest_journal(directory)
}

#[test]
fn a_torn_tail_is_cut_and_everything_before_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let (journal, written) = written(&runtime, directory.path());
    let name = journal.strip_prefix(directory.path()).unwrap();
    let torn = |how: &str, bytes: &[u8], lost: usize| {
        let copied = tempfile::tempdir().unwrap();
        copy(directory.path(), copied.path());
        std::fs::write(copied.path().join(name), bytes).unwrap();
        let lost_max = lost / 500 + 1; // no batch is smaller
        eprintln!("{how}: at most {lost_max} records may be lost");
        runtime.block_on(hold_beginning(copied.path(), RECORDS, lost_max));
    };
    torn("whole", &written, 0);
    for count in [1, 2, 3, 4, 5, 12, 13, 14, 30, 100, 700, 5_000, 20_000] {
        let end = written.len() - count;
        torn(&format!("{count} bytes missing"), &written[..end], count);
        let zeroed = [&written[..end], &vec![0; count + 4_096]].concat();
        torn(&format!("{count} bytes never written"), &zeroed, count);
        let flipped: Vec<_> = written[end..].iter().map(|byte| !byte).collect();
        torn(&format!("{count} bytes flipped"), &[&written[..end], &flipped].concat(), count);
        let mut one = written.clone();
        one[end] ^= 0x10;
        torn(&format!("one bit flipped {count} bytes from the end"), &one, count);
        torn(&format!("{count} bytes of rubbish"), &[&written[..], &vec![0xA5; count]].concat(), 0);
    }
}

#[test]
fn only_damage_that_whole_batches_follow_makes_a_new_generation() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, mut damaged) = written(&runtime(), directory.path());
    let before = open(directory.path()).stores().log.generation();
    let last = damaged.len() - 100;
    damaged[last] ^= 1;
    std::fs::write(&journal, &damaged).unwrap();
    assert_eq!(open(directory.path()).stores().log.generation(), before);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&journal, &damaged).unwrap();
    let after = open(directory.path()).stores().log.generation();
    assert!(after > before);
    assert_eq!(open(directory.path()).stores().log.generation(), after);
}
