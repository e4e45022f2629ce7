//! A cluster in a process of its own, for the bench and for tests that kill it: started, waited for, stopped, killed.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::api::{Api, BaseUrl};

/// How long a cluster may take until it says that it is up: it may have a large journal to read.
const UP_TIMEOUT: Duration = Duration::from_secs(30);

/// Ports below the range from which the system takes its own (32768 and up on Linux), so that no client's port is hit.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// How often a row of free ports is looked for before it counts as hopeless.
const PORT_TRIES: u32 = 100;

/// How a cluster is started; the same again after a kill.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The `peal` to run.
    pub program: PathBuf,
    /// Its first port.
    pub port: u16,
    /// How many nodes.
    pub nodes: u16,
    /// Where everything is kept.
    pub data: PathBuf,
    /// How many partitions a new directory gets, if not as many as usual.
    pub partitions: Option<u32>,
}

/// A cluster in a child process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Kept open: who can't announce that it is up stops.
    _stdout: BufReader<ChildStdout>,
}

impl Recipe {
    /// A recipe on free ports and this directory.
    ///
    /// # Errors
    /// When so many free ports in a row can't be found.
    pub fn new(program: &Path, nodes: u16, data: &Path) -> io::Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            port: free_ports(nodes + 1)?,
            nodes,
            data: data.to_owned(),
            partitions: None,
        })
    }

    /// Where the publisher is.
    #[must_use]
    pub fn url(&self) -> BaseUrl {
        BaseUrl::of_port(self.port)
    }

    /// A handle on the publisher.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.url())
    }

    /// Starts the cluster and waits until it says that it is up.
    ///
    /// # Errors
    /// When it can't be started, or ends or stays silent instead.
    pub async fn start(&self) -> io::Result<Process> {
        let mut child = Command::new(&self.program)
            .arg("up")
            .args(["--nodes", &self.nodes.to_string(), "--port", &self.port.to_string(), "--data"])
            .arg(&self.data)
            .args(self.partitions.map(|partitions| format!("--partitions={partitions}")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        match timeout(UP_TIMEOUT, stdout.read_line(&mut line)).await {
            Ok(Ok(bytes)) if bytes > 0 => Ok(Process { child, _stdout: stdout }),
            Ok(Ok(_)) => Err(io::Error::other("the cluster ended before it was up; its reason is on stderr")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the cluster was not up in time")),
        }
    }
}

impl Process {
    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// As a power cut: nothing is told, nothing is flushed.
    ///
    /// # Errors
    /// When the system can't.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Asks it to stop, and waits until it has; whether it ended well.
    ///
    /// # Errors
    /// When the system can't.
    pub async fn stop(mut self) -> io::Result<bool> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).ok_or(io::ErrorKind::NotFound)?;
        kill_process(pid, Signal::TERM)?;
        Ok(self.child.wait().await?.success())
    }
}

/// The first of so many ports in a row that nobody listens on, and that this process has not given out before.
pub(crate) fn free_ports(count: u16) -> io::Result<u16> {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::rng().random_range(PORTS)));
    for _ in 0..PORT_TRIES {
        let first = NEXT.fetch_add(count, Ordering::Relaxed);
        if first + count > PORTS.end {
            NEXT.store(PORTS.start, Ordering::Relaxed);
            continue;
        }
        let all: io::Result<Vec<_>> =
            (first..first + count).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if all.is_ok() {
            return Ok(first);
        }
    }
    Err(io::Error::other(format!("no {count} free ports in a row from {} to {}", PORTS.start, PORTS.end)))
}
