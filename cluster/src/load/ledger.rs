//! What was accepted and what was heard, and whether the two agree: everything once, to everybody it is for, in order. It knows
//! no socket and no clock; `artillery/src/ledger.js` is the same for Artillery.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::fault::Faults;

/// A number for an event id.
type Number = u32;

/// An event that was accepted, or is known as one that may have been.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    pub(super) audience: Audience,
    /// Who becomes a member by it.
    pub(super) joiner: Option<u64>,
    /// When it was posted and when it was answered, on one clock.
    pub(super) began: Duration,
    pub(super) answered: Duration,
}

/// Whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Audience {
    Community(u64),
    User(u64),
}

/// All that is known of an event.
#[derive(Debug)]
enum Event {
    /// Only that somebody heard of it.
    Heard,
    /// Nobody knows whether it was accepted: who hears of it is no stranger.
    Unknown,
    Accepted(Posted),
}

#[derive(Debug)]
struct Membership {
    since: Duration,
    until: Option<Duration>,
}

/// What a user heard and is owed.
#[derive(Debug, Default)]
struct Ear {
    owed: HashSet<Number>,
    heard: HashSet<Number>,
    /// The same as it came.
    order: Vec<Number>,
    told: Arc<Notify>,
}

/// What was accepted and heard.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    numbers: HashMap<Box<str>, Number>,
    /// By number.
    events: Vec<(Box<str>, Event)>,
    members: BTreeMap<u64, BTreeMap<u64, Membership>>,
    ears: BTreeMap<u64, Ear>,
    accepted: u64,
    heard: u64,
    owed: u64,
    twice: Faults,
    gaps: Faults,
}

impl Ledger {
    /// How many events were accepted.
    pub(super) fn accepted_count(&self) -> u64 {
        self.accepted
    }

    pub(super) fn heard_count(&self) -> u64 {
        self.heard
    }

    /// How many notifications are owed and were not heard.
    pub(super) fn owed_count(&self) -> u64 {
        self.owed
    }

    /// Everybody who is owed something.
    pub(super) fn waiting(&self) -> Vec<u64> {
        self.ears.iter().filter(|(_, ear)| !ear.owed.is_empty()).map(|(user, _)| *user).collect()
    }

    /// A user is a member from then on, unless it was before: what is posted later is for them.
    pub(super) fn joined(&mut self, community: u64, user: u64, now: Duration) {
        let members = self.members.entry(community).or_default();
        if members.get(&user).is_none_or(|membership| membership.until.is_some()) {
            members.insert(user, Membership { since: now, until: None });
        }
    }

    pub(super) fn left(&mut self, community: u64, user: u64, now: Duration) {
        if let Some(membership) = self.members.get_mut(&community).and_then(|members| members.get_mut(&user)) {
            membership.until = Some(now);
        }
    }

    pub(super) fn accepted(&mut self, event: &str, posted: Posted) {
        let number = self.number(event);
        match posted.audience {
            Audience::User(user) => self.owe(user, number),
            Audience::Community(community) => {
                let is_for = |member: &Membership| {
                    posted.began >= member.since && member.until.is_none_or(|until| posted.began < until)
                };
                let members = self.members.get(&community).into_iter().flatten();
                let mut told: Vec<u64> = members.filter(|(_, member)| is_for(member)).map(|(user, _)| *user).collect();
                told.extend(posted.joiner);
                told.into_iter().for_each(|user| self.owe(user, number));
                if let Some(joiner) = posted.joiner {
                    self.joined(community, joiner, posted.answered);
                }
            }
        }
        self.accepted += 1;
        self.set(number, Event::Accepted(posted));
    }

    /// It may have been accepted.
    pub(super) fn unknown(&mut self, event: &str) {
        let number = self.number(event);
        if self.posted(number).is_none() {
            self.set(number, Event::Unknown);
        }
    }

    pub(super) fn hears(&mut self, user: u64, event: &str) {
        let number = self.number(event);
        let ear = self.ears.entry(user).or_default();
        if !ear.heard.insert(number) {
            self.twice.found(|| format!("{event} by {user}"));
            return;
        }
        ear.order.push(number);
        self.heard += 1;
        if ear.owed.remove(&number) {
            self.owed -= 1;
        }
        if ear.owed.is_empty() {
            ear.told.notify_one();
        }
    }

    pub(super) fn gap(&mut self, user: u64, reason: &str) {
        self.gaps.found(|| format!("{reason}, of {user}"));
    }

    /// Who tells that the user may have heard all, while it has not. One waits at a time.
    pub(super) fn told(&mut self, user: u64) -> Option<Arc<Notify>> {
        let ear = self.ears.entry(user).or_default();
        (!ear.owed.is_empty()).then(|| Arc::clone(&ear.told))
    }

    /// What does not agree, a sentence each; none where everything does.
    pub(super) fn faults(&self) -> Vec<String> {
        let (mut lost, mut strangers) = (Faults::default(), Faults::default());
        for (user, ear) in &self.ears {
            let mut owed: Vec<_> = ear.owed.iter().collect();
            owed.sort_unstable();
            owed.iter().for_each(|number| lost.found(|| format!("{} by {user}", self.name(**number))));
            let foreign = ear.order.iter().filter(|number| !self.is_for(*user, **number));
            foreign.for_each(|number| strangers.found(|| format!("{} by {user}", self.name(*number))));
        }
        let kinds = [
            ("lost", lost),
            ("heard twice", self.twice.clone()),
            ("out of order", self.disorder()),
            ("heard by or of strangers", strangers),
            ("gaps", self.gaps.clone()),
        ];
        kinds.iter().filter_map(|(kind, faults)| faults.sentence(kind)).collect()
    }

    /// All members hear a community in one order, that of whoever heard most; and what was answered before another was posted
    /// stands before it.
    fn disorder(&self) -> Faults {
        let mut faults = Faults::default();
        for orders in self.orders().values() {
            let Some((_, longest)) = orders.iter().max_by_key(|(_, order)| order.len()) else { continue };
            let rank: HashMap<Number, usize> =
                longest.iter().enumerate().map(|(rank, number)| (*number, rank)).collect();
            for (user, order) in orders {
                let mut last = 0;
                for number in order {
                    let at = rank.get(number).copied().unwrap_or(last);
                    if at < last {
                        faults.found(|| format!("{} by {user}", self.name(*number)));
                    }
                    last = last.max(at);
                }
            }
            let mut began = Duration::ZERO;
            for (number, posted) in longest.iter().filter_map(|number| Some((number, self.posted(*number)?))) {
                if posted.answered < began {
                    faults.found(|| {
                        format!("{}, which was answered before one ahead of it was posted", self.name(*number))
                    });
                }
                began = began.max(posted.began);
            }
        }
        faults
    }

    /// What each user heard of each community, or for itself.
    fn orders(&self) -> BTreeMap<Audience, Vec<(u64, Vec<Number>)>> {
        let mut orders: BTreeMap<Audience, Vec<(u64, Vec<Number>)>> = BTreeMap::new();
        for (user, ear) in &self.ears {
            let mut mine: BTreeMap<Audience, Vec<Number>> = BTreeMap::new();
            for number in &ear.order {
                if let Some(posted) = self.posted(*number) {
                    mine.entry(posted.audience).or_default().push(*number);
                }
            }
            for (audience, order) in mine {
                orders.entry(audience).or_default().push((*user, order));
            }
        }
        orders
    }

    fn is_for(&self, user: u64, number: Number) -> bool {
        match self.events.get(number as usize) {
            Some((_, Event::Accepted(Posted { audience: Audience::User(theirs), .. }))) => *theirs == user,
            Some((_, Event::Accepted(Posted { audience: Audience::Community(community), .. }))) => {
                self.members.get(community).is_some_and(|members| members.contains_key(&user))
            }
            Some((_, Event::Unknown)) => true,
            Some((_, Event::Heard)) | None => false,
        }
    }

    fn posted(&self, number: Number) -> Option<&Posted> {
        match self.events.get(number as usize) {
            Some((_, Event::Accepted(posted))) => Some(posted),
            Some((_, Event::Unknown | Event::Heard)) | None => None,
        }
    }

    fn name(&self, number: Number) -> &str {
        self.events.get(number as usize).map_or("", |(name, _)| name)
    }

    fn number(&mut self, event: &str) -> Number {
        if let Some(number) = self.numbers.get(event) {
            return *number;
        }
        let number = Number::try_from(self.events.len()).unwrap_or(Number::MAX);
        self.numbers.insert(event.into(), number);
        self.events.push((event.into(), Event::Heard));
        number
    }

    fn set(&mut self, number: Number, event: Event) {
        if let Some((_, known)) = self.events.get_mut(number as usize) {
            *known = event;
        }
    }

    fn owe(&mut self, user: u64, number: Number) {
        let ear = self.ears.entry(user).or_default();
        if !ear.heard.contains(&number) && ear.owed.insert(number) {
            self.owed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMUNITY: u64 = 7;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn posted(joiner: Option<u64>, began: u64, answered: u64) -> Posted {
        Posted { audience: Audience::Community(COMMUNITY), joiner, began: at(began), answered: at(answered) }
    }

    /// Posts a, b and c, one after the other, to users 1 and 2, who hear what stands here.
    fn run(one: &[&str], other: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        [1, 2].into_iter().for_each(|user| ledger.joined(COMMUNITY, user, Duration::ZERO));
        for (event, began) in [("a", 0), ("b", 10), ("c", 20)] {
            ledger.accepted(event, posted(None, began, began + 5));
        }
        one.iter().for_each(|event| ledger.hears(1, event));
        other.iter().for_each(|event| ledger.hears(2, event));
        ledger
    }

    #[test]
    fn everything_once_and_in_order_is_no_fault() {
        let mut ledger = run(&["a", "b", "c"], &["a", "b", "c"]);
        assert_eq!((ledger.faults().len(), ledger.owed_count(), ledger.heard_count()), (0, 0, 6));
        assert!(ledger.waiting().is_empty() && ledger.told(1).is_none());
    }

    #[test]
    fn a_loss_is_named_and_stays_owed() {
        let mut ledger = run(&["a", "b", "c"], &["a", "c"]);
        assert_eq!(ledger.faults(), ["1 lost: b by 2"]);
        assert_eq!((ledger.waiting(), ledger.owed_count()), (vec![2], 1));
        assert!(ledger.told(2).is_some());
    }

    #[test]
    fn a_repeat_a_swap_and_a_strangers_event_are_found() {
        assert_eq!(run(&["a", "b", "b", "c"], &["a", "b", "c"]).faults(), ["1 heard twice: b by 1"]);
        assert_eq!(run(&["a", "b", "c"], &["b", "a", "c"]).faults().len(), 1);
        let both = run(&["b", "a", "c"], &["b", "a", "c"]).faults();
        assert_eq!(both, ["1 out of order: a, which was answered before one ahead of it was posted"]);
        assert_eq!(run(&["a", "b", "c", "d"], &["a", "b", "c"]).faults(), ["1 heard by or of strangers: d by 1"]);
    }

    #[test]
    fn a_gap_is_a_fault_and_what_may_have_been_accepted_is_none() {
        let mut ledger = run(&["a", "b", "c"], &["a", "b", "c"]);
        ledger.unknown("d");
        ledger.hears(1, "d");
        assert!(ledger.faults().is_empty());
        ledger.unknown("a"); // which was accepted before, and is judged as that
        ledger.hears(3, "a");
        assert_eq!(ledger.faults(), ["1 heard by or of strangers: a by 3"]);
        let mut ledger = run(&["a", "b", "c"], &["a", "b", "c"]);
        ledger.gap(1, "quota");
        assert_eq!(ledger.faults(), ["1 gaps: quota, of 1"]);
    }

    #[test]
    fn who_joins_is_told_of_that_and_of_what_is_posted_later_and_who_left_of_nothing_more() {
        let mut ledger = Ledger::default();
        ledger.accepted("a", posted(None, 0, 5));
        ledger.accepted("join", posted(Some(1), 10, 15));
        ledger.accepted("b", posted(None, 12, 18)); // whether before or after the join, nobody knows
        ledger.accepted("c", posted(None, 20, 25));
        ledger.left(COMMUNITY, 1, at(30));
        ledger.accepted("d", posted(None, 40, 45));
        assert_eq!(ledger.owed_count(), 2);
        ["join", "b", "c"].into_iter().for_each(|event| ledger.hears(1, event));
        assert!(ledger.faults().is_empty());
    }
}
