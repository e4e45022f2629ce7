//! The publisher as a whole, on simulated stores and under paused time: its HTTP interface, its fan-out, and what becomes of
//! both when stores fail and processes die.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it is built of as well")]

mod batch;
mod bench;
mod trap;

mod accounts;
mod admission;
mod crashes;
mod dead_letters;
mod fanout;
mod http;
mod invalid_members;
mod lost_members;
mod outages;
mod subscriptions;
