//! The numbers of a cluster beside those of its floor.

use super::process::Machine;
use super::table::{Table, millis, thousands};
use super::{BURST, BURST_MEMBERS, LATENCY_MEMBERS, LATENCY_RATE, Numbers};

/// Everything that is printed.
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) sockets: u32,
    pub(super) frame_bytes: usize,
    pub(super) cluster: Numbers,
    pub(super) floor: Numbers,
    pub(super) is_on_services: bool,
}

impl Report {
    pub(super) fn table(&self) -> Table<3> {
        Table { heads: ["", "peal", "floor"], rows: self.rows(), notes: self.notes().into() }
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let Self { sockets, cluster, floor, .. } = self;
        let row = |what: String, of: fn(&Numbers) -> f64| [what, thousands(of(cluster)), thousands(of(floor))];
        let sockets = thousands(f64::from(*sockets));
        let quantile = |name: &str, q: f64| {
            [format!("202 to socket, {name}, ms"), millis(&cluster.latency, q), millis(&floor.latency, q)]
        };
        vec![
            row(format!("resident bytes a socket, {sockets} idle"), |numbers| numbers.socket_bytes),
            row("handshakes a CPU-second".to_owned(), |numbers| numbers.handshakes),
            row(format!("deliveries a CPU-second, one event to {sockets}, no acks"), |numbers| numbers.unacked),
            row(format!("deliveries a CPU-second, one event to {sockets}"), |numbers| numbers.singles),
            row(format!("deliveries a CPU-second, {BURST} events each to {BURST_MEMBERS}"), |numbers| numbers.bursts),
            quantile("p50", 0.5),
            quantile("p99", 0.99),
            quantile("p99.9", 0.999),
        ]
    }

    fn notes(&self) -> [String; 2] {
        let Machine { cpu, cores, kernel, commit } = &self.machine;
        let sockets = if self.sockets == 10_000 { String::new() } else { format!(" --sockets {}", self.sockets) };
        let (services, whose, floor) = if self.is_on_services {
            (
                " --services",
                "the node's, user and kernel: reading from Kafka, sockets, acks, commits",
                "for deliveries, in the node's place, librdkafka alone reading the same records and one loop that writes them to \
                 as many plain sockets; for the rest, such a loop alone",
            )
        } else {
            (
                "",
                "the server's, user and kernel, with everything it does: HTTP, log with fsync, fan-out, sockets, acks",
                "one loop that writes the same bytes to as many plain sockets",
            )
        };
        [
            format!(
                "Commit {commit}; {cores} cores of {cpu}, Linux {kernel}; `peal bench{services}{sockets}`, a release build."
            ),
            format!(
                "CPU-seconds are {whose}. Frames of {} bytes. Latency at {LATENCY_RATE} events a second to \
                 {LATENCY_MEMBERS} members while the other sockets idle; the floor's is a round trip over loopback. Floor: \
                 {floor}.",
                self.frame_bytes
            ),
        ]
    }
}
