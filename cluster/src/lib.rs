//! The whole cluster in one process, and what talks to a cluster: the commands people type, the client in Rust, the bench.
//!
//! [`up`] runs a publisher and nodes on the embedded stores. An event is posted through the [`api`] ([`events`],
//! [`mod@batch`], [`members`]) and arrives at a [`client`] ([`listen`]). [`mod@bench`] measures what lies between, with a cluster in a
//! [`child`] process; [`mod@load`] runs plans against a cluster that is there. What a publisher and a node do is their own crates'
//! business.

pub mod config;

pub mod up;

pub mod api;
pub mod batch;
pub mod dead_letters;
pub mod events;
pub mod members;
pub mod reshard;
pub mod status;
#[cfg(feature = "services")]
pub mod topics;

pub mod client;
pub mod listen;

pub mod bench;
pub mod child;
pub mod load;

#[cfg(feature = "services")]
pub mod controller;

pub mod limits;
pub mod output;
