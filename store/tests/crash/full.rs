//! A disk that takes no more: everything that waits is refused with the reason, what was answered stays, and it goes on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use peal_proto::{Offset, Partition};
use peal_store::Log;

use crate::{TOPIC, all, child, child_directory, open, record, runtime, say, text};

/// The partition that the disk is filled with.
const FULL: Partition = Partition::new(2);

/// Appends from many tasks at once; what was answered by number, and what was refused.
pub(crate) async fn append_many(log: &Arc<dyn Log>, numbers: Range<u64>) -> (BTreeMap<u64, Offset>, Vec<String>) {
    let append = |number| {
        let log = log.clone();
        let record = record(FULL, text(number));
        tokio::spawn(async move { (number, log.append(TOPIC, vec![record]).await) })
    };
    let (mut answered, mut refused) = (BTreeMap::new(), Vec::new());
    for append in numbers.map(append).collect::<Vec<_>>() {
        match append.await.unwrap() {
            (number, Ok(offsets)) => drop(answered.insert(number, offsets[0])),
            (_, Err(error)) => refused.push(error.to_string()),
        }
    }
    (answered, refused)
}

pub(crate) async fn hold_answered(log: &Arc<dyn Log>, answered: &BTreeMap<u64, Offset>) {
    let records: BTreeMap<_, _> = all(log, FULL).await.into_iter().collect();
    for (number, offset) in answered {
        assert_eq!(records.get(offset), Some(&text(*number)), "{offset} was answered");
    }
}

/// Appends until the disk is full, is told so, and goes on when there is room again.
async fn outlive_a_full_disk(directory: &Path, reasons: &[&str], fill: impl Fn(), free: impl Fn()) {
    let stores = open(directory);
    let log = stores.stores().log;
    let (mut answered, refused) = append_many(&log, 0..20).await;
    assert!(refused.is_empty(), "{refused:?}");
    fill();
    let (more, refused) = append_many(&log, 20..16_000).await;
    answered.extend(more);
    let refusal = refused.first().expect("a full disk took everything");
    assert!(refusal.contains(directory.to_str().unwrap()), "{refusal}");
    assert!(reasons.iter().any(|reason| refusal.contains(reason)), "{refusal}");
    hold_answered(&log, &answered).await;
    assert_eq!(all(&log, FULL).await.len(), answered.len(), "readers see what was not answered");
    let (none, _) = append_many(&log, 20_000..20_100).await;
    assert!(none.is_empty(), "acknowledged on a full disk");
    free();
    for number in 30_000.. {
        let (again, _) = append_many(&log, number..number + 1).await;
        answered.extend(&again);
        if !again.is_empty() {
            break;
        }
    }
    hold_answered(&log, &answered).await;
    drop((log, stores));
    hold_answered(&open(directory).stores().log, &answered).await;
    say(&format!("outlived: {} answered, {} refused: {refusal}", answered.len(), refused.len()));
}

/// What a child says, when it has ended well.
fn hear_out(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("outlived"), "{said}");
    said
}

/// Lets no file of this process grow beyond some bytes.
fn limit_files(bytes: &str) {
    let pid = std::process::id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(limited.unwrap().success());
}

#[test]
fn child_whose_files_may_not_grow() {
    let Some(directory) = child_directory("full::child_whose_files_may_not_grow") else { return };
    let (fill, free) = (|| limit_files("200000"), || limit_files("unlimited"));
    runtime().block_on(outlive_a_full_disk(&directory, &["File too large"], fill, free));
}

#[test]
fn a_disk_that_takes_no_more_is_told_and_outlived() {
    let directory = tempfile::tempdir().unwrap();
    // The signal that comes with the limit ends a process that does not ignore it.
    let ignoring = ["sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#];
    eprintln!("{}", hear_out(child(&ignoring, "full::child_whose_files_may_not_grow", directory.path())));
}

#[test]
fn child_on_a_small_disk() {
    let Some(directory) = child_directory("full::child_on_a_small_disk") else { return };
    let ballast = directory.join("ballast");
    let fill = || drop(std::fs::write(&ballast, vec![1; 12 << 20]));
    let free = || std::fs::remove_file(&ballast).unwrap();
    runtime().block_on(outlive_a_full_disk(&directory, &["No space left on device"], fill, free));
}

#[test]
fn a_full_disk_is_told_and_outlived() {
    let directory = tempfile::tempdir().unwrap();
    let mount = format!(r#"mount -t tmpfs -o size=16m none {} && exec "$0" "$@""#, directory.path().display());
    let unshare = ["unshare", "--map-root-user", "--mount"];
    let permitted = Command::new(unshare[0]).args(&unshare[1..]).args(["sh", "-c", &mount, "true"]).status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("not tested: mounting a small disk is not permitted here");
        return;
    }
    let mounted = [&unshare[..], &["sh", "-c", &mount]].concat();
    eprintln!("{}", hear_out(child(&mounted, "full::child_on_a_small_disk", directory.path())));
}
