//! A socket node: reads its partitions of the notification log and delivers each record to its user's sockets, or parks
//! it for replay.
//!
//! The modules follow one notification: [`core`] decides, without IO, what happens to it.

pub mod core;
pub mod limits;

pub use crate::core::{Core, Input, Output};
