//! What can be set about push, and whether it makes sense together.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use axum::http::Uri;
use axum::http::uri::Scheme;

use super::client::Reach;
use super::vapid::{InvalidVapidKey, VapidKey};
use super::webhook::{InvalidSecret, WebhookSecret};
use crate::limits::{PUSH_GIVE_UP_AFTER, PUSH_SECRET_BYTES_MAX};

/// To where users who are away are pushed to.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "Push"))]
pub struct PushSettings {
    /// A URL to which is posted what users who are away were not told [default: none]
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_PUSH_WEBHOOK", value_name = "URL"))]
    pub push_webhook: Option<WebhookUrl>,
    /// What posts to the webhook are signed with: whsec_ and 24 to 64 bytes in base64; two while one replaces the other
    #[cfg_attr(
        feature = "flags",
        arg(long, env = "PEAL_PUSH_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)
    )]
    pub push_webhook_secret: Option<WebhookSecret>,
    /// A file that holds it instead
    #[cfg_attr(
        feature = "flags",
        arg(long, env = "PEAL_PUSH_WEBHOOK_SECRET_FILE", value_name = "FILE", conflicts_with = "push_webhook_secret")
    )]
    pub push_webhook_secret_file: Option<PathBuf>,
    /// The private key that push services know this site by, in base64url: turns Web Push on [default: none]
    #[cfg_attr(
        feature = "flags",
        arg(long, env = "PEAL_PUSH_VAPID_KEY", value_name = "KEY", hide_env_values = true, requires = "push_contact")
    )]
    pub push_vapid_key: Option<VapidKey>,
    /// A file that holds it instead
    #[cfg_attr(
        feature = "flags",
        arg(
            long,
            env = "PEAL_PUSH_VAPID_KEY_FILE",
            value_name = "FILE",
            conflicts_with = "push_vapid_key",
            requires = "push_contact"
        )
    )]
    pub push_vapid_key_file: Option<PathBuf>,
    /// At what push services reach a person: mailto:ops@shop.example, or an https URL
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_PUSH_CONTACT", value_name = "URL"))]
    pub push_contact: Option<String>,
    /// Take subscriptions whose push service is at a private address or without TLS, as in tests
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_PUSH_PRIVATE_ENDPOINTS"))]
    pub push_private_endpoints: bool,
    /// How long a push is tried before it becomes a dead letter [default: 1h]
    #[cfg_attr(feature = "flags", arg(long, env = "PEAL_PUSH_GIVE_UP_AFTER", value_name = "DURATION"))]
    pub push_give_up_after: Option<humantime::Duration>,
}

/// The URL of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(Uri);

/// Why a text is no URL of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook is a URL such as https://shop.example/hooks/peal")]
pub struct InvalidWebhook;

impl FromStr for WebhookUrl {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Self, InvalidWebhook> {
        let url: Uri = text.parse().map_err(|_| InvalidWebhook)?;
        let is_http = url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS);
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        let has_password = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if is_http && has_host && !has_password { Ok(Self(url)) } else { Err(InvalidWebhook) }
    }
}

/// Why push can't be as it is set.
#[derive(Debug, thiserror::Error)]
pub enum PushFault {
    /// A webhook has to be signed.
    #[error("--push-webhook wants --push-webhook-secret or --push-webhook-secret-file, to be signed with")]
    NoSecret,
    /// A file can't be read.
    #[error("{path} can't be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no secret")]
    Secret {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: InvalidSecret,
    },
    /// A key is none.
    #[error("the key for Web Push can't be used")]
    Key(#[from] InvalidVapidKey),
    /// A push service wants to know whom to ask.
    #[error("Web Push wants --push-contact, a mailto: or https: URL at which push services reach a person")]
    NoContact,
    /// Nobody can be trusted.
    #[error("the certificates that the system trusts can't be read")]
    Certificates(#[source] std::io::Error),
}

/// To where pushes go, once that makes sense.
#[derive(Debug, Clone)]
pub(super) struct PushTo {
    pub(super) webhook: Option<(Uri, WebhookSecret)>,
    /// The key, and at what a person is reached.
    pub(super) vapid: Option<(VapidKey, String)>,
    pub(super) reach: Reach,
    pub(super) give_up_after: Duration,
}

impl PushSettings {
    /// Whether anything is to be pushed.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.push_webhook.is_some() || self.push_vapid_key.is_some() || self.push_vapid_key_file.is_some()
    }

    pub(super) fn to(&self) -> Result<PushTo, PushFault> {
        let webhook = match &self.push_webhook {
            Some(WebhookUrl(url)) => Some((url.clone(), self.secret()?)),
            None => None,
        };
        let give_up_after = self.push_give_up_after.map_or(PUSH_GIVE_UP_AFTER, Into::into);
        let reach = if self.push_private_endpoints { Reach::Anywhere } else { Reach::Public };
        Ok(PushTo { webhook, vapid: self.vapid()?, reach, give_up_after })
    }

    fn vapid(&self) -> Result<Option<(VapidKey, String)>, PushFault> {
        let key = match (&self.push_vapid_key, &self.push_vapid_key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => read(path)?.parse()?,
            (None, None) => return Ok(None),
        };
        let reaches = |contact: &&String| contact.starts_with("mailto:") || contact.starts_with("https://");
        let contact = self.push_contact.as_ref().filter(reaches).ok_or(PushFault::NoContact)?;
        Ok(Some((key, contact.clone())))
    }

    fn secret(&self) -> Result<WebhookSecret, PushFault> {
        if let Some(secret) = &self.push_webhook_secret {
            return Ok(secret.clone());
        }
        let path = self.push_webhook_secret_file.as_ref().ok_or(PushFault::NoSecret)?;
        read(path)?.parse().map_err(|error| PushFault::Secret { path: path.clone(), error })
    }
}

/// A small file.
pub(super) fn read(path: &Path) -> Result<String, PushFault> {
    let checked = std::fs::metadata(path).and_then(|file| match file.len() {
        ..=PUSH_SECRET_BYTES_MAX => std::fs::read_to_string(path),
        _ => Err(std::io::Error::other(format!("it has more than {PUSH_SECRET_BYTES_MAX} bytes"))),
    });
    checked.map_err(|error| PushFault::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_a_url_and_wants_a_secret() {
        for text in ["", "shop.example", "ftp://shop.example/", "https://me:pw@shop.example/", "http:///hook"] {
            assert_eq!(text.parse::<WebhookUrl>(), Err(InvalidWebhook), "{text}");
        }
        let push_webhook = Some("https://shop.example/hooks/peal?a=b".parse().unwrap());
        let settings = PushSettings { push_webhook, ..PushSettings::default() };
        assert!(settings.is_on() && matches!(settings.to(), Err(PushFault::NoSecret)));
    }
}
