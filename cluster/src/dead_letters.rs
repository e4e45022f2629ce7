//! `peal dead-letters`: lists, shows and replays what could not be processed.

use std::io;

use peal_proto::LetterId;

use crate::api::{Api, ApiError, ListedLetter, ShownLetter};
use crate::config::dead_letters::{Action, DeadLetters};
use crate::limits::LETTERS_REPLAYED_MAX;
use crate::output::{self, printable};

/// Why a command about dead letters failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The publisher's answer, or none.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// One could not be replayed for now, and the rest was not tried.
    #[error("{error}; {done} of {all} dead letters were replayed before {letter}")]
    Partly {
        /// What happened.
        error: ApiError,
        /// How many were replayed.
        done: usize,
        /// Of how many.
        all: usize,
        /// The one it happened to.
        letter: LetterId,
    },
    /// Some never can be; they were named when it was found.
    #[error("{refused} of {all} dead letters were not replayed")]
    Refused {
        /// How many.
        refused: usize,
        /// Of how many.
        all: usize,
    },
    /// More than one command should do.
    #[error("there are more than {LETTERS_REPLAYED_MAX} dead letters; say by their ids which are to be replayed")]
    TooMany,
    /// The answer can't be printed.
    #[error("stdout can't be written")]
    Output(#[from] io::Error),
}

/// `peal dead-letters`.
///
/// # Errors
/// [`Failure`].
pub async fn run(letters: &DeadLetters) -> Result<(), Failure> {
    let api = letters.which.api();
    match &letters.action {
        Action::List(list) => self::list(&api, list.json).await,
        Action::Show(show) => {
            let letter = api.letter(show.letter).await?;
            Ok(output::lines(if show.json { vec![json(&letter)?] } else { shown(&letter) })?)
        }
        Action::Replay(replay) => {
            let letters = if replay.all { all(&api, replay.again).await? } else { replay.letters.clone() };
            self::replay(&api, &letters, replay.again).await
        }
    }
}

async fn list(api: &Api, as_json: bool) -> Result<(), Failure> {
    let (mut next, mut some) = (None, false);
    loop {
        let page = api.letters(next).await?;
        for letter in &page.letters {
            output::line(if as_json { json(letter)? } else { listed(letter) })?;
            some = true;
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    if !some && output::is_terminal() {
        output::line("there are no dead letters")?;
    }
    Ok(())
}

fn json(letter: &impl serde::Serialize) -> io::Result<String> {
    Ok(printable(&serde_json::to_string(letter)?))
}

/// `7-0  peal.events/7 at 5, key 7, 12 bytes, attempt 2, replayed: it is not an event: …`.
fn listed(letter: &ListedLetter) -> String {
    let ListedLetter { letter, replayed, reason, attempt, topic, partition, offset, key, bytes } = letter;
    let (topic, reason, key, how) = (printable(topic), printable(reason), key_of(*key), how_often(*attempt, *replayed));
    format!("{letter}  {topic}/{partition} at {offset}, {key}, {bytes} bytes{how}: {reason}")
}

fn how_often(attempt: u32, replayed: bool) -> String {
    let attempt = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    attempt + if replayed { ", replayed" } else { "" }
}

fn key_of(key: Option<u64>) -> String {
    key.map_or_else(|| "no key".to_owned(), |key| format!("key {key}"))
}

fn shown(letter: &ShownLetter) -> Vec<String> {
    let ShownLetter { letter, replayed, content } = letter;
    let held = match std::str::from_utf8(&content.value) {
        Ok(text) => printable(text),
        Err(_) => content.value.escape_ascii().to_string(),
    };
    let (topic, partition, offset, key) =
        (printable(content.topic.name()), content.partition, content.offset, key_of(content.key));
    let bytes = match content.cut_from {
        None => format!("{} bytes", content.value.len()),
        Some(bytes) => format!("{bytes} bytes, of which the first {} are kept", content.value.len()),
    };
    vec![
        format!("dead letter {letter}: {}", printable(&content.reason)),
        format!("from {topic}/{partition} at {offset}, {key}, {bytes}{}:", how_often(content.attempt, *replayed)),
        held,
    ]
}

/// The ids of all letters that there are, but for those that were replayed unless it is to be done again. Before any is replayed:
/// those that become letters again are not replayed again.
async fn all(api: &Api, again: bool) -> Result<Vec<LetterId>, Failure> {
    let (mut letters, mut next) = (Vec::new(), None);
    loop {
        let page = api.letters(next).await?;
        let due = page.letters.iter().filter(|listed| again || !listed.replayed);
        letters.extend(due.map(|listed| listed.letter));
        if letters.len() > LETTERS_REPLAYED_MAX {
            return Err(Failure::TooMany);
        }
        next = page.next;
        if next.is_none() {
            return Ok(letters);
        }
    }
}

async fn replay(api: &Api, letters: &[LetterId], again: bool) -> Result<(), Failure> {
    let (mut done, mut refused, all) = (0, 0, letters.len());
    for letter in letters.iter().copied() {
        match api.replay(letter, again).await {
            Ok(stands) => {
                let (topic, partition, offset) = (printable(&stands.topic), stands.partition, stands.offset);
                output::line(format!("{letter} stands again in {topic}/{partition} at {offset}"))?;
                done += 1;
            }
            Err(ApiError::Problem(refusal)) if refusal.is_final() => {
                output::remark(format!("peal: {refusal}"));
                refused += 1;
            }
            Err(error) => return Err(Failure::Partly { error, done, all, letter }),
        }
    }
    if refused > 0 { Err(Failure::Refused { refused, all }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use peal_proto::{DeadLetter, Offset, Partition, Topic};

    use super::*;

    #[test]
    fn what_a_stranger_wrote_does_not_steer_the_terminal() {
        let reason = "unknown field `\u{1b}[31m`".to_owned();
        let (partition, offset) = (Partition::new(7), Offset::new(5));
        let letter = |value: &[u8]| ShownLetter {
            letter: "7-0".parse().unwrap(),
            replayed: false,
            content: DeadLetter::new(reason.clone(), Topic::Events, partition, offset, Some(7), value),
        };
        let lines = shown(&letter("a\u{9b}31m\nb".as_bytes()));
        assert_eq!(lines[0], r"dead letter 7-0: unknown field `\u001b[31m`");
        assert_eq!(lines[1..], ["from peal.events/7 at 5, key 7, 8 bytes:", r"a\u009b31m b"]);
        assert_eq!(shown(&letter(b"\xff\x1b x"))[2], r"\xff\x1b x");
        assert!(json(&letter("\u{9b}".as_bytes())).unwrap().ends_with(r#""value":"\u009b"}"#));
    }
}
