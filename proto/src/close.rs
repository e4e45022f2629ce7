//! Why a node closes a socket: the close codes of `peal.v1` (RFC 6455 §7.4.2: 4000–4999 are ours).

use std::fmt;

/// A close code with its meaning for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The node is leaving; reconnect after a jittered back-off.
    GoingAway,
    /// The user has another owner; the reason is its URL.
    Moved,
    /// The client did not read for `slow_timeout`; what it missed is in its inbox.
    TooSlow,
    /// The user opened more sockets than allowed; the oldest was closed.
    Replaced,
    /// The client said something it must not; the reason says what.
    ProtocolError,
    /// No token, or a bad one.
    Unauthorised,
    /// The token is not for this user.
    Forbidden,
    /// The node could not say hello in time; try again.
    HelloTimeout,
    /// Too many sockets on this node; the reason is the number of seconds to wait.
    TooManyConnections,
}

impl CloseCode {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::GoingAway,
        Self::Moved,
        Self::TooSlow,
        Self::Replaced,
        Self::ProtocolError,
        Self::Unauthorised,
        Self::Forbidden,
        Self::HelloTimeout,
        Self::TooManyConnections,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Moved => 4001,
            Self::TooSlow => 4002,
            Self::Replaced => 4003,
            Self::ProtocolError => 4400,
            Self::Unauthorised => 4401,
            Self::Forbidden => 4403,
            Self::HelloTimeout => 4408,
            Self::TooManyConnections => 4429,
        }
    }

    /// The word for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GoingAway => "going_away",
            Self::Moved => "moved",
            Self::TooSlow => "too_slow",
            Self::Replaced => "replaced",
            Self::ProtocolError => "protocol_error",
            Self::Unauthorised => "unauthorised",
            Self::Forbidden => "forbidden",
            Self::HelloTimeout => "hello_timeout",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    /// What a client does after this code.
    #[must_use]
    pub const fn again(self) -> Again {
        match self {
            Self::GoingAway | Self::TooSlow | Self::HelloTimeout => Again::Jitter,
            Self::Moved => Again::ReasonUrl,
            Self::TooManyConnections => Again::ReasonSeconds,
            Self::Replaced | Self::ProtocolError | Self::Unauthorised | Self::Forbidden => Again::Never,
        }
    }

    /// The code of this number; `None` for one that is not ours, after which a client reconnects with jitter.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }
}

/// Whether and how a client connects again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After a full-jitter back-off.
    Jitter,
    /// At once, at the URL that is the reason.
    ReasonUrl,
    /// After the seconds that are the reason, and jitter.
    ReasonSeconds,
    /// Not without a person changing something.
    Never,
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.name())
    }
}
