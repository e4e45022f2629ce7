//! What crosses a boundary of the cluster, and nothing that does IO.
//!
//! The modules stand in the order of the data: who is meant ([`id`]), when ([`time`]), for how long ([`ttl`]), instead of
//! what ([`collapse`]), what was posted ([`event`]), what a member gets of it ([`notification`]), who delivers it ([`shard`]), how
//! far a client has seen ([`cursor`]), what became of it ([`settled`], [`receipt`]), what is pushed to those who are away ([`offline`]) and to where ([`subscription`]), what stands on the
//! socket ([`frame`], [`close`]), what an error looks like ([`problem`]), and the names ([`name`]) and limits ([`limits`]) that
//! all sides share. What other programs are told of it is made from the types ([`schema`]). Golden vectors in
//! `proto/tests/vectors/` hold Rust and TypeScript to the same bytes.

pub mod id;
pub mod time;
pub mod ttl;

pub mod collapse;
pub mod dead_letter;
pub mod event;
pub mod notification;

pub mod shard;

pub mod cursor;

pub mod settled;

pub mod offline;
pub mod receipt;
pub mod subscription;

pub mod close;
pub mod frame;

pub mod problem;

pub mod limits;
pub mod name;

pub mod schema;

pub use close::CloseCode;
pub use collapse::CollapseKey;
pub use cursor::{Cursor, Position};
pub use dead_letter::{DeadLetter, LetterId, LetterTopic};
pub use event::{Audience, Event, Kind};
pub use id::{CommunityId, EventId, Generation, NodeId, Offset, Partition, UserId};
pub use name::Topic;
pub use notification::{Notification, Template};
pub use offline::Offline;
pub use problem::{Problem, ProblemKind};
pub use receipt::{Fate, Receipt, Run};
pub use settled::{Marker, Settled};
pub use shard::ShardMap;
pub use subscription::{Subscription, SubscriptionId, SubscriptionKeys};
pub use time::Timestamp;
pub use ttl::TimeToLive;
