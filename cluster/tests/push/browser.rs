//! A browser's side of Web Push, from the words of RFC 8188, RFC 8291 and RFC 8292: it subscribes, opens what it is pushed, and
//! sees who pushed. Nothing of Peal's, and of what seals nothing but the curve.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use peal_proto::{Subscription, SubscriptionKeys};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use web_push_native::p256::ecdh::diffie_hellman;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;
use web_push_native::p256::{PublicKey, SecretKey};

use super::endpoint::Received;
use super::signature::hmac;

pub(crate) struct Browser {
    secret: SecretKey,
    auth: Vec<u8>,
}

impl Browser {
    /// The one of RFC 8291 §5.
    pub(crate) fn of_the_rfc() -> Self {
        let secret = SecretKey::from_slice(&decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")).unwrap();
        Self { secret, auth: decode("BTBZMqHH6r4Tts7J_aSIgg") }
    }

    pub(crate) fn subscription(&self, endpoint: &str) -> Subscription {
        let keys = SubscriptionKeys {
            p256dh: BASE64_URL_SAFE_NO_PAD.encode(point(&self.secret.public_key())),
            auth: BASE64_URL_SAFE_NO_PAD.encode(&self.auth),
        };
        Subscription { endpoint: endpoint.to_owned(), keys }
    }

    /// What was sealed in one record.
    pub(crate) fn open(&self, body: &[u8]) -> Vec<u8> {
        let (head, rest) = body.split_at(21);
        let (sender, sealed) = rest.split_at(usize::from(head[20]));
        let sender_key = PublicKey::from_sec1_bytes(sender).unwrap();
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), sender_key.as_affine());
        let about = [b"WebPush: info\0", &point(&self.secret.public_key())[..], sender].concat();
        let key = expand(&hmac(&self.auth, shared.raw_secret_bytes()), &about, 32);
        let extracted = hmac(&head[..16], &key);
        let content_key = expand(&extracted, b"Content-Encoding: aes128gcm\0", 16);
        let nonce = expand(&extracted, b"Content-Encoding: nonce\0", 12);
        let opening = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key).unwrap());
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let opened = opening.open_in_place(nonce, Aad::empty(), &mut sealed).unwrap();
        let end = opened.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(opened[end], 2, "the delimiter of the last record");
        opened[..end].to_vec()
    }
}

/// What `Authorization` says, once its signature is seen to be that of the key it names; and the key.
pub(crate) fn claims(received: &Received) -> (Value, String) {
    let rest = received.header("authorization").strip_prefix("vapid t=").unwrap();
    let (token, key) = rest.split_once(", k=").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key));
    public.verify(signed.as_bytes(), &decode(signature)).unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let head: Value = serde_json::from_slice(&decode(head)).unwrap();
    assert_eq!(head, serde_json::json!({ "typ": "JWT", "alg": "ES256" }));
    (serde_json::from_slice(&decode(claims)).unwrap(), key.to_owned())
}

fn point(key: &PublicKey) -> Vec<u8> {
    key.to_encoded_point(false).as_bytes().to_vec()
}

/// HKDF-Expand to one block of SHA-256 at most (RFC 5869).
fn expand(key: &[u8], about: &[u8], length: usize) -> Vec<u8> {
    hmac(key, &[about, &[1]].concat())[..length].to_vec()
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}
