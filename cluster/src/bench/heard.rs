//! What all clients of the bench tell: how many sockets are open, how many notifications came, and when.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peal_proto::EventId;
use peal_proto::frame::notification_bytes;
use peal_serve::Clock;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::tally::Tally;
use crate::client::{Client, Happening};

/// Handshakes at a time: enough that the server never waits for a client.
const HANDSHAKES: usize = 64;

/// Bytes of a WebSocket header in front of a frame of 126 to 65,535 bytes (RFC 6455 §5.2).
const HEADER_BYTES: usize = 4;

/// What all clients tell.
pub(super) struct Heard {
    pub(super) clock: Clock,
    pub(super) notifications: Tally,
    pub(super) sockets: Tally,
    pub(super) opening: Semaphore,
    pub(super) frame_bytes: AtomicUsize,
    /// While only writing is measured.
    pub(super) acks_held: Arc<AtomicBool>,
    /// While latency is measured; only then is a notification looked into.
    pub(super) looking: AtomicBool,
    pub(super) arrivals: Mutex<Vec<(EventId, Duration)>>,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            clock: Clock::system(),
            notifications: Tally::default(),
            sockets: Tally::default(),
            opening: Semaphore::new(HANDSHAKES),
            frame_bytes: AtomicUsize::new(0),
            acks_held: Arc::default(),
            looking: AtomicBool::new(false),
            arrivals: Mutex::default(),
        }
    }

    /// One client, until the bench is over.
    pub(super) async fn listen(&self, mut client: Client) {
        let never = CancellationToken::new();
        let mut handler = |happening: Happening<'_>| {
            match happening {
                Happening::Open { .. } => {
                    self.opening.add_permits(1);
                    self.sockets.add(1);
                }
                Happening::Notification { notification, .. } => self.arrived(notification.get()),
                Happening::Gap { .. } | Happening::Keep(_) | Happening::Waiting { .. } => {}
            }
            Ok(())
        };
        let stopped = client.run(&never, &mut handler).await;
        tracing::warn!(%stopped, "a client of the bench has stopped");
    }

    fn arrived(&self, notification: &str) {
        #[derive(Deserialize)]
        struct Notification {
            event: EventId,
        }
        if self.looking.load(Ordering::Relaxed)
            && let Ok(Notification { event }) = serde_json::from_str(notification)
        {
            let arrival = (event, self.clock.uptime());
            self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
        }
        self.frame_bytes.store(HEADER_BYTES + notification_bytes(notification.len()), Ordering::Relaxed);
        self.notifications.add(1);
    }
}
