//! A network namespace for clients, joined to this machine by a pair of virtual interfaces: an address that is taken away
//! there leaves the other end of its connections without a word, as a telephone in a tunnel does.
//!
//! Needs root and iproute2.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::real::run;

/// This machine, as the namespace sees it (RFC 2544 sets 198.18.0.0/15 apart for tests).
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// Clients' addresses are of this network: 198.19.0.1 and up.
const CLIENTS: &str = "198.19.0.0/16";

pub(crate) struct Network {
    names: Names,
    /// `ip`, which takes a command a line.
    ip: Mutex<(Child, ChildStdin)>,
}

impl Network {
    pub(crate) fn new() -> Self {
        let name = format!("peal{}", std::process::id());
        let names = Names(name.clone());
        let on = |words: &str| drop(run(Command::new("ip").args(words.split_whitespace())));
        let needs = "dead links need root and the `ip` of iproute2 (Debian: apt-get install iproute2)";
        let allowed = Command::new("ip").args(["netns", "add", &name]).status();
        assert!(allowed.is_ok_and(|status| status.success()), "{needs}");
        on(&format!("link add {name} type veth peer name eth0 netns {name}"));
        on(&format!("addr add {HOST}/30 dev {name}"));
        on(&format!("link set {name} up"));
        on(&format!("-n {name} addr add {GATEWAY}/30 dev eth0"));
        on(&format!("-n {name} link set eth0 up"));
        on(&format!("-n {name} link set lo up"));
        on(&format!("-n {name} route add default via {HOST}"));
        on(&format!("route add {CLIENTS} via {GATEWAY}"));
        let mut batch = Command::new("ip");
        batch.args(["-n", &name, "-force", "-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = batch.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { names, ip: Mutex::new((child, stdin)) }
    }

    /// Moves this thread, and what it opens from now on, into the namespace.
    pub(crate) fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.names.0)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Gives the namespace an address; it is there a moment later.
    pub(crate) fn add(&self, address: Ipv4Addr) {
        self.tell(&format!("addr add {address}/32 dev lo"));
    }

    /// Takes it away: nothing that is sent to it arrives any more, nor is refused.
    pub(crate) fn take_away(&self, address: Ipv4Addr) {
        self.tell(&format!("addr del {address}/32 dev lo"));
    }

    fn tell(&self, line: &str) {
        let (_, stdin) = &mut *self.ip.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stdin, "{line}").unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let (ip, _) = &mut *self.ip.lock().unwrap_or_else(PoisonError::into_inner);
        drop(ip.kill());
        drop(ip.wait());
    }
}

/// What both ends are called; taken back when dropped.
struct Names(String);

impl Drop for Names {
    fn drop(&mut self) {
        let name = &self.0;
        for words in [format!("link del {name}"), format!("netns del {name}")] {
            drop(Command::new("ip").args(words.split_whitespace()).stderr(Stdio::null()).status());
        }
    }
}
