//! A client that comes once, having seen nothing, and stays until it has seen all that its user is owed.

use std::time::Duration;

use peal_cluster::api::Api;
use peal_cluster::client::{Client, Happening};
use peal_proto::UserId;
use peal_serve::Clock;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::witness::audience::Notification;
use crate::witness::oracle::{Oracle, Socket};

/// Reads at most this long.
pub(crate) async fn reads(api: Api, oracle: &Oracle, user: UserId, at_most: Duration) -> Socket {
    let mut client = Client::new(api, user, None, Clock::system());
    let (mut socket, owed) = (Socket::of(user), oracle.owed(user).len());
    let stop = CancellationToken::new();
    let all_seen = stop.clone();
    let mut handler = |happening: Happening<'_>| {
        match happening {
            Happening::Open { .. } => socket.connections += 1,
            Happening::Notification { cursor, notification, .. } => {
                let Notification { event } = serde_json::from_str(notification.get())?;
                socket.seen.push((cursor, event));
                if socket.seen.len() == owed {
                    all_seen.cancel();
                }
            }
            Happening::Gap { from, to, reason } => socket.gap(from, to, reason),
            Happening::Keep(_) | Happening::Waiting { .. } => {}
        }
        Ok(())
    };
    drop(timeout(at_most, client.run(&stop, &mut handler)).await);
    socket.repeats = client.repeats();
    socket
}
