//! What a partition does while the node runs out of memory: replays one user at a time, or delivers nothing and parks all.
//!
//! What is shed, and when, is [`crate::shedding`]'s business. A user whose live delivery was shed is as one that was too slow: what
//! came meanwhile is in its inbox, and it is replayed to when there is memory again.

use peal_proto::UserId;

use super::Core;
use super::session::Session;
use crate::limits::SHED_PARK_BYTES;
use crate::shedding::Shed;

impl Core {
    pub(super) fn shed(&mut self, shed: Shed) {
        let before = std::mem::replace(&mut self.shed, shed);
        if shed == Shed::Live && before < Shed::Live {
            self.treat_all_as_away();
        } else if shed < Shed::Live && before == Shed::Live {
            self.pump_all();
        }
    }

    /// What is shed now.
    #[must_use]
    pub fn is_shed(&self) -> Shed {
        self.shed
    }

    /// What is unsettled gives its memory back once it is in the inbox.
    fn treat_all_as_away(&mut self) {
        self.sessions.values_mut().for_each(Session::fall_back);
        let mut users: Vec<UserId> = self.users.keys().copied().collect();
        users.sort_unstable();
        users.into_iter().for_each(|user| self.park_window(user));
    }

    /// Brings every socket as far as it can be brought.
    pub(super) fn pump_all(&mut self) {
        let mut waiting: Vec<_> = self.sessions.keys().copied().collect();
        waiting.sort_unstable();
        waiting.into_iter().for_each(|session| self.pump(session));
    }

    /// Users in one request for pages.
    pub(super) fn pages_max(&self) -> usize {
        match self.shed {
            Shed::Nothing | Shed::Sockets => self.limits.pages_max,
            Shed::Replays => 1,
            Shed::Live => 0,
        }
    }

    /// Bytes in one batch to the inbox, which has copies of them on its way.
    pub(super) fn park_bytes_max(&self) -> usize {
        if self.shed < Shed::Replays { self.limits.park_bytes_max } else { SHED_PARK_BYTES }
    }

    /// Bytes of unsettled records beyond which the partition is not read on: what is only on its way to the inbox takes little.
    pub(super) fn window_bytes_max(&self) -> usize {
        let most = self.limits.window_bytes_max;
        if self.shed == Shed::Live { most.min(SHED_PARK_BYTES) } else { most }
    }
}
