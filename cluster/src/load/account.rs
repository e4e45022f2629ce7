//! The account of an event, from an answer or from its stream, and whether it adds up.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;

use super::user::Outcome;
use crate::api::Api;

/// Bytes of a message of the stream; an account has some 300.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What became of an event.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    state: String,
    members: u64,
    published: u64,
    delivered: u64,
    parked: u64,
    expired: u64,
    replaced: u64,
    failed: u64,
}

impl Account {
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("an answer is no account: {error}"))
    }

    /// Follows the stream of an event until it is settled.
    pub(super) async fn settled(api: &Api, event: &str, patience: Duration) -> Result<Self, String> {
        let late = |_| format!("an event was not settled after {} s", patience.as_secs());
        timeout(patience, Self::follow(api, event)).await.map_err(late)?
    }

    async fn follow(api: &Api, event: &str) -> Result<Self, String> {
        let (status, mut body) = api.stream(&format!("/v1/events/{event}/stream")).await.map_err(|e| e.to_string())?;
        if status != StatusCode::OK {
            return Err(format!("the stream of an event was answered {status}"));
        }
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("the stream of an event broke: {error}"))?;
            text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = text.drain(..end + 2).collect();
                if let Some(account) = data(&message).map(Self::read).transpose()?
                    && matches!(account.state.as_str(), "settled" | "failed")
                {
                    return Ok(account);
                }
            }
            if text.len() > MESSAGE_BYTES_MAX {
                return Err("a message of the stream of an event has no end".to_owned());
            }
        }
        Err("the stream of an event ended before it was settled".to_owned())
    }

    /// Whether it is settled, and everybody is accounted for.
    pub(super) fn adds_up(&self, size: u64) -> Outcome {
        let sum = self.delivered + self.parked + self.expired + self.replaced + self.failed;
        if self.state == "settled" && [self.members, self.published, sum] == [size; 3] {
            return Ok(());
        }
        Err(format!("the account of an event to {size} does not add up: {self:?}"))
    }
}

/// Of a message, which is told in one line; a comment has none.
fn data(message: &[u8]) -> Option<&[u8]> {
    message.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:"))
}
