//! What is sent to the publisher, and what it answers.

use peal_proto::{CollapseKey, DeadLetter, EventId, Kind, LetterId, NodeId, Offset, Partition, TimeToLive, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A join to post.
#[derive(Debug, Clone, Serialize)]
pub struct Join<'a> {
    /// Who joins.
    pub user: UserId,
    /// Makes a repeat harmless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a EventId>,
    /// A JSON object that every member gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// Whether the joiner is told as well.
    pub notify_self: bool,
    /// How long it is worth telling, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeToLive>,
    /// What it replaces where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse: Option<&'a CollapseKey>,
}

/// Any other event to post.
#[derive(Debug, Clone, Serialize)]
pub struct Post<'a> {
    /// What happened.
    pub kind: &'a Kind,
    /// Makes a repeat harmless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a EventId>,
    /// A JSON object that every member gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
    /// How long it is worth telling, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<TimeToLive>,
    /// What it replaces where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse: Option<&'a CollapseKey>,
}

/// What became of an item of a batch.
#[derive(Debug, Clone, Deserialize)]
pub struct ItemAnswer {
    /// The number of its line.
    pub item: u64,
    /// What.
    pub result: Outcome,
    /// Why not.
    #[serde(default)]
    pub detail: String,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is durable.
    Accepted,
    /// It was accepted before.
    Duplicate,
    /// It is of no use to send it again.
    Refused,
    /// It may be stored or not.
    Unknown,
}

/// Members to add and to remove, at most [`MEMBERS_PAGE_MAX`](peal_store::members::MEMBERS_PAGE_MAX) in all.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Change {
    /// Who becomes a member.
    pub add: Vec<UserId>,
    /// Who is one no longer.
    pub remove: Vec<UserId>,
}

/// What a change changed.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Changed {
    /// How many became members.
    pub added: u64,
    /// How many were members.
    pub removed: u64,
}

/// Who owns a user.
#[derive(Debug, Clone, Deserialize)]
pub struct Location {
    /// The owner.
    pub node: NodeId,
    /// Where it is, `ws://host:port`.
    pub url: String,
}

/// Some dead letters, and the id to go on from when there may be more.
#[derive(Debug, Clone, Deserialize)]
pub struct Letters {
    /// In the order of their ids.
    pub letters: Vec<ListedLetter>,
    /// Where to go on.
    pub next: Option<LetterId>,
}

/// A dead letter without the value of its record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedLetter {
    /// Its id.
    pub letter: LetterId,
    /// Whether it was replayed, as far as that is known.
    pub replayed: bool,
    /// What is wrong.
    pub reason: String,
    /// Which attempt at its record this was.
    pub attempt: u32,
    /// Where its record stands.
    pub topic: String,
    /// In which partition.
    pub partition: Partition,
    /// And where in that.
    pub offset: Offset,
    /// The key of its record, if that is a number.
    pub key: Option<u64>,
    /// Of the value of its record.
    pub bytes: u64,
}

/// A dead letter with everything that is known of its record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShownLetter {
    /// Its id.
    pub letter: LetterId,
    /// Whether it was replayed, as far as that is known.
    pub replayed: bool,
    /// What it says.
    #[serde(flatten)]
    pub content: DeadLetter,
}

/// Where the record of a dead letter stands again.
#[derive(Debug, Clone, Deserialize)]
pub struct Replayed {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: Partition,
    /// Where in that partition.
    pub offset: Offset,
}

/// What a post is answered with.
#[derive(Deserialize)]
pub(super) struct Accepted {
    pub(super) event: EventId,
}

/// How many members there are, and a page of them if one was asked for.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) count: u64,
    #[serde(default)]
    pub(super) users: Vec<UserId>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// Where the partitions are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shards {
    /// Of the shard map.
    pub epoch: u64,
    /// How many there are.
    pub partitions: u32,
    /// Over how many nodes they are spread, or are being.
    pub nodes: u32,
    /// How many have yet to move.
    pub to_move: usize,
    /// Those that their owners do not read yet.
    pub under_way: Vec<Partition>,
    /// What keeps partitions from moving, and what to do.
    pub waits_for: Vec<String>,
    /// What is wrong with a node, and what to do.
    pub warnings: Vec<String>,
    /// The nodes that the map knows or that are there.
    pub members: Vec<ClusterNode>,
    /// By partition.
    pub owners: Vec<PartitionOwner>,
}

impl Shards {
    /// Whether every partition is where it belongs, and read there.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let known = usize::try_from(self.nodes).unwrap_or(usize::MAX);
        let owning = self.members.iter().filter(|member| member.owns > 0).count();
        self.to_move == 0 && self.under_way.is_empty() && owning == known && self.owners.iter().all(|owner| owner.read)
    }
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its ordinal.
    pub node: NodeId,
    /// Where clients reach it.
    pub url: String,
    /// Whether it has said so of late.
    pub is_there: bool,
    /// It was asked to stop, and gives its partitions to the others.
    pub leaving: bool,
    /// Which run of which process it is.
    pub process: Option<String>,
    /// How many partitions it owns.
    pub owns: usize,
    /// How many of them it reads.
    pub reads: usize,
}

/// A partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartitionOwner {
    /// Which.
    pub partition: Partition,
    /// Whose.
    pub node: NodeId,
    /// Whether its owner reads it.
    pub read: bool,
    /// How far it is behind, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
}
