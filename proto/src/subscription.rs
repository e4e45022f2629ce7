//! A subscription to Web Push: where a browser is pushed to, and the keys that only it can open what is pushed with.
//!
//! The shape is that of `PushSubscription.toJSON()` (W3C Push API). Whether an endpoint may be called, and whether a key is a
//! point of its curve, is looked at by whoever does so.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{SUBSCRIPTION_ENDPOINT_BYTES_MAX, SUBSCRIPTION_ID_CHARS_MAX, SUBSCRIPTION_KEY_CHARS_MAX};

/// The id of a subscription, as JSON Schemas say it.
const ID_PATTERN: &str = "^[A-Za-z0-9._~-]+$";

/// Which of a user's subscriptions: a name that the client gives, as of its device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub struct SubscriptionId(
    #[schemars(regex(pattern = ID_PATTERN), length(min = 1, max = SUBSCRIPTION_ID_CHARS_MAX))] Box<str>,
);

/// Why a text is no name of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the id of a subscription is 1 to {SUBSCRIPTION_ID_CHARS_MAX} characters of A-Z a-z 0-9 . _ ~ -, such as phone-1; not {given:?}"
)]
pub struct InvalidSubscriptionId {
    given: String,
}

impl SubscriptionId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubscriptionId {
    type Err = InvalidSubscriptionId;

    fn from_str(text: &str) -> Result<Self, InvalidSubscriptionId> {
        let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-');
        if text.is_empty() || text.len() > SUBSCRIPTION_ID_CHARS_MAX || !text.chars().all(unreserved) {
            let given = text.chars().take(2 * SUBSCRIPTION_ID_CHARS_MAX).collect();
            return Err(InvalidSubscriptionId { given });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for SubscriptionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SubscriptionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a browser is pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Unchecked")]
pub struct Subscription {
    /// The URL that its push service gave it; whoever knows it may push.
    pub endpoint: String,
    /// Its keys.
    pub keys: SubscriptionKeys,
}

/// The keys of a subscription (RFC 8291 §3), in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionKeys {
    /// Its public key on P-256, uncompressed.
    #[schemars(length(max = SUBSCRIPTION_KEY_CHARS_MAX))]
    pub p256dh: String,
    /// Its authentication secret.
    #[schemars(length(max = SUBSCRIPTION_KEY_CHARS_MAX))]
    pub auth: String,
}

/// A subscription before its lengths were checked; browsers say when it expires as well.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Subscription")]
struct Unchecked {
    /// The URL that its push service gave it; whoever knows it may push.
    #[schemars(length(max = SUBSCRIPTION_ENDPOINT_BYTES_MAX))]
    endpoint: String,
    /// Its keys.
    keys: SubscriptionKeys,
}

/// A subscription has something that is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an endpoint has at most {SUBSCRIPTION_ENDPOINT_BYTES_MAX} bytes, and a key {SUBSCRIPTION_KEY_CHARS_MAX} characters"
)]
pub struct OverlongSubscription;

impl TryFrom<Unchecked> for Subscription {
    type Error = OverlongSubscription;

    fn try_from(Unchecked { endpoint, keys }: Unchecked) -> Result<Self, OverlongSubscription> {
        let longest = keys.p256dh.len().max(keys.auth.len());
        if endpoint.len() > SUBSCRIPTION_ENDPOINT_BYTES_MAX || longest > SUBSCRIPTION_KEY_CHARS_MAX {
            return Err(OverlongSubscription);
        }
        Ok(Self { endpoint, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_says_is_a_subscription() {
        let said = r#"{"endpoint":"https://push.example/a","expirationTime":null,"keys":{"p256dh":"BA","auth":"aa"}}"#;
        let subscription: Subscription = serde_json::from_str(said).unwrap();
        let kept = serde_json::to_string(&subscription).unwrap();
        assert_eq!(kept, r#"{"endpoint":"https://push.example/a","keys":{"p256dh":"BA","auth":"aa"}}"#);
        let long = said.replace("push.example", &"a".repeat(SUBSCRIPTION_ENDPOINT_BYTES_MAX));
        assert!(serde_json::from_str::<Subscription>(&long).unwrap_err().to_string().contains("at most 2048 bytes"));
    }

    #[test]
    fn an_id_is_a_name_that_needs_no_escapes() {
        assert_eq!("phone-1".parse::<SubscriptionId>().unwrap().as_str(), "phone-1");
        for text in ["", "a b", "a/b", &"a".repeat(65)] {
            assert!(text.parse::<SubscriptionId>().is_err(), "{text:?}");
        }
    }
}
