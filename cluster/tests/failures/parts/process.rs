//! One process: started with a log of its own, killed, frozen, asked to stop, and how much memory it took.
//!
//! It ends with this test, however that ends: it is killed when dropped, and by the kernel when nothing can be dropped any
//! more (PR_SET_PDEATHSIG, through `setpriv` of util-linux).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Lines of its log that are shown when a process failed.
const LAST_LINES: usize = 15;

/// How a process is started; the same again after a kill.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) log: PathBuf,
}

pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Recipe {
    pub(crate) fn start(&self) -> Process {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv, of util-linux, starts {}: {error}", self.name));
        Process { name: self.name.clone(), log: self.log.clone(), child }
    }
}

impl Process {
    fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended:\n{}", self.name, last_lines(&self.log)))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Fails when it has ended by itself.
    pub(crate) fn still_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended with {status}:\n{}", self.name, last_lines(&self.log));
        }
    }

    /// As a power cut: nothing is told, nothing is flushed.
    pub(crate) async fn kill(mut self) {
        self.still_runs();
        self.child.kill().await.unwrap();
    }

    /// Stops it in mid-word.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self, at_most: Duration) {
        self.signal(Signal::TERM);
        let ended = timeout(at_most, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("{} did not stop within {} s", self.name, at_most.as_secs()));
        let status = status.unwrap();
        assert!(status.success(), "{} stopped with {status}:\n{}", self.name, last_lines(&self.log));
    }

    /// The most memory it ever had at once, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }
}

pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
