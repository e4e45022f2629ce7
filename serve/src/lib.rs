//! Everything that publisher and node share as servers, and nothing about notifications.
//!
//! In the order of a request: a connection is taken in ([`accept`]), its body is read ([`body`], or in [`pieces`] where it is a
//! stream), what can't be answered becomes a problem ([`problem`]); which routes there are, and what is said on sockets and in
//! topics, stands in documents ([`openapi`], [`asyncapi`]); and beside the requests the time ([`clock`]), what a process is to the
//! system ([`process`]), what it tells about itself ([`telemetry`]), which nodes there are ([`shard_map`]), and how
//! Kafka and Redis are reached (`services`). Which paths there are, and whether a server is ready, is each server's own business.

pub mod accept;
pub mod body;
pub mod pieces;
pub mod problem;

pub mod asyncapi;
mod locate;
pub mod openapi;
pub mod shard_map;

pub mod clock;
pub mod process;
pub mod telemetry;

#[cfg(feature = "services")]
pub mod services;

pub mod limits;

use std::future::{Ready, ready};

pub use accept::{ConnectionLimits, listen, serve};
pub use body::{Json, Path, Query, from_text, parse_object, require_type};
pub use clock::Clock;
pub use locate::locate;
pub use openapi::{Api, Verb};
pub use pieces::Pieces;
pub use problem::{Failure, with_fallbacks};

/// `GET /healthz`: the process is alive and its runtime runs. Whether it can do its work is `/readyz`.
pub fn healthz() -> Ready<&'static str> {
    ready("alive\n")
}
