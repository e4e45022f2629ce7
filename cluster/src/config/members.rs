//! The words of `peal members`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use peal_proto::{CommunityId, UserId};

use super::Which;
use crate::limits::MEMBERS_A_COMMAND_MAX;

pub(super) const ABOUT: &str = "\
Without more words: how many members a community has, and who they are when they are few. `list` prints all of them, one a \
line, ascending. `add` and `remove` change them, and nobody is told; for a join that is told, see `peal join`.

`verify` compares them with a file. Users are numbers and ranges, separated by blanks or commas. 1..1000 are the thousand \
users from 1 to 1000: both ends belong to a range.";

const AFTER: &str = "\
Examples:
  peal members 7
  peal members 7 add 1..1000
  peal members 7 add 5 17 100..199,300..399
  peal members 7 remove 5
  peal members 7 list > members.txt
  peal members verify --community 7 --file members.txt";

const ADD_ABOUT: &str = "\
Makes users members, and says how many were none before. Nobody is told; for a join that is told, see `peal join`. Users \
are numbers and ranges, separated by blanks or commas; both ends belong to a range.";

const ADD_AFTER: &str = "\
Examples:
  peal members 7 add 1..1000
  peal members 7 add 5 17 100..199,300..399";

const REMOVE_ABOUT: &str = "\
Makes users members no longer, and says how many were. Nobody is told. What was posted before still reaches them. Users \
are numbers and ranges, separated by blanks or commas; both ends belong to a range.";

const REMOVE_AFTER: &str = "\
Examples:
  peal members 7 remove 5
  peal members 7 remove 1..1000";

const VERIFY_ABOUT: &str = "\
Compares the sets of members with a file, such as a dump of the table that they should be equal to, and prints who is missing \
and who should be no member. The exit code is 1 when anybody is. The file has one user a line where --community is given, and \
else community,user a line; a first line of names (community,user or community_id,user_id, in any order) says which columns \
they are.

What changes between the dump and the comparison shows as a difference: compare again, or when nobody writes.";

const VERIFY_AFTER: &str = "\
Examples:
  psql shop -c \"copy (select user_id from memberships where community_id = 7) to stdout\" |
    peal members verify --community 7 --file -
  psql shop -c \"copy (select community_id, user_id from memberships) to stdout csv header\" > all.csv
  peal members verify --file all.csv
  peal members verify --file all.csv --also 8,9   8 and 9 may have no member in the table
  peal members verify --file all.csv --repair";

/// Count, list, add, remove or verify the members of a community
#[derive(Debug, Args)]
#[command(after_long_help = AFTER, subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
pub struct Members {
    /// Which community
    pub community: Option<CommunityId>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// What to do with its members.
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print all members, one a line, ascending
    List,
    /// Make users members; nobody is told
    #[command(long_about = ADD_ABOUT, after_long_help = ADD_AFTER)]
    Add(Users),
    /// Make users members no longer; nobody is told
    #[command(long_about = REMOVE_ABOUT, after_long_help = REMOVE_AFTER)]
    Remove(Users),
    /// Compare members with what they should be
    #[command(long_about = VERIFY_ABOUT, after_long_help = VERIFY_AFTER)]
    Verify(Verify),
}

/// What members should be.
#[derive(Debug, Args)]
pub struct Verify {
    /// The members as they should be; - is stdin
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Compare this community alone
    #[arg(id = "of", long = "community", value_name = "COMMUNITY")]
    pub community: Option<CommunityId>,
    /// Communities that are compared even where the file has no member of them
    #[arg(long, value_name = "COMMUNITIES", value_delimiter = ',', conflicts_with = "of")]
    pub also: Vec<CommunityId>,
    /// Add who is missing and remove who should be no member
    #[arg(long)]
    pub repair: bool,
}

/// Which users.
#[derive(Debug, Args)]
pub struct Users {
    /// Numbers and ranges, such as 5 or 1..1000 (both ends belong to it) or 1,5,10..20
    #[arg(required = true, value_delimiter = ',', value_name = "USERS")]
    pub users: Vec<Range>,
}

/// Users from one to another, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(RangeInclusive<u64>);

/// Why a text names no users.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRange {
    /// One of the numbers is none.
    #[error(transparent)]
    User(#[from] peal_proto::id::InvalidId),
    /// From high to low.
    #[error("the range ends before it begins")]
    Backwards,
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last): (UserId, UserId) = (first.parse()?, last.parse()?);
        if first > last {
            return Err(InvalidRange::Backwards);
        }
        Ok(Self(first.get()..=last.get()))
    }
}

impl Users {
    /// One after the other, in the order given.
    pub fn each(&self) -> impl Iterator<Item = UserId> {
        self.users.iter().flat_map(|range| range.0.clone()).filter_map(|user| UserId::new(user).ok())
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.users.iter().fold(0_u64, |sum, range| sum.saturating_add(range.0.end() - range.0.start() + 1))
    }
}

impl Members {
    /// Everything that makes no sense.
    pub(super) fn faults(&self) -> Vec<String> {
        let users = match &self.action {
            Some(Action::Add(users) | Action::Remove(users)) => users.count(),
            Some(Action::Verify(verify)) if self.community.is_some() && verify.community.is_some() => {
                return vec!["the community is given twice".to_owned()];
            }
            Some(Action::Verify(_)) => return Vec::new(),
            Some(Action::List) | None => 0,
        };
        let mut faults = Vec::new();
        if self.community.is_none() {
            faults.push("which community? peal members 7, for one".to_owned());
        }
        if users > MEMBERS_A_COMMAND_MAX {
            faults.push(format!("{users} users at once; one command changes at most {MEMBERS_A_COMMAND_MAX}"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(texts: &[&str]) -> Users {
        Users { users: texts.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn both_ends_belong_to_a_range() {
        let users = users(&["1..3", "7"]);
        assert_eq!(users.each().map(UserId::get).collect::<Vec<_>>(), [1, 2, 3, 7]);
        assert_eq!(users.count(), 4);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "a", "3..1", "1..", "..", "-1", "1..=3", "1..2..3", "9007199254740992"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_of_everybody_is_counted_without_counting() {
        assert_eq!(users(&["0..9007199254740991"]).count(), 1 << 53);
    }
}
