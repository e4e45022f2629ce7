//! When each socket is pinged: a ring of slots, one of them due at each step, so that pings are spread evenly and there is
//! no timer a socket.

use std::time::Duration;

use super::SessionId;

/// Steps of one turn of the wheel.
const SLOTS: u32 = 25;

/// The sessions by the moment of their heartbeat.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<SessionId>>,
    /// How many steps were taken.
    steps: usize,
    step: Duration,
    next: Duration,
    sessions: usize,
}

impl Wheel {
    /// A wheel that turns once in `heartbeat`.
    pub(super) fn new(heartbeat: Duration) -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { slots, steps: 0, step: heartbeat / SLOTS, next: Duration::ZERO, sessions: 0 }
    }

    /// Adds a session, to be pinged first when about one heartbeat has passed.
    pub(super) fn insert(&mut self, session: SessionId, now: Duration) {
        if self.sessions == 0 {
            self.next = now + self.step;
        }
        // The slot before the one that is due next comes round last.
        let slot = (self.steps + SLOTS as usize - 1) % SLOTS as usize;
        self.slots[slot].push(session);
        self.sessions += 1;
    }

    /// Takes all steps that are due; gives each session whose turn it is to `visit`, which says whether it still exists.
    pub(super) fn turn(&mut self, now: Duration, mut visit: impl FnMut(SessionId) -> bool) {
        while self.sessions > 0 && self.next <= now {
            let slot = self.steps % SLOTS as usize;
            let before = self.slots[slot].len();
            self.slots[slot].retain(|session| visit(*session));
            self.sessions -= before - self.slots[slot].len();
            self.steps += 1;
            // After a long stall the wheel does not spin to catch up: everyone was just pinged or is about to be.
            self.next = (self.next + self.step).max(now.saturating_sub(self.step));
        }
    }

    /// When the next step is due; `None` without sessions.
    pub(super) fn due(&self) -> Option<Duration> {
        (self.sessions > 0).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_is_pinged_once_a_heartbeat_until_it_is_gone() {
        let heartbeat = Duration::from_secs(25);
        let mut wheel = Wheel::new(heartbeat);
        let mut pings = vec![0; 100];
        for second in 0..1_000_u64 {
            let now = Duration::from_secs(second);
            if let Ok(session) = usize::try_from(second)
                && session < pings.len()
            {
                wheel.insert(SessionId::new(second), now);
            }
            wheel.turn(now, |session| {
                let session = usize::try_from(session.get()).unwrap();
                pings[session] += 1;
                session != 7 || pings[session] < 3
            });
        }
        assert_eq!(pings[7], 3);
        pings.remove(7);
        assert!(pings.iter().all(|pings| (35..=41).contains(pings)), "{pings:?}");
    }

    #[test]
    fn an_empty_wheel_wants_no_time() {
        let mut wheel = Wheel::new(Duration::from_secs(25));
        assert_eq!(wheel.due(), None);
        wheel.insert(SessionId::new(1), Duration::from_secs(5));
        assert_eq!(wheel.due(), Some(Duration::from_secs(6)));
        for second in 6..=30 {
            wheel.turn(Duration::from_secs(second), |_| false);
        }
        assert_eq!(wheel.due(), None);
    }
}
