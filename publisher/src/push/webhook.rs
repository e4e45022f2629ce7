//! The webhook: a POST of JSON, signed as Standard Webhooks 1.0 says (<https://www.standardwebhooks.com/>).
//!
//! The id is a function of event and user, so whoever keeps the ids that it has seen takes each notification once.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{Request, Uri};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use peal_proto::{Cursor, Offline, Timestamp, UserId};
use ring::hmac;
use serde::Serialize;
use serde_json::value::RawValue;

/// What the bodies are about.
const TYPE: &str = "notification.unread";

/// What stands before a secret, in Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";

/// What identifies this program to whoever is called.
pub(super) const AGENT: &str = concat!("peal/", env!("CARGO_PKG_VERSION"));

/// The keys that requests are signed with, several while one is replaced by another.
#[derive(Clone)]
pub struct WebhookSecret(Vec<hmac::Key>);

/// Why a text is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and 24 to 64 bytes in base64, such as `echo whsec_$(openssl rand -base64 32)` makes")]
pub struct InvalidSecret;

impl FromStr for WebhookSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let key = |text: &str| {
            let text = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| InvalidSecret)?;
            let fits = (24..=64).contains(&bytes.len());
            fits.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes)).ok_or(InvalidSecret)
        };
        let keys: Vec<_> = text.split_whitespace().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(InvalidSecret) } else { Ok(Self(keys)) }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

/// Where notifications are posted to.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    url: Uri,
    origin: Arc<str>,
    secret: WebhookSecret,
}

/// The body.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    user: UserId,
    cursor: Cursor,
    notification: &'a RawValue,
}

impl Webhook {
    pub(super) fn new(url: Uri, secret: WebhookSecret) -> Self {
        let origin = format!("the webhook at {}", url.authority().map_or("", |authority| authority.as_str()));
        Self { url, origin: origin.into(), secret }
    }

    /// Who answers.
    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// The request for a notification.
    ///
    /// # Errors
    /// When the notification is no JSON, for a person.
    pub(super) fn request(
        &self,
        entry: &Offline,
        notification: &[u8],
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, String> {
        let notification = serde_json::from_slice(notification).map_err(|error| format!("it is no JSON: {error}"))?;
        let data = Data { user: entry.user, cursor: entry.cursor, notification };
        let body = Body { r#type: TYPE, timestamp: entry.due, data };
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        let (id, seconds) = (id(entry), now.millis() / 1_000);
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-signature", self.sign(&id, seconds, &body))
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds);
        request.body(Full::from(body)).map_err(|error| error.to_string())
    }

    /// `v1,<base64>` for each key, of `<id>.<timestamp>.<body>`.
    fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let WebhookSecret(keys) = &self.secret;
        let signature = |key: &hmac::Key| {
            let mut signing = hmac::Context::with_key(key);
            signing.update(format!("{id}.{seconds}.").as_bytes());
            signing.update(body);
            format!("v1,{}", BASE64_STANDARD.encode(signing.sign()))
        };
        keys.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

/// `<event>:<user>`, as the notification's own id; without dots, as they separate what is signed.
fn id(entry: &Offline) -> String {
    let id = match &entry.event {
        Some(event) => format!("{event}:{}", entry.user),
        None => format!("@{}:{}", entry.cursor, entry.user),
    };
    id.replace('.', ":") // neither events nor cursors have one
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification's reference libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let webhook = Webhook::new(Uri::from_static("http://a/"), secret);
        let signature = webhook.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let (old, new) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let sign =
            |secret: &str| Webhook::new(Uri::from_static("http://a/"), secret.parse().unwrap()).sign("a", 1, b"b");
        assert_eq!(sign(&format!("{old} {new}")), format!("{} {}", sign(old), sign(new)));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_a_secret_is_not_told() {
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "no base64!"] {
            assert_eq!(text.parse::<WebhookSecret>().unwrap_err(), InvalidSecret, "{text}");
        }
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "WebhookSecret");
    }

    #[test]
    fn an_id_has_no_dots_and_no_two_notifications_have_the_same() {
        let entry = |event: Option<&str>| Offline {
            user: UserId::new(42).unwrap(),
            cursor: "3.18".parse().unwrap(),
            event: event.map(|event| event.parse().unwrap()),
            due: Timestamp::from_millis(0),
            expires: None,
            collapse: None,
        };
        assert_eq!(id(&entry(Some("a.b"))), "a:b:42");
        assert_eq!(id(&entry(None)), "@3:18:42");
    }
}
