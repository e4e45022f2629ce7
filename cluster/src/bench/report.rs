//! The numbers as a table: for a terminal, or for `BENCHMARKS.md`.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::process::Machine;
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

struct Row {
    what: String,
    cluster: String,
    floor: String,
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let Self { sockets, cluster, floor, .. } = self;
        let row = |what: String, of: fn(&Numbers) -> f64| Row {
            what,
            cluster: thousands(of(cluster)),
            floor: thousands(of(floor)),
        };
        let sockets = thousands(f64::from(*sockets));
        let quantile = |name: &str, q: f64| Row {
            what: format!("202 to socket, {name}, ms"),
            cluster: millis(&cluster.latency, q),
            floor: millis(&floor.latency, q),
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

    pub(super) fn text(&self) -> String {
        let mut out = format!("{:<52} {:>12} {:>12}\n", "", "peal", "floor");
        for Row { what, cluster, floor } in self.rows() {
            writeln!(out, "{what:<52} {cluster:>12} {floor:>12}").unwrap_or_default(); // a String takes every write
        }
        format!("{out}\n{}", self.notes().join("\n"))
    }

    pub(super) fn markdown(&self) -> String {
        let mut out = "| | peal | floor |\n|---|---:|---:|\n".to_owned();
        for Row { what, cluster, floor } in self.rows() {
            writeln!(out, "| {what} | {cluster} | {floor} |").unwrap_or_default();
        }
        format!("{out}\n{}", self.notes().join(" "))
    }
}

pub(super) fn millis(latency: &Histogram<u64>, quantile: f64) -> String {
    let micros = u32::try_from(latency.value_at_quantile(quantile)).unwrap_or(u32::MAX);
    format!("{:.2}", f64::from(micros) / 1_000.0)
}

/// `12,345`.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0.0, 999.4, 999.6, 1_234_567.0].map(thousands)[..]);
    }
}
