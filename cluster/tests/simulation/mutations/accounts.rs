//! What is promised of accounts: that nothing but their check finds what is wrong with them alone.

use super::{schedule, violations};
use crate::oracle::Violation;
use crate::tampering::Act;

/// Accounts are wrong, and nothing else is.
#[track_caller]
fn finds_wrong_accounts(act: Act) {
    for passes in [0, 3, 7] {
        let found = violations(act, passes, &schedule(1_000));
        let are_wrong = found.iter().all(|found| matches!(found, Violation::WrongAccount { .. }));
        assert!(are_wrong && !found.is_empty(), "{act:?} after {passes} others: {found:#?}");
    }
}

#[test]
fn a_receipt_that_is_lost_is_of_an_event_that_never_settles() {
    finds_wrong_accounts(Act::LoseReceipts);
}

#[test]
fn a_change_of_an_account_that_is_not_kept_is_missed() {
    finds_wrong_accounts(Act::ForgetParts);
}

#[test]
fn what_is_delivered_later_and_not_written_down_is_parked_for_ever() {
    let found = violations(Act::LoseReplayed, 0, &schedule(1_000));
    let is_wrong =
        |found: &Violation| matches!(found, Violation::WrongAccount { why, .. } if why.contains("delivered"));
    assert!(!found.is_empty() && found.iter().all(is_wrong), "{found:#?}");
}

#[test]
fn receipts_that_stand_twice_in_their_log_are_counted_once() {
    for passes in [0, 3, 7] {
        assert_eq!(violations(Act::RepeatReceipts, passes, &schedule(1_000)), []);
    }
}
