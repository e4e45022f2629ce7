//! The members as they should be: a dump of a table or the result of a query, as lines of text.
//!
//! One user a line, or `community,user` with or without a line of names above. Owns what a line may be; where it comes from and
//! what it is compared with is the command's business.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use peal_proto::{CommunityId, UserId};

use crate::limits::MEMBERS_VERIFIED_MAX;

/// Who should be in which community, ascending, nobody twice.
pub(super) type Rows = BTreeMap<CommunityId, Vec<UserId>>;

/// Why a file does not say who the members are.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRows {
    /// It can't be read.
    #[error("it can't be read")]
    Read(#[from] io::Error),
    /// A line makes no sense.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// More than fits into memory.
    #[error("it has more than {MEMBERS_VERIFIED_MAX} members; compare some communities at a time")]
    TooMany,
}

/// Where the columns are.
#[derive(Clone, Copy)]
enum Shape {
    Users,
    Pairs { community: usize, user: usize },
}

/// Reads lines; with a community, only what is of it.
pub(super) fn read(from: impl BufRead, only: Option<CommunityId>) -> Result<Rows, InvalidRows> {
    let (mut rows, mut shape, mut count) = (Rows::new(), None, 0);
    for (number, line) in (1_u64..).zip(from.lines()) {
        let line = line?;
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        if fields == [""] {
            continue;
        }
        let invalid = |reason| InvalidRows::Line { line: number, reason };
        let known = match shape {
            Some(known) => known,
            None => {
                let first = *shape.insert(shape_of(&fields, only).map_err(invalid)?);
                if is_header(&fields) {
                    continue;
                }
                first
            }
        };
        let (community, user) = row(&fields, known, only).map_err(invalid)?;
        if only.is_some_and(|only| only != community) {
            continue;
        }
        count += 1;
        if count > MEMBERS_VERIFIED_MAX {
            return Err(InvalidRows::TooMany);
        }
        rows.entry(community).or_default().push(user);
    }
    for users in rows.values_mut() {
        users.sort_unstable();
        users.dedup();
    }
    Ok(rows)
}

/// A line of names has letters, a line of ids has none.
fn is_header(fields: &[&str]) -> bool {
    fields.iter().any(|field| field.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

fn shape_of(fields: &[&str], only: Option<CommunityId>) -> Result<Shape, String> {
    let place = |names: [&str; 2]| fields.iter().position(|field| names.contains(field));
    if is_header(fields) {
        return match (place(["community", "community_id"]), place(["user", "user_id"]), only) {
            (Some(community), Some(user), _) => Ok(Shape::Pairs { community, user }),
            (None, Some(0), Some(_)) if fields.len() == 1 => Ok(Shape::Users),
            (..) => Err(format!("the columns must be community,user (or community_id,user_id), not {}", shown(fields))),
        };
    }
    match (fields, only) {
        ([_, _], _) => Ok(Shape::Pairs { community: 0, user: 1 }),
        ([_], Some(_)) => Ok(Shape::Users),
        ([_], None) => Err("one id alone is a user; say of which --community, or give community,user".to_owned()),
        (..) => Err(format!("it must be community,user, not {}", shown(fields))),
    }
}

fn row(fields: &[&str], shape: Shape, only: Option<CommunityId>) -> Result<(CommunityId, UserId), String> {
    let user = |text: &str| text.parse::<UserId>().map_err(|error| error.to_string());
    match (shape, fields, only) {
        (Shape::Users, [id], Some(community)) => Ok((community, user(id)?)),
        (Shape::Users, ..) => Err(format!("it must be one user, not {}", shown(fields))),
        (Shape::Pairs { community, user: place }, ..) => match (fields.get(community), fields.get(place)) {
            (Some(community), Some(id)) => {
                Ok((community.parse::<CommunityId>().map_err(|error| error.to_string())?, user(id)?))
            }
            (..) => Err(format!("it must be community,user, not {}", shown(fields))),
        },
    }
}

fn shown(fields: &[&str]) -> String {
    format!("{:?}", fields.join(",").chars().take(60).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, only: Option<u64>) -> Result<Vec<(u64, Vec<u64>)>, String> {
        let only = only.map(|only| CommunityId::new(only).unwrap());
        let rows = read(text.as_bytes(), only).map_err(|error| error.to_string())?;
        let numbers = |users: Vec<UserId>| users.into_iter().map(UserId::get).collect();
        Ok(rows.into_iter().map(|(community, users)| (community.get(), numbers(users))).collect())
    }

    #[test]
    fn a_file_has_users_or_communities_and_users() {
        assert_eq!(rows("42\r\n\n7\n42", Some(1)).unwrap(), [(1, vec![7, 42])]);
        assert_eq!(rows("user_id\n42\n", Some(1)).unwrap(), [(1, vec![42])]);
        let both = [(1, vec![42]), (2, vec![7, 8])];
        assert_eq!(rows("2,8\n1,42\n2,7\n", None).unwrap(), both);
        assert_eq!(rows("community,user\n2,8\n1,42\n2,7\n", None).unwrap(), both);
        assert_eq!(rows("role,user_id,community_id\nx,8,2\n,42,1\ny,7,2\n", None).unwrap(), both);
        assert_eq!(rows("community,user\n2,8\n1,42\n2,7\n", Some(2)).unwrap(), both[1..]);
        assert_eq!(rows("", Some(7)).unwrap(), []);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (text, only, part) in [
            ("42\n", None, "line 1: one id alone is a user; say of which --community"),
            ("\n1,2\n1,x\n", None, r#"line 3: a user must be an integer from 0 to 9007199254740991 (2^53-1), not "x""#),
            ("1,2\nx,2\n", None, "line 2: a community must be an integer"),
            ("1,2\n3\n", None, r#"line 2: it must be community,user, not "3""#),
            ("1,2,3\n", None, r#"line 1: it must be community,user, not "1,2,3""#),
            ("1\n1,2\n", Some(7), r#"line 2: it must be one user, not "1,2""#),
            ("community,name\n", None, "line 1: the columns must be community,user"),
            ("-1\n", Some(7), r#"line 1: a user must be an integer from 0 to 9007199254740991 (2^53-1), not "-1""#),
        ] {
            let error = rows(text, only).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
