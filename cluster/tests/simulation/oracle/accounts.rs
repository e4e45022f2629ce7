//! What the account of an event must say when all is quiet: a fate for every record that the log has of it, and one that its
//! user's devices bear out. By then every user who has a device has acknowledged everything, so there is little doubt:
//!
//! - what the quota of an inbox took stays parked until its time, since nobody is told which those are;
//! - what may be too old by now may be expired already, or delivered too late for the inbox to tell of which event it was;
//! - what may be replaced may be so although it was seen, as it was not acknowledged yet when the newer one came;
//! - of a log that was lost nothing is asked: its accounts went with it.
//!
//! What no node ever gave to an inbox is none of these, but that it may be expired where it has a deadline of its own. An inbox that was wiped or went back is no excuse: the log is
//! read again, and what was acknowledged is delivered. Statuses are wiped in no schedule.

use std::collections::BTreeMap;

use peal_proto::{Cursor, EventId};
use peal_store::status::{Account, State};

use super::delivery::OwnLog;
use super::{Entries, Entry, Evidence, Violation};

/// What may have become of one record; nothing, as long as its user has not acknowledged what the account should count.
struct Fates {
    delivered: bool,
    parked: bool,
    expired: bool,
    replaced: bool,
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
    replaced: Range,
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
    fn add(&mut self, Fates { delivered, parked, expired, replaced }: &Fates) {
        let may = [*delivered, *parked, *expired, *replaced];
        let is_certain = may.iter().filter(|may| **may).count() == 1;
        self.records += 1;
        let ranges = [&mut self.delivered, &mut self.parked, &mut self.expired, &mut self.replaced];
        for (range, may) in ranges.into_iter().zip(may) {
            range.add(may, may && is_certain);
        }
    }

    fn check(&self, account: Option<&Account>) -> Result<(), String> {
        let account = account.ok_or("it is unknown")?;
        let Account { status, delivered, parked, expired, replaced } = account;
        let exactly = |number| Range { least: number, most: number };
        exactly(self.records).check("members", status.members)?;
        exactly(self.records).check("published", status.published)?;
        if status.state != State::Settled {
            return Err("it is not settled".into());
        }
        exactly(status.published)
            .check("all fates together", delivered + parked + expired + replaced + status.failed)?;
        exactly(0).check("failed", status.failed)?;
        self.delivered.check("delivered", *delivered)?;
        self.parked.check("parked", *parked)?;
        self.expired.check("expired", *expired)?;
        self.replaced.check("replaced", *replaced)
    }
}

impl OwnLog<'_> {
    fn fates(&self, entry: &Entry) -> Fates {
        let is_absent = !self.evidence.devices.contains(&self.user);
        let (went_in, ended) = (self.went_in(entry), self.evidence.ended);
        let has_deadline = self.evidence.posts[&entry.event].keep.ttl.is_some();
        let is_old = (went_in || has_deadline) && self.within_ttl(entry, ended).is_none();
        let is_over = self.deadline(entry).is_some_and(|deadline| deadline < ended);
        let is_taken = went_in && self.within_quota(entry).is_none();
        let replaced = self.may_be_replaced(entry);
        // Whoever never comes has all that is young and within the quota, but what was replaced for certain.
        let is_replaced = is_absent && replaced && !is_old && !is_taken;
        let parked = (is_absent || is_taken || is_old) && !is_over && !is_replaced;
        Fates { delivered: self.is_acknowledged(entry), parked, expired: is_old, replaced }
    }

    /// Whether a device said that its user has seen this, or all there is up to behind it.
    fn is_acknowledged(&self, entry: &Entry) -> bool {
        let covers = |cursor: Cursor| self.position(cursor).is_some_and(|position| position.covers(entry.offset));
        self.sockets().any(|(_, socket)| {
            socket.presented.is_some_and(covers) || socket.acks.iter().any(|(_, cursor)| covers(*cursor))
        })
    }
}
