//! The floor, measured: `peal floor` in a process of its own, and plain sockets in this one that read what it writes.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use peal_serve::Clock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::sleep;

use super::process::Observed;
use super::tally::Tally;
use super::{BURST, BURSTS, LATENCY_RATE, LATENCY_SPAN, Numbers, SINGLES, each, histogram, per_second};

/// How long memory may take to settle.
const SETTLE: Duration = Duration::from_secs(2);

struct Floor {
    _child: Child,
    orders: ChildStdin,
    port: u16,
    observed: Observed,
}

/// Measures the floor for so many sockets and frames of so many bytes.
pub(super) async fn measure(sockets: u32, frame_bytes: usize) -> io::Result<Numbers> {
    let mut floor = Floor::start(sockets, frame_bytes).await?;
    let (resident, cpu_time) = (floor.observed.resident_bytes()?, floor.observed.cpu_time()?);
    let tally = Arc::new(Tally::default());
    open_sockets(floor.port, sockets, &tally).await?;
    let mut echo = TcpStream::connect(("127.0.0.1", floor.port)).await?;
    echo.set_nodelay(true)?;
    let handshakes = per_second(sockets, floor.observed.cpu_time()? - cpu_time);
    sleep(SETTLE).await;
    let socket_bytes = each(sockets, resident, floor.observed.resident_bytes()?);

    let bytes_a_round = u64::from(sockets) * frame_bytes as u64;
    let singles = floor.rounds(SINGLES, 1, bytes_a_round, 0, &tally).await?;
    let bursts = floor.rounds(BURSTS, BURST, bytes_a_round, u64::from(SINGLES) * bytes_a_round, &tally).await?;
    let latency = round_trips(&mut echo, frame_bytes).await?;
    Ok(Numbers {
        socket_bytes,
        handshakes,
        unacked: per_second(SINGLES * sockets, singles),
        singles: per_second(SINGLES * sockets, singles),
        bursts: per_second(BURSTS * BURST * sockets, bursts),
        latency,
    })
}

impl Floor {
    async fn start(sockets: u32, frame_bytes: usize) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["floor", "--sockets", &sockets.to_string(), "--frame-bytes", &frame_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("the floor ended early");
        let (orders, stdout) = (child.stdin.take().ok_or_else(gone)?, child.stdout.take().ok_or_else(gone)?);
        let line = BufReader::new(stdout).lines().next_line().await?.ok_or_else(gone)?;
        let port = line.parse().map_err(io::Error::other)?;
        let observed = Observed::new(&[child.id().ok_or_else(gone)?]);
        Ok(Self { _child: child, orders, port, observed })
    }

    /// Has the floor write so many frames to every socket, so many times; the CPU time it took.
    async fn rounds(
        &mut self,
        times: u32,
        frames: u32,
        bytes: u64,
        before: u64,
        tally: &Tally,
    ) -> io::Result<Duration> {
        let cpu_time = self.observed.cpu_time()?;
        for round in 1..=u64::from(times) {
            self.orders.write_all(format!("{frames}\n").as_bytes()).await?;
            tally.reaches(before + round * bytes * u64::from(frames)).await?;
        }
        Ok(self.observed.cpu_time()? - cpu_time)
    }
}

/// So many plain sockets, one after the other, that read what is written to them.
pub(super) async fn open_sockets(port: u16, sockets: u32, tally: &Arc<Tally>) -> io::Result<()> {
    for _ in 0..sockets {
        tokio::spawn(read_all(TcpStream::connect(("127.0.0.1", port)).await?, Arc::clone(tally)));
    }
    Ok(())
}

async fn read_all(mut socket: TcpStream, tally: Arc<Tally>) {
    let mut bytes = vec![0; 4096];
    while let Ok(length @ 1..) = socket.read(&mut bytes).await {
        tally.add(length as u64);
    }
}

/// A byte there, a frame back, at the rate of the cluster's posts.
async fn round_trips(echo: &mut TcpStream, frame_bytes: usize) -> io::Result<Histogram<u64>> {
    let (clock, mut latency) = (Clock::system(), histogram()?);
    let mut frame = vec![0; frame_bytes];
    let mut pace = tokio::time::interval(Duration::from_secs(1) / LATENCY_RATE);
    while clock.uptime() < LATENCY_SPAN / 3 {
        pace.tick().await;
        let sent = clock.uptime();
        echo.write_all(b"x").await?;
        echo.read_exact(&mut frame).await?;
        let micros = u64::try_from((clock.uptime() - sent).as_micros()).unwrap_or(u64::MAX);
        latency.saturating_record(micros.max(1));
    }
    Ok(latency)
}
