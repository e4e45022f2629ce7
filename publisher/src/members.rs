//! Who is told: the members of one community, read once, sorted, nobody twice.
//!
//! A compressed bitmap, so that a million members are a few MiB whatever order and repeats a store gives them in. Where
//! members are kept is the store's business.

use peal_proto::UserId;
use roaring::{RoaringTreemap, treemap};

/// The members as they come in.
#[derive(Debug, Default)]
pub(crate) struct Roll(RoaringTreemap);

impl Roll {
    pub(crate) fn add(&mut self, users: &[UserId]) {
        self.0.extend(users.iter().map(|user| user.get()));
    }

    pub(crate) fn leave_out(&mut self, user: UserId) {
        self.0.remove(user.get());
    }

    /// Leaves out everybody who was told already.
    pub(crate) fn leave_out_up_to(&mut self, last: UserId) {
        self.0.remove_range(..=last.get());
    }

    /// Everybody, ascending.
    pub(crate) fn call(self) -> Call {
        Call { left: self.0.len(), users: self.0.into_iter() }
    }
}

/// The members as they are told, ascending.
pub(crate) struct Call {
    users: treemap::IntoIter,
    left: u64,
}

impl Call {
    /// How many are not told yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

impl Iterator for Call {
    type Item = UserId;

    fn next(&mut self) -> Option<UserId> {
        // Only numbers of users were put in.
        let user = self.users.by_ref().find_map(|number| UserId::new(number).ok())?;
        self.left = self.left.saturating_sub(1);
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u64) -> UserId {
        UserId::new(number).unwrap()
    }

    #[test]
    fn members_are_called_in_order_and_once_whatever_order_they_came_in() {
        let mut roll = Roll::default();
        roll.add(&[user(9), user(1 << 52), user(3), user(9)]);
        roll.add(&[user(3), user(7), user(0)]);
        roll.leave_out(user(7));
        let mut call = roll.call();
        assert_eq!(call.left(), 4);
        assert_eq!(call.next(), Some(user(0)));
        assert_eq!(call.left(), 3);
        assert_eq!(call.collect::<Vec<_>>(), [user(3), user(9), user(1 << 52)]);
    }

    #[test]
    fn who_was_told_is_not_called_again() {
        let mut roll = Roll::default();
        roll.add(&[user(1), user(2), user(3)]);
        roll.leave_out_up_to(user(2));
        assert_eq!(roll.call().collect::<Vec<_>>(), [user(3)]);
    }
}
