//! What the kernel says about a process: resident memory and CPU time (proc(5)). Linux only.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Processes to look at, as one.
#[derive(Debug, Clone)]
pub(crate) struct Observed(Vec<PathBuf>);

impl Observed {
    pub(crate) fn new(ids: &[u32]) -> Self {
        Self(ids.iter().map(|id| PathBuf::from(format!("/proc/{id}"))).collect())
    }

    /// Bytes of memory that are resident (`VmRSS`).
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        self.0.iter().map(|process| resident_bytes(process)).sum()
    }

    /// CPU time of all its threads, in user mode and in the kernel.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        self.0.iter().map(|process| cpu_time(process)).sum()
    }
}

fn resident_bytes(process: &Path) -> io::Result<u64> {
    let status = std::fs::read_to_string(process.join("status"))?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kibibytes: Option<u64> = kibibytes.and_then(|number| number.trim().parse().ok());
    kibibytes.map(|number| number * 1024).ok_or_else(|| io::Error::other("no VmRSS in its status"))
}

fn cpu_time(process: &Path) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(process.join("stat"))?;
    let unreadable = || io::Error::other("its stat can't be read");
    // The second field, the name, may hold blanks; utime and stime are the 14th and 15th.
    let (_, behind_name) = stat.rsplit_once(") ").ok_or_else(unreadable)?;
    let times = behind_name.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = times.sum::<Result<u64, _>>().map_err(|_| unreadable())?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
}

/// What measurements are of: this machine, and the commit of the working directory.
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) commit: String,
}

impl Machine {
    pub(super) fn this() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let git = std::process::Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]).output();
        let commit = git.ok().filter(|output| output.status.success());
        let unknown = || "unknown".to_owned();
        Self {
            cpu: model.map_or_else(unknown, |(_, model)| model.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_else(|_| unknown())
                .trim()
                .to_owned(),
            commit: commit.map_or_else(unknown, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_spends_time() {
        let observed = Observed::new(&[std::process::id()]);
        assert!(observed.resident_bytes().unwrap() > 100_000);
        assert!(observed.cpu_time().unwrap() < Duration::from_secs(3_600));
        assert!(Observed::new(&[0]).cpu_time().is_err());
    }
}
