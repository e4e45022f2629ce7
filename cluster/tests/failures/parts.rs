//! The real parts a row is made of: processes, Kafka, Redis, a network of its own, a clock that jumps.
//!
//! Each ends what it started when it is dropped, also when the row panics.

pub(crate) mod clock;
pub(crate) mod kafka;
pub(crate) mod network;
pub(crate) mod page;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod site;
