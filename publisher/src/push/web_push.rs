//! Web Push: a request to a push service (RFC 8030), with the notification sealed so that only the browser can open it
//! (RFC 8291).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use axum::http::uri::Scheme;
use axum::http::{Request, Uri};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use peal_proto::{CollapseKey, Cursor, Offline, Subscription, Timestamp, UserId};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::value::RawValue;
use web_push_native::p256::PublicKey;
use web_push_native::{Auth, encrypt};

use super::client::{Reach, is_public};
use super::vapid::{Vapid, decode};
use super::webhook::AGENT;
use crate::limits::WEB_PUSH_BYTES_MAX;

/// A subscription that can be pushed to.
pub(crate) struct Recipient {
    endpoint: Uri,
    /// Who answers there; the `aud` of VAPID.
    pub(super) origin: Arc<str>,
    key: PublicKey,
    auth: Auth,
}

/// Why a subscription can't be pushed to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRecipient {
    #[error("its endpoint is no URL of a push service, such as https://updates.push.example/abc")]
    Endpoint,
    #[error("its endpoint {0} is no public address")]
    Private(IpAddr),
    #[error("keys.p256dh is not 65 bytes in base64url that are a point of P-256")]
    Key,
    #[error("keys.auth is not 16 bytes in base64url")]
    Auth,
}

impl Recipient {
    /// The recipient that a subscription describes, if `reach` allows for it.
    ///
    /// # Errors
    /// [`InvalidRecipient`].
    pub(crate) fn new(subscription: &Subscription, reach: Reach) -> Result<Self, InvalidRecipient> {
        let endpoint: Uri = subscription.endpoint.parse().map_err(|_| InvalidRecipient::Endpoint)?;
        let (scheme, authority) = (endpoint.scheme(), endpoint.authority());
        let may_speak = scheme == Some(&Scheme::HTTPS) || (scheme == Some(&Scheme::HTTP) && reach == Reach::Anywhere);
        let (Some(scheme), Some(authority), true) = (scheme, authority, may_speak) else {
            return Err(InvalidRecipient::Endpoint);
        };
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(InvalidRecipient::Endpoint);
        }
        let literal: Option<IpAddr> = authority.host().trim_matches(['[', ']']).parse().ok();
        if let Some(address) = literal.filter(|address| reach == Reach::Public && !is_public(*address)) {
            return Err(InvalidRecipient::Private(address));
        }
        let origin = format!("{scheme}://{authority}").into();
        let key = decode(&subscription.keys.p256dh).filter(|key| key.len() == 65);
        let key = key.and_then(|key| PublicKey::from_sec1_bytes(&key).ok()).ok_or(InvalidRecipient::Key)?;
        let auth = decode(&subscription.keys.auth).filter(|auth| auth.len() == 16).ok_or(InvalidRecipient::Auth)?;
        let auth = Auth::clone_from_slice(&auth);
        Ok(Self { endpoint, origin, key, auth })
    }

    /// The request for a notification, which the push service keeps for so long while the browser is away.
    ///
    /// # Errors
    /// Why there can be none, for a person.
    pub(super) fn request(
        &self,
        vapid: &Vapid,
        entry: &Offline,
        notification: &[u8],
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, String> {
        let sealed =
            encrypt(payload(entry, notification)?, &self.key, &self.auth).map_err(|error| error.to_string())?;
        let mut request = Request::post(self.endpoint.clone());
        if let Some(collapse) = &entry.collapse {
            request = request.header("topic", topic(collapse));
        }
        let request = request
            .header("ttl", ttl.as_secs())
            .header("urgency", "normal")
            .header(AUTHORIZATION, vapid.authorization(&self.origin, now)?)
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(USER_AGENT, AGENT);
        request.body(Full::from(sealed)).map_err(|error| error.to_string())
    }
}

/// What a newer push has in common with the older one that waits for the same browser (RFC 8030 §5.4): 32 characters of base64url
/// at most, so a hash of the key; and it tells the push service nothing.
fn topic(collapse: &CollapseKey) -> String {
    let hash = digest(&SHA256, collapse.as_str().as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..24])
}

/// What a service worker gets: the frame that a socket would have been sent, and whose it is.
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    user: UserId,
    cursor: Cursor,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<&'a RawValue>,
    /// Something was left out, as a push service takes no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// The whole notification, or without its data, or only which it is: the first that fits.
fn payload(entry: &Offline, notification: &[u8]) -> Result<Vec<u8>, String> {
    let write = |notification: Option<&RawValue>, cut| {
        let payload = Payload { r#type: "notification", user: entry.user, cursor: entry.cursor, notification, cut };
        serde_json::to_vec(&payload).map_err(|error| error.to_string())
    };
    let no_json = |error: serde_json::Error| format!("it is no JSON: {error}");
    let whole = write(Some(serde_json::from_slice(notification).map_err(no_json)?), false)?;
    if whole.len() <= WEB_PUSH_BYTES_MAX {
        return Ok(whole);
    }
    let mut fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(notification).map_err(no_json)?;
    fields.remove("data");
    let fields = serde_json::value::to_raw_value(&fields).map_err(|error| error.to_string())?;
    let without_data = write(Some(&fields), true)?;
    if without_data.len() <= WEB_PUSH_BYTES_MAX { Ok(without_data) } else { write(None, true) }
}

#[cfg(test)]
mod tests {
    use peal_proto::SubscriptionKeys;

    use super::*;

    fn subscription(endpoint: &str, p256dh: &str, auth: &str) -> Subscription {
        let keys = SubscriptionKeys { p256dh: p256dh.to_owned(), auth: auth.to_owned() };
        Subscription { endpoint: endpoint.to_owned(), keys }
    }

    /// Those of RFC 8291 §5.
    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    #[test]
    fn an_endpoint_is_public_and_https_unless_that_is_not_asked_for() {
        let check =
            |endpoint: &str, reach| Recipient::new(&subscription(endpoint, P256DH, AUTH), reach).map(|it| it.origin);
        let public = |endpoint: &str| check(endpoint, Reach::Public);
        assert_eq!(public("https://push.example:8443/a?b=c"), Ok("https://push.example:8443".into()));
        for endpoint in ["http://push.example/a", "push.example", "https://me@push.example/", "file:///etc/passwd", ""]
        {
            assert_eq!(public(endpoint), Err(InvalidRecipient::Endpoint), "{endpoint}");
        }
        for endpoint in ["https://127.0.0.1/", "https://[::1]:9/", "https://169.254.169.254/latest", "https://10.0.0.1"]
        {
            assert!(matches!(public(endpoint), Err(InvalidRecipient::Private(_))), "{endpoint}");
        }
        assert_eq!(check("http://127.0.0.1:9/", Reach::Anywhere), Ok("http://127.0.0.1:9".into()));
    }

    #[test]
    fn keys_that_nothing_can_be_sealed_with_are_refused() {
        let check = |p256dh: &str, auth: &str| {
            Recipient::new(&subscription("https://push.example/", p256dh, auth), Reach::Public).map(drop)
        };
        assert_eq!(check(P256DH, AUTH), Ok(()));
        assert_eq!(check(&format!("{P256DH}="), &format!("{AUTH}==")), Ok(()), "padded, as some tools write it");
        let elsewhere = P256DH.replace("BCV", "BCW");
        for key in ["", "BA", &elsewhere] {
            assert_eq!(check(key, AUTH), Err(InvalidRecipient::Key), "{key}");
        }
        assert_eq!(check(P256DH, "AAAA"), Err(InvalidRecipient::Auth));
    }

    /// `printf joins.7 | openssl sha256 -binary | head -c 24 | basenc --base64url`
    #[test]
    fn a_topic_fits_the_header() {
        assert_eq!(topic(&"joins.7".parse().unwrap()), "xl84pbIPw2oQhZAT8a1_uxW8AyTDV7ig");
    }

    #[test]
    fn what_a_push_service_would_not_take_is_cut() {
        let entry = Offline {
            user: UserId::new(42).unwrap(),
            cursor: "3.18".parse().unwrap(),
            event: None,
            due: Timestamp::from_millis(0),
            expires: None,
            collapse: None,
        };
        let payload =
            |notification: &str| String::from_utf8(payload(&entry, notification.as_bytes()).unwrap()).unwrap();
        let head = r#"{"type":"notification","user":42,"cursor":"3.18""#;
        assert_eq!(payload(r#"{"id":"a"}"#), format!(r#"{head},"notification":{{"id":"a"}}}}"#));
        let long = "x".repeat(WEB_PUSH_BYTES_MAX);
        let data = format!(r#"{{"id":"a","data":{{"text":"{long}"}}}}"#);
        assert_eq!(payload(&data), format!(r#"{head},"notification":{{"id":"a"}},"cut":true}}"#));
        assert_eq!(payload(&format!(r#"{{"id":"{long}"}}"#)), format!(r#"{head},"cut":true}}"#));
    }
}
