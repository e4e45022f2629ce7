//! The signature of a webhook as whoever receives it checks it: HMAC-SHA256 as RFC 2104 writes it down, and nothing of Peal's.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::endpoint::Received;

const BLOCK: usize = 64;

pub(crate) fn is_signed(received: &Received, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let head = format!("{}.{}.", received.id(), received.header("webhook-timestamp"));
    let signed = [head.as_bytes(), &received.body].concat();
    received.header("webhook-signature") == format!("v1,{}", BASE64_STANDARD.encode(hmac(&key, &signed)))
}

pub(crate) fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| -> Vec<u8> {
        let padded = key.iter().copied().chain(std::iter::repeat(0)).take(BLOCK);
        padded.map(|key| key ^ byte).collect()
    };
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).to_vec()
}
