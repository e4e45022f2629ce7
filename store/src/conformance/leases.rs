//! What leases promise: one holder at a time, until the term ends or it gives the lease back.

use std::time::Duration;

use peal_proto::{NodeId, Partition, Timestamp};

use super::{Case, Subject, cases};
use crate::Leases;
use crate::leases::{Holder, Lease, Seat};

pub(super) const CASES: &[Case] = cases![
    one_holds_a_lease_and_may_renew_it,
    a_lease_runs_out,
    only_the_holder_gives_a_lease_back,
    one_has_the_seat_of_an_ordinal_and_may_say_more_of_itself,
    a_seat_runs_out,
];

/// Longer than any test; the clock that counts may be the store's own.
const LONG: Duration = Duration::from_secs(600);

const SHORT: Duration = Duration::from_millis(50);

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn partitions<const N: usize>(numbers: [u32; N]) -> [Partition; N] {
    numbers.map(Partition::new)
}

fn taken(by: &Holder) -> Lease {
    Lease::Taken { by: by.clone() }
}

async fn claim(leases: &dyn Leases, holder: &Holder, wanted: &[Partition]) -> Vec<Lease> {
    leases.claim(holder, wanted, LONG, NOW).await.unwrap()
}

async fn one_holds_a_lease_and_may_renew_it(subject: Subject) {
    let leases = subject.stores().leases;
    let (first, second) = (Holder::new("first"), Holder::new("second"));
    assert_eq!(claim(&*leases, &first, &partitions([0, 1])).await, [Lease::Held, Lease::Held]);
    assert_eq!(claim(&*leases, &second, &partitions([2, 1])).await, [Lease::Held, taken(&first)]);
    assert_eq!(claim(&*leases, &first, &partitions([1, 2])).await, [Lease::Held, taken(&second)]);
}

async fn a_lease_runs_out(subject: Subject) {
    let leases = subject.stores().leases;
    let (first, second) = (Holder::new("first"), Holder::new("second"));
    let wanted = partitions([0]);
    assert_eq!(leases.claim(&first, &wanted, SHORT, NOW).await.unwrap(), [Lease::Held]);
    let later = NOW.after(SHORT * 2);
    let free = async {
        while leases.claim(&second, &wanted, LONG, later).await.unwrap() != [Lease::Held] {
            tokio::time::sleep(SHORT / 5).await;
        }
    };
    tokio::time::timeout(LONG, free).await.unwrap();
    assert_eq!(leases.claim(&first, &wanted, LONG, later).await.unwrap(), [taken(&second)]);
}

async fn only_the_holder_gives_a_lease_back(subject: Subject) {
    let leases = subject.stores().leases;
    let (first, second) = (Holder::new("first"), Holder::new("second"));
    let wanted = partitions([0, 3]);
    claim(&*leases, &first, &wanted).await;
    leases.release(&second, &wanted).await.unwrap();
    assert_eq!(claim(&*leases, &second, &wanted).await, [taken(&first), taken(&first)]);
    assert_eq!(leases.holders(&partitions([3, 1]), NOW).await.unwrap(), [Some(first.clone()), None]);
    leases.release(&first, &wanted[..1]).await.unwrap();
    assert_eq!(claim(&*leases, &second, &wanted).await, [Lease::Held, taken(&first)]);
}

fn seat(node: u32, holder: &Holder) -> Seat {
    Seat::new(NodeId::new(node), format!("ws://node-{node}"), holder.clone())
}

async fn one_has_the_seat_of_an_ordinal_and_may_say_more_of_itself(subject: Subject) {
    let leases = subject.stores().leases;
    let (first, second) = (Holder::new("first"), Holder::new("second"));
    let sit = async |seat: &Seat| leases.sit(seat, LONG, NOW).await.unwrap();
    assert_eq!(leases.seats(NOW).await.unwrap(), []);
    assert_eq!(sit(&seat(10, &second)).await, Lease::Held);
    assert_eq!(sit(&seat(2, &first)).await, Lease::Held);
    assert_eq!(sit(&seat(2, &second)).await, taken(&first));
    let leaving = Seat { leaving_ms: Some(20_000), ..seat(2, &first) };
    assert_eq!(sit(&leaving).await, Lease::Held);
    let wanted = Seat { rival: Some(second.clone()), ..leaving };
    assert_eq!(leases.seats(NOW).await.unwrap(), [wanted, seat(10, &second)]);
    leases.rise(&second, NodeId::new(2)).await.unwrap();
    assert_eq!(sit(&seat(2, &second)).await, taken(&first));
    leases.rise(&first, NodeId::new(2)).await.unwrap();
    assert_eq!(leases.seats(NOW).await.unwrap(), [seat(10, &second)]);
    let late = Seat { clock_ahead_seconds: -3_600, ..seat(2, &second) };
    assert_eq!(sit(&late).await, Lease::Held);
    assert_eq!(leases.seats(NOW).await.unwrap(), [late, seat(10, &second)], "nobody else wants it any more");
}

async fn a_seat_runs_out(subject: Subject) {
    let leases = subject.stores().leases;
    let (first, second) = (Holder::new("first"), Holder::new("second"));
    assert_eq!(leases.sit(&seat(0, &first), SHORT, NOW).await.unwrap(), Lease::Held);
    let later = NOW.after(SHORT * 2);
    let gone = async {
        while !leases.seats(later).await.unwrap().is_empty() {
            tokio::time::sleep(SHORT / 5).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap();
    assert_eq!(leases.sit(&seat(0, &second), LONG, later).await.unwrap(), Lease::Held);
    assert_eq!(leases.sit(&seat(0, &first), LONG, later).await.unwrap(), taken(&second));
}
