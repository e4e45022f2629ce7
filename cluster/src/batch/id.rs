//! The id of an item that has none: with one, it is told once however often it is sent.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "is_there")]
    event: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// The item, with an id. What is no item is left as it is: the publisher says what is wrong with it.
pub(super) fn with_id(item: Bytes) -> Bytes {
    let Ok(Named { event: false }) = serde_json::from_slice(&item) else { return item };
    match item.strip_prefix(b"{") {
        Some(rest) if !rest.trim_ascii_start().starts_with(b"}") => {
            let mut named = format!(r#"{{"event":"{:032x}","#, rand::random::<u128>()).into_bytes();
            named.extend_from_slice(rest);
            named.into()
        }
        Some(_) | None => item,
    }
}

#[cfg(test)]
mod tests {
    use peal_proto::event::BatchItem;

    use super::*;

    fn of(item: &'static str) -> Bytes {
        with_id(Bytes::from_static(item.as_bytes()))
    }

    #[test]
    fn an_item_without_an_id_gets_one_of_its_own() {
        let [first, second] = [(); 2].map(|()| of(r#"{ "user":1,"kind":"k","data":{"event":"e"}}"#));
        let ids = [&first, &second].map(|item| serde_json::from_slice::<BatchItem>(item).unwrap().event.unwrap());
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        for item in [
            r#"{"user":1,"kind":"k","event":"e"}"#,
            r#"{"event":null,"user":1,"kind":"k"}"#,
            r#"{"user":1,"#,
            "{ }",
            "[]",
            "[1]",
            "7",
            "rubbish",
        ] {
            assert_eq!(of(item), item);
        }
    }
}
