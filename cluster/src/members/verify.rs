//! `peal members verify`: compares sets with what they should be, and makes them so if asked to.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use peal_proto::{CommunityId, UserId};
use peal_store::members::MEMBERS_PAGE_MAX;

use super::Failure;
use super::rows::{self, InvalidRows, Rows};
use crate::api::{Api, Change};
use crate::config::members::Verify;
use crate::output;

/// How a set differs from what it should be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Who should be a member and is none.
    missing: Vec<UserId>,
    /// Who is a member and should be none.
    extra: Vec<UserId>,
}

/// Compares, and fails when anything differs that is not repaired.
pub(super) async fn run(api: &Api, verify: &Verify, community: Option<CommunityId>) -> Result<(), Failure> {
    let wrong = |error| Failure::File { path: verify.file.clone(), error };
    let mut rows = read(&verify.file, community).map_err(wrong)?;
    for community in community.into_iter().chain(verify.also.iter().copied()) {
        rows.entry(community).or_default();
    }
    if rows.is_empty() {
        return Err(Failure::Nothing { path: verify.file.clone() });
    }
    let (mut members, mut differ, communities) = (0, 0, rows.len());
    for (community, expected) in rows {
        members += expected.len();
        let found: Vec<_> = api.members(community).await?.into_iter().collect();
        let difference = difference(&expected, &found);
        print(community, &difference)?;
        differ += difference.missing.len() + difference.extra.len();
        if verify.repair {
            repair(api, community, difference).await?;
        }
    }
    let communities = if communities == 1 { "1 community".to_owned() } else { format!("{communities} communities") };
    let all = format!("{members} members of {communities}");
    match (differ, verify.repair) {
        (0, _) => Ok(output::line(format!("equal: {all}"))?),
        (_, true) => Ok(output::line(format!("repaired: {differ} of {all} differed"))?),
        (_, false) => Err(Failure::Differ { differ, all }),
    }
}

fn read(path: &Path, community: Option<CommunityId>) -> Result<Rows, InvalidRows> {
    if path == Path::new("-") {
        rows::read(io::stdin().lock(), community)
    } else {
        rows::read(BufReader::new(File::open(path)?), community)
    }
}

/// Both are ascending, and have nobody twice.
fn difference(expected: &[UserId], found: &[UserId]) -> Difference {
    let without = |of: &[UserId], others: &[UserId]| {
        of.iter().filter(|user| others.binary_search(user).is_err()).copied().collect()
    };
    Difference { missing: without(expected, found), extra: without(found, expected) }
}

fn print(community: CommunityId, Difference { missing, extra }: &Difference) -> io::Result<()> {
    let lines = |users: &[UserId], what: &str| {
        let lines: Vec<_> = users.iter().map(|user| format!("community {community}: user {user} {what}")).collect();
        output::lines(lines)
    };
    lines(missing, "is missing")?;
    lines(extra, "is a member and should not be")
}

async fn repair(api: &Api, community: CommunityId, Difference { missing, extra }: Difference) -> Result<(), Failure> {
    for add in missing.chunks(MEMBERS_PAGE_MAX) {
        api.change(community, &Change { add: add.to_vec(), ..Change::default() }).await?;
    }
    for remove in extra.chunks(MEMBERS_PAGE_MAX) {
        api.change(community, &Change { remove: remove.to_vec(), ..Change::default() }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_and_who_is_extra_are_told_apart() {
        let users = |numbers: &[u64]| numbers.iter().map(|number| UserId::new(*number).unwrap()).collect::<Vec<_>>();
        let difference = difference(&users(&[1, 2, 4]), &users(&[2, 3, 4, 9]));
        assert_eq!(difference, Difference { missing: users(&[1]), extra: users(&[3, 9]) });
    }
}
