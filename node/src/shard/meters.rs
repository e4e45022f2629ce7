//! What one partition counts, for `/metrics`.

use metrics::{Counter, Gauge, counter, gauge};
use peal_proto::NodeId;

/// What one partition counts; the handles are kept because looking one up costs seven times as much as counting.
pub(super) struct Meters {
    pub(super) read: Counter,
    pub(super) sent: Counter,
    pub(super) parked: Counter,
    pub(super) absent: Counter,
    pub(super) gaps: Counter,
    pub(super) rewinds: Counter,
    pub(super) sessions: Gauge,
}

impl Meters {
    pub(super) fn new(node: NodeId) -> Self {
        let node = node.to_string();
        let count = |name: &'static str| counter!(name, "node" => node.clone());
        Self {
            read: count("peal_node_records_read_total"),
            sent: count("peal_node_notifications_sent_total"),
            parked: count("peal_node_notifications_parked_total"),
            absent: count("peal_node_offline_entries_total"),
            gaps: count("peal_node_gaps_total"),
            rewinds: count("peal_node_rewinds_total"),
            sessions: gauge!("peal_node_sessions", "node" => node.clone()),
        }
    }
}
