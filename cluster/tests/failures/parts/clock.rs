//! A wall clock that jumps for chosen processes and nobody else: a shim before libc's `clock_gettime`, compiled here.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::real::run;

const LIBRARY: &str = "clock.so";
const SECONDS: &str = "seconds";

/// Processes that are started with [`JumpingClock::env`] read the time off it.
pub(crate) struct JumpingClock(TempDir);

impl JumpingClock {
    pub(crate) fn new() -> Self {
        let clock = Self(tempfile::tempdir().unwrap());
        clock.jump(0);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/failures/parts/clock.c");
        let library = clock.0.path().join(LIBRARY);
        run(Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(library).arg(source));
        clock
    }

    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let of = |path: &Path| path.display().to_string();
        let path = self.0.path();
        vec![
            ("LD_PRELOAD".to_owned(), of(&path.join(LIBRARY))),
            ("CLOCK_SECONDS_FILE".to_owned(), of(&path.join(SECONDS))),
        ]
    }

    /// The clock shows so many seconds more, or fewer, than the system's, from now on.
    pub(crate) fn jump(&self, seconds: i64) {
        let file = self.0.path().join(SECONDS);
        let next = file.with_extension("next");
        fs::write(&next, format!("{seconds}\n")).unwrap();
        fs::rename(next, file).unwrap(); // whole, or not at all
    }
}
