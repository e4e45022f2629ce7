//! What every process of the cluster is to the system: how it is asked to stop, what it may have open and in memory, and that it
//! dies of what it can't repair.

mod memory;
mod open_files;
mod signals;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

pub use self::memory::{MemoryMax, cgroup_max, resident_bytes};
pub use self::open_files::raise as raise_open_files;
pub use self::signals::Signals;

/// A panic is a bug that may leave a partition without its task, and nobody would notice. A crash is noticed, and what was
/// accepted survives it.
pub fn crash_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Runs a server to its end, on a thread a core; what it fails of is told in one line. What is left ends with the process.
pub fn run<E: Display + From<std::io::Error>>(name: &str, server: impl Future<Output = Result<(), E>>) -> ExitCode {
    let unstarted = |error| E::from(std::io::Error::other(format!("the runtime could not be started: {error}")));
    let runtime = tokio::runtime::Runtime::new().map_err(unstarted);
    match runtime.and_then(|runtime| runtime.block_on(server)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            remark(format!("{name}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts of a server until a signal cancels `stop` and they have ended in order, or a second one ends them at once.
pub async fn until_stopped(name: &str, mut signals: Signals, stop: &CancellationToken, parts: impl Future) {
    let asked_twice = async {
        signals.next().await;
        remark(format!("{name} is leaving; once more to stop at once"));
        stop.cancel();
        signals.next().await;
    };
    tokio::select! {
        _ = parts => remark(format!("{name} has left")),
        () = asked_twice => remark(format!("{name} was stopped at once")),
    }
}

/// Says one line to whoever started the process. Who closed stderr does not want to know.
pub fn remark(line: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
