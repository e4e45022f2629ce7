//! The items of a batch, cut out of its body as it comes: a line each (NDJSON), or the objects of one JSON array.
//!
//! No IO. Holds at most one unfinished item, of at most [`EVENT_BYTES_MAX`] bytes. Knows where an item ends, not what it
//! means: what is cut out is parsed later, and refused alone if it is rubbish.

use bytes::{Buf, Bytes};
use peal_proto::limits::EVENT_BYTES_MAX;
use peal_serve::Pieces;

/// What was cut out, with its number: of the line, or in the array, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The bytes of an item.
    Text(u64, Bytes),
    /// It has more than [`EVENT_BYTES_MAX`] bytes.
    TooLarge(u64),
    /// Nothing can be cut out any more from here on.
    Broken(u64, String),
}

/// How the items stand in the body; what its first character says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Lines,
    Array(Place),
    /// Behind the end of the array.
    Over,
    /// Broken, and said so.
    Broken,
}

/// Where in an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind `[`.
    Start,
    /// Behind a comma.
    Comma,
    /// Behind an item.
    Behind,
    /// In an item, so many braces and brackets deep.
    Within { depth: u32, text: Text },
}

/// In a text within an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Not,
    In,
    /// Behind a backslash.
    Escaped,
}

/// Cuts items out.
pub(super) struct Items {
    form: Form,
    /// Not looked at yet.
    chunk: Bytes,
    /// The begun item's earlier bytes.
    begun: Pieces,
    /// Of the last item.
    number: u64,
    ended: bool,
}

impl Items {
    pub(super) fn new() -> Self {
        Self { form: Form::Unknown, chunk: Bytes::new(), begun: Pieces::new(EVENT_BYTES_MAX), number: 0, ended: false }
    }

    /// The body's next bytes, once [`Items::next`] has nothing more.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// The body has ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Of the last item.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next item, if the bytes so far have one.
    pub(super) fn next(&mut self) -> Option<Item> {
        if self.form == Form::Unknown {
            self.find_out();
        }
        match self.form {
            Form::Unknown | Form::Broken => None,
            Form::Lines => self.line(),
            Form::Array(place) => self.element(place),
            Form::Over => self.behind(),
        }
    }

    fn find_out(&mut self) {
        let blank = self.chunk.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let blank = self.chunk.split_to(blank);
        match self.chunk.first() {
            None => {}
            Some(b'[') => {
                self.chunk.advance(1);
                self.number = 0;
                self.form = Form::Array(Place::Start);
                return;
            }
            Some(_) => self.form = Form::Lines,
        }
        self.number += blank.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }

    fn line(&mut self) -> Option<Item> {
        loop {
            let end = self.chunk.iter().position(|byte| *byte == b'\n');
            let Some(end) = end else {
                let rest = self.chunk.split_off(0);
                self.begun.keep(&rest);
                return if self.ended && !self.begun.is_empty() { self.line_ends(&Bytes::new()) } else { None };
            };
            let last = self.chunk.split_to(end);
            self.chunk.advance(1);
            if let Some(item) = self.line_ends(&last) {
                return Some(item);
            }
        }
    }

    /// Nothing if the line is empty.
    fn line_ends(&mut self, last: &Bytes) -> Option<Item> {
        match self.finish(last) {
            Item::Text(_, text) if text.iter().all(u8::is_ascii_whitespace) => None,
            item @ (Item::Text(..) | Item::TooLarge(_) | Item::Broken(..)) => Some(item),
        }
    }

    fn element(&mut self, mut place: Place) -> Option<Item> {
        let chunk = self.chunk.clone();
        let mut from = 0;
        for (index, byte) in chunk.iter().copied().enumerate() {
            place = match (place, byte) {
                (Place::Within { depth, text }, _) => {
                    let (depth, text) = within(depth, text, byte);
                    if depth == 0 {
                        self.form = Form::Array(Place::Behind);
                        self.chunk = chunk.slice(index + 1..);
                        return Some(self.finish(&chunk.slice(from..=index)));
                    }
                    Place::Within { depth, text }
                }
                (_, b' ' | b'\t' | b'\r' | b'\n') => place,
                (Place::Start | Place::Comma, b'{') => {
                    from = index;
                    Place::Within { depth: 1, text: Text::Not }
                }
                (Place::Behind, b',') => Place::Comma,
                (Place::Start | Place::Behind, b']') => {
                    self.form = Form::Over;
                    self.chunk = chunk.slice(index + 1..);
                    return self.behind();
                }
                (Place::Start, _) => return Some(self.breaks("the array's first item must be an object: {")),
                (Place::Comma, _) => return Some(self.breaks("behind a comma an object must follow: {")),
                (Place::Behind, _) => return Some(self.breaks("behind an item a comma or ] must follow")),
            };
        }
        self.chunk = Bytes::new();
        if matches!(place, Place::Within { .. }) {
            self.begun.keep(&chunk[from..]);
        }
        self.form = Form::Array(place);
        self.ended.then(|| self.breaks("the body ends before the array does: ] is missing"))
    }

    fn behind(&mut self) -> Option<Item> {
        let blank = self.chunk.iter().all(u8::is_ascii_whitespace);
        self.chunk = Bytes::new();
        (!blank).then(|| self.breaks("there is something behind the array's ]"))
    }

    fn breaks(&mut self, why: &str) -> Item {
        self.form = Form::Broken;
        self.chunk = Bytes::new();
        self.begun.clear();
        Item::Broken(self.number + 1, why.to_owned())
    }

    fn finish(&mut self, last: &Bytes) -> Item {
        self.number += 1;
        match self.begun.finish(last) {
            Some(text) => Item::Text(self.number, text),
            None => Item::TooLarge(self.number),
        }
    }
}

/// One byte further in an item: how deep, and whether in a text.
fn within(depth: u32, text: Text, byte: u8) -> (u32, Text) {
    match (text, byte) {
        (Text::Escaped, _) => (depth, Text::In),
        (Text::In, b'\\') => (depth, Text::Escaped),
        (Text::In, b'"') => (depth, Text::Not),
        (Text::Not, b'"') => (depth, Text::In),
        (Text::Not, b'{' | b'[') => (depth.saturating_add(1), text),
        (Text::Not, b'}' | b']') => (depth - 1, text),
        _ => (depth, text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(body: &[u8], pieces: usize) -> Vec<Item> {
        let mut items = Items::new();
        let mut found = Vec::new();
        for piece in body.chunks(pieces.max(1)) {
            items.push(Bytes::copy_from_slice(piece));
            found.extend(std::iter::from_fn(|| items.next()));
        }
        items.end();
        found.extend(std::iter::from_fn(|| items.next()));
        found
    }

    fn texts(body: &str) -> Vec<(u64, String)> {
        let text = |item| match item {
            Item::Text(number, text) => (number, String::from_utf8(text.to_vec()).unwrap()),
            Item::TooLarge(number) => (number, "too large".to_owned()),
            Item::Broken(number, why) => (number, format!("broken: {why}")),
        };
        let whole: Vec<_> = cut(body.as_bytes(), usize::MAX).into_iter().map(text).collect();
        for pieces in [1, 2, 3, 7] {
            assert_eq!(cut(body.as_bytes(), pieces).into_iter().map(text).collect::<Vec<_>>(), whole, "in {pieces}s");
        }
        whole
    }

    fn items(of: &[(u64, &str)]) -> Vec<(u64, String)> {
        of.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    #[test]
    fn lines_are_cut_at_their_ends_and_empty_ones_only_counted() {
        assert_eq!(texts("{\"a\":1}\n{\"b\":2}\n"), items(&[(1, "{\"a\":1}"), (2, "{\"b\":2}")]));
        assert_eq!(texts("\n \r\n{1}\r\n\n{2}"), items(&[(3, "{1}\r"), (5, "{2}")]));
        assert_eq!(texts(&"\n".repeat(10_000)), items(&[]));
        assert_eq!(texts(""), items(&[]));
        assert_eq!(texts("rubbish\n{2"), items(&[(1, "rubbish"), (2, "{2")]));
    }

    #[test]
    fn objects_are_cut_out_of_an_array_whatever_their_texts_hold() {
        let awkward = r#"{"a":"],{\"\\","b":[{},[]]}"#;
        assert_eq!(texts(&format!(" \n[ {awkward} ,\n{{}}]\n")), items(&[(1, awkward), (2, "{}")]));
        assert_eq!(texts("[]"), items(&[]));
    }

    #[test]
    fn an_array_that_is_none_is_told_with_the_place_and_what_came_before_it_stands() {
        for (body, number, why) in [
            ("[{},", 2, "] is missing"),
            ("[{}", 2, "] is missing"),
            ("[{\"a", 1, "] is missing"),
            ("[1]", 1, "first item must be an object"),
            ("[{},]", 2, "an object must follow"),
            ("[{}{}]", 2, "a comma or ] must follow"),
            ("[{}] {}", 2, "behind the array"),
        ] {
            let found = texts(body);
            let (at, last) = found.last().unwrap();
            assert!(*at == number && last.starts_with("broken") && last.contains(why), "{body}: {found:?}");
            assert_eq!(found.len() as u64, number, "{body}");
        }
    }

    #[test]
    fn an_item_that_is_too_large_is_left_out_alone() {
        let large = "x".repeat(2 * 1024 * 1024);
        assert_eq!(texts(&format!("{{1}}\n{large}\n{{3}}\n")), items(&[(1, "{1}"), (2, "too large"), (3, "{3}")]));
        assert_eq!(texts(&format!("[{{}},{{\"{large}\"}},{{}}]")), items(&[(1, "{}"), (2, "too large"), (3, "{}")]));
    }

    proptest! {
        #[test]
        fn what_was_put_together_is_cut_out_again(
            values in prop::collection::vec(any::<(bool, String, u8)>(), 0..20),
            pieces in 1..50_usize,
        ) {
            let objects: Vec<_> = values.iter().map(|value| serde_json::json!({ "a": value, "b": {"c": [value]} }).to_string()).collect();
            let expected: Vec<_> = (1..).zip(&objects).map(|(number, text)| Item::Text(number, text.clone().into())).collect();
            prop_assert_eq!(cut(objects.join("\n").as_bytes(), pieces), &*expected);
            prop_assert_eq!(cut(format!("[{}]", objects.join(",")).as_bytes(), pieces), &*expected);
        }
    }
}
