//! Members that are no users: each is a dead letter of the event that it could not be told of, and the others are told.
//!
//! Somebody else fills the sets, perhaps with a million texts. So the first ones have letters, and the others are counted. Each
//! is counted once, however often the store gives it. The letters are written with the last slice of their event, so they
//! are there as often as the event is told: once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use peal_proto::{Partition, Topic};
use peal_store::log::{NewRecord, Record, dead_letter};
use peal_store::members::InvalidMember;

use super::work::Work;
use crate::limits::{MEMBER_LETTER_BYTES_MAX, MEMBER_LETTERS_MAX};

/// What is wrong, in a word.
pub(super) const KIND: &str = "member";

/// Bytes of a member that are told in a reason, each of which may take four characters there.
const SHOWN_BYTES_MAX: usize = 24;

/// Those of one event.
#[derive(Default)]
pub(super) struct Invalid {
    /// Hashes of them, of 8 bytes as a user's id; of some more than once.
    hashes: Vec<u64>,
    first: Vec<First>,
}

/// One of the first, who have letters.
struct First {
    /// As much of it as is kept.
    start: Bytes,
    /// How many bytes it has.
    bytes: usize,
    set: Arc<str>,
}

impl Invalid {
    pub(super) fn add(&mut self, members: &[InvalidMember]) {
        for InvalidMember { member, set } in members {
            let hash = hash(member);
            if self.first.len() < MEMBER_LETTERS_MAX {
                if self.hashes.contains(&hash) {
                    continue;
                }
                let start = Bytes::copy_from_slice(&member[..member.len().min(MEMBER_LETTER_BYTES_MAX)]);
                self.first.push(First { start, bytes: member.len(), set: Arc::clone(set) });
            }
            self.hashes.push(hash);
        }
    }

    /// How many there are.
    pub(super) fn count(&mut self) -> u64 {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.hashes.len() as u64
    }

    /// The letters, when there are so many.
    pub(super) fn letters(&self, work: &Work, count: u64, partition: Partition) -> Vec<NewRecord> {
        let more = count.saturating_sub(self.first.len() as u64);
        let letter = |(number, first): (usize, &First)| {
            let is_last = number + 1 == self.first.len();
            first.letter(work, partition, if is_last { more } else { 0 })
        };
        self.first.iter().enumerate().map(letter).collect()
    }
}

impl First {
    /// Without a key, as there is no user whose it would be: so it is known that it can't be replayed.
    fn letter(&self, work: &Work, partition: Partition, more: u64) -> NewRecord {
        let Record { offset, written, ref headers, .. } = work.record;
        let record = Record { offset, written, key: None, headers: headers.clone(), value: self.start.clone() };
        dead_letter(Topic::Events, partition, &record, KIND, self.reason(work, more))
    }

    fn reason(&self, work: &Work, more: u64) -> String {
        let Self { start, bytes, set } = self;
        let (event, of) = (&work.event.event, work.event.audience);
        let shown = start[..start.len().min(SHOWN_BYTES_MAX)].escape_ascii();
        let rest = if *bytes > SHOWN_BYTES_MAX { format!("… ({bytes} bytes)") } else { String::new() };
        let more = if more > 0 { format!("; {more} more such members have no letter") } else { String::new() };
        format!(
            "a member of {of} is no user id (0 to 2^53-1), so event {event} was told to the others only{more}. Remove it: SREM \
             {set} \"{shown}\"{rest}. It can't be replayed: post an event to the user who was meant"
        )
    }
}

fn hash(member: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    member.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use peal_proto::limits::LETTER_REASON_CHARS_MAX;
    use peal_proto::{DeadLetter, Offset};
    use peal_store::log::Headers;

    use super::super::letter;
    use super::*;

    fn work() -> Work {
        let json = format!(
            r#"{{"version":1,"event":"{}","kind":"k","community":9007199254740991,"at":"2026-11-22T10:00:00Z","data":{{}}}}"#,
            "e".repeat(64)
        );
        let (offset, key) = (Offset::new(5), Some((1 << 53) - 1));
        let record = Record { offset, written: None, key, headers: Headers::default(), value: json.into() };
        Work { event: letter::open(&record).unwrap(), record, part: None }
    }

    fn member(text: impl AsRef<[u8]>) -> InvalidMember {
        let set = "community:9007199254740991:members".into();
        InvalidMember { member: Bytes::copy_from_slice(text.as_ref()), set }
    }

    fn letters(invalid: &mut Invalid) -> Vec<DeadLetter> {
        let count = invalid.count();
        let letters = invalid.letters(&work(), count, Partition::new(3));
        letters.iter().map(|letter| serde_json::from_slice(&letter.value).unwrap()).collect()
    }

    #[test]
    fn each_has_one_letter_that_says_what_to_do() {
        let mut invalid = Invalid::default();
        invalid.add(&[member("alice"), member("bob")]);
        invalid.add(&[member("alice"), member(b"a\"\xff b"), member("")]);
        assert_eq!(invalid.count(), 4);
        let letters = letters(&mut invalid);
        let values: Vec<_> = letters.iter().map(|letter| &letter.value[..]).collect();
        assert_eq!(values, [&b"alice"[..], b"bob", b"a\"\xff b", b""]);
        let set = "community:9007199254740991:members";
        assert!(letters[0].reason.contains(&format!("SREM {set} \"alice\".")), "{}", letters[0].reason);
        assert!(letters[2].reason.contains(&format!(r#"SREM {set} "a\"\xff b"."#)), "{}", letters[2].reason);
        assert_eq!((letters[0].offset, letters[0].key), (Offset::new(5), None));
    }

    #[test]
    fn a_set_of_texts_makes_a_few_letters_and_the_last_says_how_many_more_there_are() {
        let mut invalid = Invalid::default();
        for _ in 0..2 {
            let texts: Vec<_> = (0..10_000).map(|number| member(format!("user-{number}"))).collect();
            invalid.add(&texts);
        }
        assert_eq!(invalid.count(), 10_000);
        let letters = letters(&mut invalid);
        assert_eq!(letters.len(), MEMBER_LETTERS_MAX);
        let says = letters.iter().filter(|letter| letter.reason.contains("more such members")).count();
        assert_eq!(says, 1);
        assert!(letters[MEMBER_LETTERS_MAX - 1].reason.contains("; 9900 more such members have no letter."));
    }

    #[test]
    fn the_longest_reason_is_whole_and_a_long_member_is_cut() {
        let mut invalid = Invalid::default();
        invalid.add(&vec![member(vec![0xff; 100_000]); 2]);
        let text = invalid.letters(&work(), u64::MAX, Partition::new(3)).remove(0);
        let letter: DeadLetter = serde_json::from_slice(&text.value).unwrap();
        assert!(letter.reason.chars().count() <= LETTER_REASON_CHARS_MAX && letter.reason.ends_with("meant"));
        assert!(letter.reason.contains("(100000 bytes)"), "{}", letter.reason);
        assert_eq!(letter.value.len(), MEMBER_LETTER_BYTES_MAX);
    }
}
