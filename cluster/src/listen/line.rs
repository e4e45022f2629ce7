//! One notification, one line: for a person, or as JSON for a program.

use peal_proto::Cursor;
use peal_proto::frame::GapReason;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::printable;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The frames of the node, without the blanks between.
    Json,
    /// For a person.
    Plain,
    /// For a person, with what matters most standing out.
    Colour,
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// What a person wants to see of a notification.
#[derive(Deserialize)]
struct Shown<'a> {
    kind: String,
    community: u64,
    at: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// `2026-11-22 10:00:00Z  community.posted  in 7  {"text":"hi"}  3.1072`, with `(and 16 before it)` where it took their place.
pub(super) fn notification(style: Style, cursor: Cursor, replaced: u32, notification: &RawValue) -> String {
    let text = notification.get();
    let shown = match style {
        Style::Json => {
            let replaced = if replaced == 0 { String::new() } else { format!(r#""replaced":{replaced},"#) };
            return printable(&format!(
                r#"{{"type":"notification","cursor":"{cursor}",{replaced}"notification":{text}}}"#
            ));
        }
        Style::Plain | Style::Colour => serde_json::from_str::<Shown<'_>>(text),
    };
    let Ok(Shown { kind, community, at, data }) = shown else { return printable(&format!("{text}  {cursor}")) };
    let (at, kind, data) = (seconds(&at), printable(&kind), printable(data.get()));
    let data = if replaced == 0 { data } else { format!("{data}  (and {replaced} before it)") };
    match style {
        Style::Colour => format!("{DIM}{at}{RESET}  {BOLD}{kind}{RESET}  in {community}  {data}  {DIM}{cursor}{RESET}"),
        Style::Plain | Style::Json => format!("{at}  {kind}  in {community}  {data}  {cursor}"),
    }
}

/// What the cluster could not keep.
pub(super) fn gap(style: Style, from: Cursor, to: Cursor, reason: GapReason) -> String {
    let why = match reason {
        GapReason::Expired => "its time was over",
        GapReason::Quota => "it was more than the cluster keeps for one user",
        GapReason::Generation => "the cluster has another log than the one this cursor is of",
    };
    let text = format!("-- a gap from {from} to {to}: what lay between is gone; {why}");
    match style {
        Style::Json => {
            let reason = reason.name();
            format!(r#"{{"type":"gap","from":"{from}","to":"{to}","reason":"{reason}"}}"#)
        }
        Style::Plain => text,
        Style::Colour => format!("{YELLOW}{text}{RESET}"),
    }
}

/// RFC 3339 without its fraction of a second, and easier on the eye.
fn seconds(at: &str) -> String {
    let (date, time) = at.split_once('T').unwrap_or(("", at));
    let time = time.split('.').next().unwrap_or(time).trim_end_matches('Z');
    printable(&format!("{date} {time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn shown(style: Style, data: &str) -> String {
        let record = format!(
            r#"{{"id":"e:42","event":"e","kind":"community.posted","community":7,"at":"2026-11-22T10:00:00.000Z","data":{data}}}"#
        );
        notification(style, "3.1072".parse().unwrap(), 0, &raw(&record))
    }

    #[test]
    fn a_person_reads_when_what_where_and_the_data() {
        assert_eq!(
            shown(Style::Plain, r#"{"text":"hi"}"#),
            r#"2026-11-22 10:00:00Z  community.posted  in 7  {"text":"hi"}  3.1072"#
        );
    }

    #[test]
    fn json_is_the_frame_on_one_line() {
        let text = shown(Style::Json, "{\n\"a\": 1}");
        assert!(!text.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["notification"]["data"]["a"], 1);
        assert_eq!(value["cursor"], "3.1072");
    }

    #[test]
    fn a_poster_cannot_steer_the_terminal() {
        let text = shown(Style::Plain, "{\"a\":\"\u{9b}31m\u{202e}\"}");
        assert!(text.contains(r"\u009b31m\u202e"), "{text}");
    }

    #[test]
    fn it_is_said_how_many_others_a_notification_stands_for() {
        let record = raw(r#"{"kind":"count","community":7,"at":"2026-11-22T10:00:00.000Z","data":{}}"#);
        let shown = |style| notification(style, "3.17".parse().unwrap(), 16, &record);
        assert_eq!(shown(Style::Plain), "2026-11-22 10:00:00Z  count  in 7  {}  (and 16 before it)  3.17");
        assert!(shown(Style::Json).contains(r#""cursor":"3.17","replaced":16,"notification""#));
    }

    #[test]
    fn a_record_of_another_shape_is_shown_as_it_is() {
        assert_eq!(notification(Style::Plain, "3.1".parse().unwrap(), 0, &raw("[1]")), "[1]  3.1");
    }
}
