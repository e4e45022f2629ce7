//! The real parts a row is made of: processes, Kafka, Redis, a network of its own, a clock that jumps.
//!
//! Each ends what it started when it is dropped, also when the row panics.

pub(crate) mod clock;
pub(crate) mod kafka;
pub(crate) mod network;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod site;

use std::net::TcpListener;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rand::Rng;

/// Ports below the range from which the system takes its own (32768 and up on Linux), so that no client's port is hit.
const PORTS: std::ops::Range<u16> = 20_000..31_000;

/// How often something that a deadline waits for is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

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

/// Waits until something holds, at most this long.
pub(crate) async fn until(what: &str, at_most: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    assert!(tokio::time::timeout(at_most, held).await.is_ok(), "{what}: not within {} s", at_most.as_secs());
}

/// Runs a command to its end and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
