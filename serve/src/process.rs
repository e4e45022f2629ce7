//! What every process of the cluster is to the system: how it is asked to stop, what it may have open, and that it dies of
//! what it can't repair.

mod open_files;
mod signals;

use std::fmt::Display;
use std::io::Write;

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

/// Says one line to whoever started the process. Who closed stderr does not want to know.
pub fn remark(line: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
