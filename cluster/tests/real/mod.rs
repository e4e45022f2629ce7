//! What tests with real processes and services need to start them and to wait for them. A directory with a `mod.rs`, as a file
//! beside it would be a test of its own.

use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::time::{sleep, timeout};

pub(crate) const PEAL: &str = env!("CARGO_BIN_EXE_peal");

/// Ports below the range from which the system takes its own (32768 and up on Linux), so that no client's port is hit.
const PORTS: Range<u16> = 20_000..31_000;

/// How often something that a deadline waits for is looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The first of so many ports in a row that nobody listens on, and that this process has not given out before.
pub(crate) fn free_ports(count: u16) -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::rng().random_range(PORTS)));
    loop {
        let first = NEXT.fetch_add(count, Ordering::Relaxed);
        if !PORTS.contains(&first) || !PORTS.contains(&(first + count)) {
            NEXT.store(PORTS.start, Ordering::Relaxed);
        } else if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// The binary of a program that is built beside `peal`.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(PEAL).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --package {name} --features bin", path.display());
    path
}

/// Waits until something holds, at most this long.
pub(crate) async fn until(what: &str, at_most: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            sleep(LOOK_INTERVAL).await;
        }
    };
    assert!(timeout(at_most, held).await.is_ok(), "{what}: not within {} s", at_most.as_secs());
}

/// Runs a command to its end and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}: {said}{errors}", output.status);
    said.into_owned()
}
