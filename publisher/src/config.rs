//! What can be set about a publisher. Where the values come from is its caller's business.

use crate::admission::{Proxy, Rate};
use crate::limits;

/// The settings of one publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many events a second are let in.
    pub admission: AdmissionSettings,
    /// Clients, and communities, whose rate is counted each by itself; those beyond share one bucket.
    pub rate_keys_max: usize,
    /// Requests between their head and their answer; beyond it they are asked to come back.
    pub inflight_requests_max: usize,
    /// Bytes of events on their way into the log; beyond it they are asked to come back.
    pub inflight_bytes_max: usize,
    /// How much is told together, and how many events are under way.
    pub fanout: FanoutLimits,
}

/// How many events a second are let in. Each publisher counts for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "Admission"))]
pub struct AdmissionSettings {
    /// Events a second that one client may post, and how many at once [default: any number]
    ///
    /// A client is an IP address, or the first 64 bits of an IPv6 address. Beyond its rate a request is answered with 429; a
    /// batch waits.
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_CLIENT_RATE", value_name = "RATE[:BURST]"))]
    pub client_rate: Option<Rate>,
    /// Events a second that may be posted to one community, and how many at once [default: any number]
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_COMMUNITY_RATE", value_name = "RATE[:BURST]"))]
    pub community_rate: Option<Rate>,
    /// Proxies that are believed about who their clients are, as addresses or networks [default: none]
    ///
    /// They must add to Forwarded or to X-Forwarded-For; a request that has both counts as the proxy's own.
    #[cfg_attr(
        feature = "flags",
        arg(long, env = "PEAL_TRUSTED_PROXIES", value_name = "ADDRESS[/PREFIX],…", value_delimiter = ',')
    )]
    pub trusted_proxies: Vec<Proxy>,
}

/// Where the members are a table of another program: the topic that tells its changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "Members from a table"))]
pub struct CdcSettings {
    /// The topic in which Debezium tells the changes of the table of members [default: none, somebody else keeps the members]
    ///
    /// Its name is used as it is, without --prefix.
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_CDC_TOPIC", value_name = "TOPIC"))]
    pub cdc_topic: Option<String>,
    /// Which columns.
    #[cfg_attr(feature = "flags", command(flatten))]
    pub columns: Columns,
}

/// Which columns of the table say who is in which community.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "flags", derive(clap::Args))]
pub struct Columns {
    /// The column of the table that has the community's id
    #[cfg_attr(
        feature = "flags",
        arg(
            id = "cdc_community_column",
            long = "cdc-community-column",
            env = "PEAL_CDC_COMMUNITY_COLUMN",
            default_value = "community_id",
            value_name = "COLUMN"
        )
    )]
    pub community: String,
    /// The column of the table that has the user's id
    #[cfg_attr(
        feature = "flags",
        arg(
            id = "cdc_user_column",
            long = "cdc-user-column",
            env = "PEAL_CDC_USER_COLUMN",
            default_value = "user_id",
            value_name = "COLUMN"
        )
    )]
    pub user: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { community: "community_id".to_owned(), user: "user_id".to_owned() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            admission: AdmissionSettings::default(),
            rate_keys_max: limits::RATE_KEYS_MAX,
            inflight_requests_max: limits::INFLIGHT_REQUESTS_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            fanout: FanoutLimits::default(),
        }
    }
}

/// When a slice of notifications is full, and how many events are under way; each at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanoutLimits {
    /// Notifications of a slice.
    pub notifications_max: usize,
    /// Bytes of notifications of a slice; the notification that passes it is the last.
    pub bytes_max: usize,
    /// Events that a slice is the last of.
    pub events_max: usize,
    /// Events of many members that are told in turn, on each partition; at most 4, or the checkpoint would not fit.
    pub large_max: usize,
    /// Events that wait for others of their community while those behind them go ahead; at most 28.
    pub held_max: usize,
}

impl Default for FanoutLimits {
    fn default() -> Self {
        Self {
            notifications_max: limits::SLICE_NOTIFICATIONS_MAX,
            bytes_max: limits::SLICE_BYTES_MAX,
            events_max: limits::SLICE_EVENTS_MAX,
            large_max: limits::LARGE_EVENTS_MAX,
            held_max: limits::HELD_EVENTS_MAX,
        }
    }
}

impl FanoutLimits {
    /// At least one of each, and no more events open than a checkpoint holds.
    pub(crate) fn within_a_checkpoint(self) -> Self {
        Self {
            notifications_max: self.notifications_max.max(1),
            bytes_max: self.bytes_max.max(1),
            events_max: self.events_max.max(1),
            large_max: self.large_max.clamp(1, limits::LARGE_EVENTS_MAX),
            held_max: self.held_max.clamp(1, limits::HELD_EVENTS_MAX),
        }
    }

    /// Notifications of one event in its turn: so much of a slice is everybody's when all have one.
    pub(crate) fn turn(&self) -> usize {
        self.notifications_max.div_ceil(self.large_max + 1)
    }
}
