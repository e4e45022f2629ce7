//! The names that several processes must agree on: topics, consumer groups, headers, Redis keys, the subprotocol.

use crate::id::{CommunityId, EventId, Partition, UserId};

/// The topics of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Posted events, keyed by community.
    Events,
    /// One record a member, keyed by user; partition = user % P.
    Notifications,
    /// What became of notifications, keyed by their partition, for the accounts of events.
    Receipts,
    /// What was parked and is pushed if nobody acknowledges it, keyed by user.
    Offline,
    /// What could not be processed, with the reason.
    DeadLetters,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Events, Self::Notifications, Self::Receipts, Self::Offline, Self::DeadLetters];

    /// The name in Kafka.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "peal.events",
            Self::Notifications => "peal.notifications",
            Self::Receipts => "peal.receipts",
            Self::Offline => "peal.offline",
            Self::DeadLetters => "peal.dead-letters",
        }
    }

    /// How many partitions the topic has in a log of P (`of`). Users are many and each has a partition. Events, receipts and
    /// entries of those who are away are read by few publishers, and what is read together is written together: one transaction,
    /// or one step, for all of it. So they have a twentieth, but two where they can, for two publishers.
    #[must_use]
    pub const fn partitions(self, of: u32) -> u32 {
        match self {
            Self::Events | Self::Receipts | Self::Offline => match of {
                0..=2 => of,
                3..=40 => 2,
                _ => of.div_ceil(20),
            },
            Self::Notifications | Self::DeadLetters => of,
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Consumer group of the fan-out workers on [`Topic::Events`].
pub const FANOUT_GROUP: &str = "peal.fanout";
/// Consumer group of the publishers, which share the partitions of [`Topic::Events`]; it commits nothing.
pub const PUBLISHERS_GROUP: &str = "peal.publishers";
/// Consumer group of the accounts on [`Topic::Receipts`]; its members share the partitions.
pub const ACCOUNTS_GROUP: &str = "peal.accounts";
/// Consumer group of the workers that push, on [`Topic::Offline`]; they share the partitions.
pub const PUSH_GROUP: &str = "peal.push";
/// Commits of this group on [`Topic::DeadLetters`] say which letters were replayed; it reads nothing.
pub const REPLAYS_GROUP: &str = "peal.replays";
/// Consumer group of the nodes on [`Topic::Notifications`].
pub const NODES_GROUP: &str = "peal.nodes";

/// Consumer group of the publishers that share the partitions of a table's changes; it commits nothing.
pub const CDC_GROUP: &str = "peal.cdc";

/// Record header: when a notification expires, RFC 3339.
pub const EXPIRES_HEADER: &str = "expires";
/// Record header: W3C trace context.
pub const TRACEPARENT_HEADER: &str = "traceparent";
/// Record header: the record says nothing but that the log is heard.
pub const CANARY_HEADER: &str = "canary";
/// Record header: which attempt at the record this is, where it is a dead letter's that was replayed; of a dead letter, at which
/// attempt it became one.
pub const ATTEMPT_HEADER: &str = "attempt";
/// Record header: the dead letter that the record was replayed from.
pub const REPLAYED_HEADER: &str = "replayed-from";

/// Record headers of a dead letter, as Kafka Connect has them (`errors.deadletterqueue.context.headers.enable`, KIP-298).
pub mod letter_header {
    /// The topic that its record stands in.
    pub const TOPIC: &str = "__connect.errors.topic";
    /// In which partition.
    pub const PARTITION: &str = "__connect.errors.partition";
    /// And where in that.
    pub const OFFSET: &str = "__connect.errors.offset";
    /// What is wrong with it, in a word: the label of the metric.
    pub const KIND: &str = "__connect.errors.exception.class.name";
    /// What is wrong with it, for a person.
    pub const REASON: &str = "__connect.errors.exception.message";
}

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "peal.v1";

/// Since when the members are kept; gone when they may be.
pub const MEMBERS_SINCE_KEY: &str = "peal:members:since";
/// Where the shard map is kept.
pub const SHARDS_KEY: &str = "peal:shards";
/// The seats of the nodes' ordinals: a hash of JSON.
pub const SEATS_KEY: &str = "peal:nodes";
/// Published to when another shard map was stored; what is said there does not matter.
pub const SHARDS_CHANNEL: &str = "peal:shards";

/// Set of a community's user ids. The pattern is configuration; this is its default.
#[must_use]
pub fn members_key(community: CommunityId) -> String {
    format!("community:{community}:members")
}

/// How far the members follow a table, by the name of the topic that tells its changes: a hash of positions by partition.
#[must_use]
pub fn followed_key(topic: &str) -> String {
    format!("peal:members:followed:{topic}")
}

/// Stream of what is parked for a user; with `:keys` behind it, the hash of where the last entry of each collapse key stands. The
/// hash tag keeps a partition in one Redis Cluster slot.
#[must_use]
pub fn inbox_key(partition: Partition, user: UserId) -> String {
    format!("peal:{{p{partition}}}:inbox:{user}")
}

/// The marker of a partition's inbox.
#[must_use]
pub fn marker_key(partition: Partition) -> String {
    format!("peal:{{p{partition}}}:marker")
}

/// What is known of each user in a partition's inbox: a hash of packed summaries.
#[must_use]
pub fn users_key(partition: Partition) -> String {
    format!("peal:{{p{partition}}}:users")
}

/// The users of a partition's inbox by their oldest parked offset.
#[must_use]
pub fn floors_key(partition: Partition) -> String {
    format!("peal:{{p{partition}}}:floors")
}

/// Where a user is pushed to: a hash of subscriptions by their ids.
#[must_use]
pub fn subscriptions_key(user: UserId) -> String {
    format!("peal:subscriptions:{user}")
}

/// The lease of a partition.
#[must_use]
pub fn lease_key(partition: Partition) -> String {
    format!("peal:{{p{partition}}}:lease")
}

/// An event's status and account.
#[must_use]
pub fn event_key(event: &EventId) -> String {
    format!("peal:event:{event}")
}

/// The event of such a key.
#[must_use]
pub fn event_of_key(key: &str) -> Option<EventId> {
    key.strip_prefix("peal:event:")?.parse().ok()
}

/// Published to when an event changes that a process watches: the event's key.
#[must_use]
pub fn events_channel(process: &str) -> String {
    format!("peal:events:{process}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_topics_have_a_partition_for_each_of_the_users() {
        let partitions = [1, 2, 3, 12, 40, 41, 120, 720].map(|of| Topic::Events.partitions(of));
        assert_eq!(partitions, [1, 2, 2, 2, 2, 3, 6, 36]);
        assert_eq!(Topic::Notifications.partitions(120), 120);
    }

    #[test]
    fn keys_are_those_of_the_contract() {
        let user = UserId::new(42).unwrap();
        assert_eq!(members_key(CommunityId::new(7).unwrap()), "community:7:members");
        assert_eq!(inbox_key(Partition::new(3), user), "peal:{p3}:inbox:42");
        assert_eq!(followed_key("shop.public.memberships"), "peal:members:followed:shop.public.memberships");
        assert_eq!(marker_key(Partition::new(3)), "peal:{p3}:marker");
        assert_eq!(users_key(Partition::new(3)), "peal:{p3}:users");
        assert_eq!(floors_key(Partition::new(3)), "peal:{p3}:floors");
        assert_eq!(lease_key(Partition::new(3)), "peal:{p3}:lease");
        assert_eq!(subscriptions_key(user), "peal:subscriptions:42");
        let event = "e1".parse().unwrap();
        assert_eq!(event_key(&event), "peal:event:e1");
        assert_eq!(event_of_key(&event_key(&event)), Some(event));
    }
}
