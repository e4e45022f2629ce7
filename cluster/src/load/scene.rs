//! Who there is in a run, as the variables of its plan say: users in communities of so many, with ids that no run before had.

use std::time::Duration;

use rand::Rng;

use super::plan::{InvalidPlan, Plan};

/// A second run on the same cluster has other users and communities.
const FIRST_MAX: u64 = 1 << 40;

/// Who there is.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) users: u64,
    /// Of each community; the last may have fewer.
    pub(super) members: u64,
    /// Whether they are members from the beginning.
    pub(super) founded: bool,
    /// Whether all have their sockets open before the first post.
    pub(super) sockets: bool,
    /// How long a wait may take.
    pub(super) patience: Duration,
    /// The lowest id of users and communities.
    first: u64,
}

/// One of the users.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) user: u64,
    pub(super) community: u64,
    /// How many are in that community.
    pub(super) size: u64,
    /// Whether the user is the first of them.
    pub(super) speaks: bool,
}

impl Scene {
    pub(super) fn of(plan: &Plan) -> Result<Self, InvalidPlan> {
        let above_zero = |name: &str| match plan.number(name)? {
            0 => Err(InvalidPlan::Variable { name: name.to_owned(), must: "above 0" }),
            number => Ok(number),
        };
        Ok(Self {
            users: above_zero("users")?,
            members: above_zero("members")?,
            founded: plan.flag("founded")?,
            sockets: plan.flag("sockets")?,
            patience: Duration::from_secs(above_zero("patience")?),
            first: rand::rng().random_range(0..FIRST_MAX),
        })
    }

    /// The first id, which makes those of events unlike those of another run.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn seat(&self, index: u64) -> Seat {
        let index = index % self.users;
        let community = index / self.members;
        Seat {
            user: self.first + index,
            community: self.first + community,
            size: self.members.min(self.users - community * self.members),
            speaks: index.is_multiple_of(self.members),
        }
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = Seat> {
        (0..self.users).map(|index| self.seat(index))
    }
}
