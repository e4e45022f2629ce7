//! What a record of a table's topic says: who is a member from now on, and who no longer.
//!
//! Reads the change events that Debezium writes as JSON, with or without the schema around them
//! (<https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events>). Columns that are not
//! asked for are passed over, so a table may get new ones. Owns what makes a record readable; what is done with one that is
//! not is [`super::letter`]'s business.

use std::borrow::Cow;
use std::collections::BTreeMap;

use peal_proto::id::InvalidId;
use peal_proto::{CommunityId, UserId};
use peal_store::table::RowRecord;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::Columns;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Membership {
    pub(super) community: CommunityId,
    pub(super) user: UserId,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Create,
    /// It was there when a snapshot was taken.
    Snapshot,
    Update,
    Delete,
    /// Says again that it is gone, so that Kafka can forget it.
    Tombstone,
}

impl Op {
    /// The label of the metric.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Snapshot => "snapshot",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Tombstone => "tombstone",
        }
    }
}

/// A change of the table. What is removed is removed before anything is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) op: Op,
    pub(super) remove: Option<Membership>,
    pub(super) add: Option<Membership>,
}

/// Why a record is no change that can be followed: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is not a change event of Debezium's: {0}")]
    NotAChange(String),
    #[error("the row {0} has no column {1:?}; see --cdc-community-column and --cdc-user-column")]
    Column(&'static str, String),
    #[error("column {1:?} of the row {0} can't be read: {2}")]
    Value(&'static str, String, String),
    #[error(
        "its key has no columns {0:?} and {1:?}, so that nothing keeps the changes of a membership together; make them the \
         table's primary key, or set message.key.columns of the connector and ALTER TABLE … REPLICA IDENTITY FULL"
    )]
    Key(String, String),
    #[error(
        "what the row was before is user 0 in community 0, which is what Debezium writes for what PostgreSQL did not tell; \
         ALTER TABLE … REPLICA IDENTITY FULL, then `peal members verify`"
    )]
    Zeros,
    #[error(
        "the table was truncated, which names nobody; delete rows instead. `peal members verify --repair` makes it good"
    )]
    Truncated,
    #[error("there is no operation {0:?}")]
    Operation(String),
}

impl Unreadable {
    /// The label of the metric.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::NotAChange(_) => "cdc-not-a-change",
            Self::Column(..) => "cdc-column",
            Self::Value(..) => "cdc-value",
            Self::Key(..) => "cdc-key",
            Self::Zeros => "cdc-zeros",
            Self::Truncated => "cdc-truncated",
            Self::Operation(_) => "cdc-operation",
        }
    }
}

/// A change event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    op: Option<Cow<'a, str>>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    /// It stands in here when the schema is told beside it.
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// The columns that were asked for, and whichever others there are.
type Row<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Reads records.
#[derive(Debug, Clone)]
pub(super) struct ChangeReader {
    columns: Columns,
}

impl ChangeReader {
    pub(super) fn new(columns: Columns) -> Self {
        Self { columns }
    }

    pub(super) fn read(&self, record: &RowRecord) -> Result<Change, Unreadable> {
        let Some(value) = &record.value else {
            let key = real(self.key(record.key.as_deref())?)?;
            return Ok(Change { op: Op::Tombstone, remove: Some(key), add: None });
        };
        let mut event: Event<'_> = parse(value)?;
        if let (None, Some(payload)) = (&event.op, event.payload) {
            event = parse(payload.get().as_bytes())?;
        }
        let op = event.op.ok_or_else(|| Unreadable::NotAChange("it has no field \"op\"".to_owned()))?;
        let op = match &*op {
            "c" => Op::Create,
            "r" => Op::Snapshot,
            "u" => Op::Update,
            "d" => Op::Delete,
            "t" => return Err(Unreadable::Truncated),
            other => return Err(Unreadable::Operation(other.chars().take(40).collect())),
        };
        let key = self.key(record.key.as_deref())?;
        match op {
            Op::Create | Op::Snapshot => Ok(Change { op, remove: None, add: Some(self.after(event.after)?) }),
            Op::Update => {
                let add = self.after(event.after)?;
                // A row that moves is mostly a deletion and a creation: each key is told by itself.
                let before = self.before(event.before)?.unwrap_or(key);
                let remove = (before != add).then(|| real(before)).transpose()?;
                Ok(Change { op, remove, add: Some(add) })
            }
            Op::Delete | Op::Tombstone => Ok(Change { op, remove: Some(real(key)?), add: None }),
        }
    }

    /// What the key says. All that is told of a membership is in order, and outlives compaction, by having it as its key.
    fn key(&self, key: Option<&[u8]>) -> Result<Membership, Unreadable> {
        let no_columns = || Unreadable::Key(self.columns.community.clone(), self.columns.user.clone());
        let mut row: Row<'_> = key.and_then(|key| serde_json::from_slice(key).ok()).ok_or_else(no_columns)?;
        if let (Some(payload), true) = (row.get("payload"), row.contains_key("schema")) {
            row = serde_json::from_str(payload.get()).map_err(|_| no_columns())?;
        }
        match self.row("of the key", &row) {
            Err(Unreadable::Column(..)) => Err(no_columns()),
            read => read,
        }
    }

    fn after(&self, row: Option<&RawValue>) -> Result<Membership, Unreadable> {
        let missing = || Unreadable::NotAChange("it does not say what the row is now".to_owned());
        self.row("after it", &parse(row.ok_or_else(missing)?.get().as_bytes())?)
    }

    fn before(&self, row: Option<&RawValue>) -> Result<Option<Membership>, Unreadable> {
        row.map(|row| self.row("before it", &parse(row.get().as_bytes())?)).transpose()
    }

    fn row(&self, which: &'static str, row: &Row<'_>) -> Result<Membership, Unreadable> {
        let community = value(which, row, &self.columns.community, |id| match id {
            Id::Number(number) => CommunityId::new(number),
            Id::Text(text) => text.parse(),
        })?;
        let user = value(which, row, &self.columns.user, |id| match id {
            Id::Number(number) => UserId::new(number),
            Id::Text(text) => text.parse(),
        })?;
        Ok(Membership { community, user })
    }
}

/// A membership that is to be removed. Where the replica identity leaves columns out Debezium writes zeros for them.
fn real(before: Membership) -> Result<Membership, Unreadable> {
    if (before.community.get(), before.user.get()) == (0, 0) { Err(Unreadable::Zeros) } else { Ok(before) }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(json).map_err(|error| Unreadable::NotAChange(error.to_string()))
}

/// An id, as a column of numbers or of texts has it.
enum Id {
    Number(u64),
    Text(String),
}

fn value<T>(
    which: &'static str,
    row: &Row<'_>,
    column: &str,
    id: impl FnOnce(Id) -> Result<T, InvalidId>,
) -> Result<T, Unreadable> {
    let missing = || Unreadable::Column(which, column.to_owned());
    let unreadable = |why: String| Unreadable::Value(which, column.to_owned(), why);
    let given = row.get(column).ok_or_else(missing)?.get();
    let read = match serde_json::from_str(given) {
        Ok(Value::Number(number)) => number.as_u64().map(Id::Number),
        Ok(Value::String(text)) => Some(Id::Text(text)),
        Ok(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | Err(_) => None,
    };
    let shown = || given.chars().take(40).collect::<String>();
    let read = read.ok_or_else(|| unreadable(format!("{} is not an integer from 0 to 2^53-1", shown())))?;
    id(read).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use peal_proto::{Offset, Partition};

    use super::*;

    fn read_of(key: Option<&str>, value: Option<&str>) -> Result<Change, Unreadable> {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let (partition, offset) = (Partition::new(0), Offset::new(5));
        let record = RowRecord { partition, offset, key: key.map(bytes), value: value.map(bytes) };
        ChangeReader::new(Columns::default()).read(&record)
    }

    const KEY: &str = r#"{"community_id":7,"user_id":42}"#;

    fn read(value: &str) -> Result<Change, Unreadable> {
        read_of(Some(KEY), Some(value))
    }

    fn reason(value: &str) -> String {
        read(value).unwrap_err().to_string()
    }

    fn member(community: u64, user: u64) -> Membership {
        Membership { community: CommunityId::new(community).unwrap(), user: UserId::new(user).unwrap() }
    }

    #[test]
    fn every_operation_says_who_is_a_member_and_who_no_longer() {
        let row = r#"{"community_id":7,"user_id":42,"since":"2026-11-22","role":null}"#;
        let here = Some(member(7, 42));
        for (op, value, remove, add) in [
            (Op::Create, format!(r#"{{"before":null,"after":{row},"op":"c","ts_ms":1}}"#), None, here),
            (Op::Snapshot, format!(r#"{{"before":null,"after":{row},"op":"r"}}"#), None, here),
            (Op::Update, format!(r#"{{"before":{row},"after":{row},"op":"u"}}"#), None, here),
            (Op::Update, format!(r#"{{"before":null,"after":{row},"op":"u"}}"#), None, here),
            (Op::Delete, format!(r#"{{"before":{row},"after":null,"op":"d"}}"#), here, None),
            (Op::Delete, r#"{"before":null,"after":null,"op":"d"}"#.to_owned(), here, None),
        ] {
            assert_eq!(read(&value), Ok(Change { op, remove, add }), "{value}");
            let with_schema = format!(r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{value}}}"#);
            let key = format!(r#"{{"schema":{{"type":"struct"}},"payload":{KEY}}}"#);
            assert_eq!(read_of(Some(&key), Some(&with_schema)), Ok(Change { op, remove, add }), "{with_schema}");
        }
        assert_eq!(read_of(Some(KEY), None), Ok(Change { op: Op::Tombstone, remove: here, add: None }));
    }

    #[test]
    fn a_row_that_moves_leaves_where_it_was() {
        let moved = r#"{"before":{"community_id":7,"user_id":42},"after":{"community_id":8,"user_id":42},"op":"u"}"#;
        assert_eq!(read(moved), Ok(Change { op: Op::Update, remove: Some(member(7, 42)), add: Some(member(8, 42)) }));
        let by_key = r#"{"before":null,"after":{"community_id":7,"user_id":43},"op":"u"}"#;
        assert_eq!(read(by_key), Ok(Change { op: Op::Update, remove: Some(member(7, 42)), add: Some(member(7, 43)) }));
    }

    #[test]
    fn a_key_that_says_nothing_of_the_membership_is_refused() {
        let created = r#"{"before":null,"after":{"id":1,"community_id":7,"user_id":42},"op":"c"}"#;
        for key in [None, Some(r#"{"id":1}"#), Some("rubbish"), Some(r#"{"schema":{},"payload":null}"#)] {
            let reason = read_of(key, Some(created)).unwrap_err().to_string();
            assert!(reason.contains("set message.key.columns"), "{reason}");
            assert!(read_of(key, None).is_err());
        }
        let zeros = Some(r#"{"community_id":0,"user_id":0}"#);
        assert_eq!(read_of(zeros, Some(r#"{"before":null,"after":null,"op":"d"}"#)), Err(Unreadable::Zeros));
        assert_eq!(read_of(zeros, None), Err(Unreadable::Zeros));
    }

    #[test]
    fn ids_may_be_texts() {
        let texts = r#"{"before":null,"after":{"community_id":"7","user_id":"9007199254740991"},"op":"c"}"#;
        assert_eq!(read(texts).unwrap().add, Some(member(7, (1 << 53) - 1)));
    }

    #[test]
    fn what_cannot_be_followed_says_what_is_wrong() {
        let after = |row: &str| reason(&format!(r#"{{"before":null,"after":{row},"op":"c"}}"#));
        assert!(after(r#"{"community_id":7}"#).contains(r#"the row after it has no column "user_id""#));
        for (given, why) in [
            ("null", "null is not an integer"),
            ("-1", "-1 is not an integer"),
            ("4.2", "4.2 is not an integer"),
            ("[1]", "[1] is not an integer"),
            ("9007199254740992", "must be an integer from 0 to 9007199254740991"),
            (r#""042""#, "must be an integer"),
        ] {
            let reason = after(&format!(r#"{{"community_id":7,"user_id":{given}}}"#));
            assert!(reason.contains(r#"column "user_id" of the row after it can't be read"#), "{reason}");
            assert!(reason.contains(why), "{reason}");
        }
        assert!(reason("rubbish").starts_with("it is not a change event of Debezium's"));
        assert!(reason("{}").contains("no field \"op\""));
        assert!(reason(r#"{"schema":null,"payload":null}"#).contains("no field \"op\""));
        assert!(reason(r#"{"op":"c"}"#).contains("what the row is now"));
        assert!(reason(r#"{"op":"t"}"#).contains("truncated"));
        assert_eq!(reason(r#"{"op":"x"}"#), r#"there is no operation "x""#);
    }
}
