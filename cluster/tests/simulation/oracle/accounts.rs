//! What the account of an event must say when all is quiet: a fate for every record that the log has of it, and one that its
//! user's devices bear out. By then every user who has a device has acknowledged everything, so there is little doubt:
//!
//! - what the quota of an inbox took stays parked until its time, since nobody is told which those are;
//! - what may be too old by now may be expired already, or delivered too late for the inbox to tell of which event it was;
//! - of a log that was lost nothing is asked: its accounts went with it.
//!
//! What no node ever gave to an inbox is neither of the first two. An inbox that was wiped or went back is no excuse: the log is
//! read again, and what was acknowledged is delivered. Statuses are wiped in no schedule.

use std::collections::BTreeMap;

use peal_proto::{Cursor, EventId};
use peal_store::status::{Account, State};

use super::delivery::OwnLog;
use super::{Entries, Entry, Evidence, Violation};
use crate::services::Services;

/// What may have become of one record; nothing, as long as its user has not acknowledged what the account should count.
struct Fates {
    delivered: bool,
    parked: bool,
    expired: bool,
}

/// How many notifications must be of a fate, and may be.
#[derive(Debug, Default, Clone, Copy)]
struct Range {
    least: u64,
    most: u64,
}

/// What an account may say.
#[derive(Debug, Default)]
struct Due {
    records: u64,
    delivered: Range,
    parked: Range,
    expired: Range,
}

pub(super) fn check(evidence: &Evidence, entries: &Entries, violations: &mut Vec<Violation>) {
    let (era, Some(log)) = (entries.len() - 1, entries.last()) else { return };
    let mut due = BTreeMap::<&EventId, Due>::new();
    for (user, entries) in log {
        let own = OwnLog { evidence, entries, era, user: *user };
        for entry in entries {
            due.entry(&entry.event).or_default().add(&own.fates(entry));
        }
    }
    let nothing = Due::default();
    for (event, account) in &evidence.accounts {
        let due = due.get(event).unwrap_or(&nothing);
        if let Err(why) = due.check(account.as_ref()) {
            let account = account.clone().map(Box::new);
            violations.push(Violation::WrongAccount { event: event.clone(), why, account });
        }
    }
}

impl Range {
    fn add(&mut self, may: bool, must: bool) {
        self.least += u64::from(must);
        self.most += u64::from(may);
    }

    fn check(self, what: &str, said: u64) -> Result<(), String> {
        let Self { least, most } = self;
        if (least..=most).contains(&said) { Ok(()) } else { Err(format!("{what} {said}, not {least} to {most}")) }
    }
}

impl Due {
    fn add(&mut self, Fates { delivered, parked, expired }: &Fates) {
        self.records += 1;
        self.delivered.add(*delivered, !parked && !expired);
        self.parked.add(*parked, !delivered && !expired);
        self.expired.add(*expired, !delivered && !parked);
    }

    fn check(&self, account: Option<&Account>) -> Result<(), String> {
        let account = account.ok_or("it is unknown")?;
        let Account { status, delivered, parked, expired, failed } = account;
        let exactly = |number| Range { least: number, most: number };
        exactly(self.records).check("members", status.members)?;
        exactly(self.records).check("published", status.published)?;
        if status.state != State::Settled {
            return Err("it is not settled".into());
        }
        exactly(status.published).check("all fates together", delivered + parked + expired + failed)?;
        exactly(0).check("failed", *failed)?;
        self.delivered.check("delivered", *delivered)?;
        self.parked.check("parked", *parked)?;
        self.expired.check("expired", *expired)
    }
}

impl OwnLog<'_> {
    fn fates(&self, entry: &Entry) -> Fates {
        let is_absent = !self.evidence.devices.contains(&self.user);
        let went_in = self.evidence.parked.contains(&(Services::generation(self.era), self.user, entry.offset));
        let is_old = went_in && self.within_ttl(entry, self.evidence.ended).is_none();
        let is_taken = went_in && self.within_quota(entry).is_none();
        Fates { delivered: self.is_acknowledged(entry), parked: is_absent || is_taken || is_old, expired: is_old }
    }

    /// Whether a device said that its user has seen this, or all there is up to behind it.
    fn is_acknowledged(&self, entry: &Entry) -> bool {
        let covers = |cursor: Cursor| self.position(cursor).is_some_and(|position| position.covers(entry.offset));
        self.sockets().any(|(_, socket)| {
            socket.presented.is_some_and(covers) || socket.acks.iter().any(|(_, cursor)| covers(*cursor))
        })
    }
}
