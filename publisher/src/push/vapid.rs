//! Who pushes: the key by which push services tell application servers apart (RFC 8292), and its signed word.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use peal_proto::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::Serialize;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;

/// How long a word holds: push services take 24 h at most.
const VALID: Duration = Duration::from_secs(12 * 3_600);

/// A private key on P-256.
#[derive(Clone)]
pub struct VapidKey {
    private: Vec<u8>,
    /// Uncompressed.
    public: Vec<u8>,
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a VAPID key is 32 bytes in base64url, the private key that `npx web-push generate-vapid-keys` prints")]
pub struct InvalidVapidKey;

impl FromStr for VapidKey {
    type Err = InvalidVapidKey;

    fn from_str(text: &str) -> Result<Self, InvalidVapidKey> {
        let private = decode(text.trim()).ok_or(InvalidVapidKey)?;
        let secret = SecretKey::from_slice(&private).map_err(|_| InvalidVapidKey)?;
        let public = secret.public_key().to_encoded_point(false).as_bytes().to_vec();
        Ok(Self { private, public })
    }
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VapidKey")
    }
}

/// Bytes in base64url, with or without its padding, as browsers and tools write both.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(text);
    decoded.or_else(|_| BASE64_URL_SAFE.decode(text)).ok()
}

/// Signs for one application server.
pub(super) struct Vapid {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    public: String,
    contact: String,
}

/// What is signed.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    sub: &'a str,
}

/// `{"typ":"JWT","alg":"ES256"}`
const HEAD: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9";

impl Vapid {
    /// `contact` is a `mailto:` or `https:` URL at which a push service reaches a person.
    ///
    /// # Errors
    /// When the key is none after all.
    pub(super) fn new(key: &VapidKey, contact: String) -> Result<Self, InvalidVapidKey> {
        let random = SystemRandom::new();
        let VapidKey { private, public } = key;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, private, public, &random);
        let pair = pair.map_err(|_| InvalidVapidKey)?;
        Ok(Self { pair, random, public: BASE64_URL_SAFE_NO_PAD.encode(public), contact })
    }

    /// The key that browsers subscribe with.
    pub(super) fn public(&self) -> &str {
        &self.public
    }

    /// The value of `Authorization` for a push service.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn authorization(&self, origin: &str, now: Timestamp) -> Result<String, String> {
        let claims = Claims { aud: origin, exp: now.after(VALID).millis() / 1_000, sub: &self.contact };
        let claims = serde_json::to_vec(&claims).map_err(|error| error.to_string())?;
        let signed = format!("{HEAD}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|_| "the system has no random numbers to sign with".to_owned())?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("vapid t={signed}.{signature}, k={}", self.public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 8291 §5.
    #[test]
    fn a_private_key_says_which_public_key_is_its_own() {
        let key: VapidKey = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw".parse().unwrap();
        let vapid = Vapid::new(&key, "mailto:ops@example.com".to_owned()).unwrap();
        let public = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
        assert_eq!((vapid.public(), format!("{key:?}").as_str()), (public, "VapidKey"));
        assert_eq!(decode(HEAD).unwrap(), br#"{"typ":"JWT","alg":"ES256"}"#);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let zero = BASE64_URL_SAFE_NO_PAD.encode([0; 32]);
        for text in ["", "short", "no base64!", &zero] {
            assert_eq!(text.parse::<VapidKey>().unwrap_err(), InvalidVapidKey, "{text}");
        }
    }
}
