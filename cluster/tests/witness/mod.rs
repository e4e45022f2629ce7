//! What the tests with real processes share: who is told what ([`scene`]), who posts ([`poster`]), who listens
//! ([`audience`]), what must have been seen ([`oracle`]), what the accounts of events must say ([`accounts`]), and how soon
//! it is seen again after a fault ([`recovery`]).
//!
//! A directory with a `mod.rs`, as a file beside it would be a test of its own.

pub(crate) mod scene;

pub(crate) mod accounts;
pub(crate) mod audience;
pub(crate) mod poster;

pub(crate) mod oracle;
pub(crate) mod recovery;
