//! Who is told: the members of one community, read once, sorted, nobody twice.
//!
//! A million members are 8 MiB, whatever their ids and whatever order and repeats a store gives them in. A bitmap holds ids
//! that lie close together in less, and ids that are hashes in twenty times more. Where members are kept is the store's
//! business.

use std::vec;

use peal_proto::UserId;

/// The members as they come in.
#[derive(Debug, Default)]
pub(crate) struct Roll(Vec<UserId>);

impl Roll {
    pub(crate) fn add(&mut self, users: &[UserId]) {
        self.0.extend_from_slice(users);
    }

    pub(crate) fn leave_out(&mut self, user: UserId) {
        self.0.retain(|member| *member != user);
    }

    /// Leaves out everybody who was told already.
    pub(crate) fn leave_out_up_to(&mut self, last: UserId) {
        self.0.retain(|member| *member > last);
    }

    /// Everybody, ascending.
    pub(crate) fn call(self) -> Call {
        let Self(mut members) = self;
        members.sort_unstable();
        members.dedup();
        members.shrink_to_fit();
        Call(members.into_iter())
    }
}

/// The members as they are told, ascending.
pub(crate) struct Call(vec::IntoIter<UserId>);

impl Call {
    /// How many are not told yet.
    pub(crate) fn left(&self) -> u64 {
        self.0.len() as u64
    }
}

impl Iterator for Call {
    type Item = UserId;

    fn next(&mut self) -> Option<UserId> {
        self.0.next()
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
