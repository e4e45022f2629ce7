//! `peal members`: counts, lists, adds and removes the members of a community, and compares them with what they should be.

mod rows;
mod verify;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use peal_proto::{CommunityId, UserId};
use peal_store::members::MEMBERS_PAGE_MAX;

pub use self::rows::InvalidRows;
use crate::api::{Api, ApiError, Change, Changed};
use crate::config::members::{Action, Members, Users};
use crate::limits::{MEMBERS_LISTED_MAX, MEMBERS_SHOWN};
use crate::output;

/// Why a command about members failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The publisher's answer, or none.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Some were changed before it failed.
    #[error("{error}; {done} of {all} were done before, and doing all of them again is harmless")]
    Partly {
        /// What happened.
        error: ApiError,
        /// How many were done.
        done: u64,
        /// Of how many.
        all: u64,
    },
    /// More than a terminal should be asked to print.
    #[error("community {community} has {count} members; at most {MEMBERS_LISTED_MAX} are listed")]
    TooMany {
        /// Whose members.
        community: CommunityId,
        /// How many.
        count: u64,
    },
    /// The file does not say who the members are.
    #[error("{}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: InvalidRows,
    },
    /// There is no community to compare.
    #[error("{} has no members of any community; name those that have none with --community or --also", path.display())]
    Nothing {
        /// Which file.
        path: PathBuf,
    },
    /// The sets are not what they should be.
    #[error("{differ} differ, of {all}; --repair adds who is missing and removes who should be no member")]
    Differ {
        /// How many.
        differ: usize,
        /// Of how many.
        all: String,
    },
    /// The answer can't be printed.
    #[error("stdout can't be written")]
    Output(#[from] io::Error),
}

/// `peal members`.
///
/// # Errors
/// [`Failure`].
pub async fn run(members: &Members) -> Result<(), Failure> {
    let api = members.which.api();
    if let Some(Action::Verify(verify)) = &members.action {
        return verify::run(&api, verify, members.community.or(verify.community)).await;
    }
    let Some(community) = members.community else { return Ok(()) }; // the command line makes no sense without, and was refused
    match &members.action {
        None => show(&api, community).await,
        Some(Action::List) => list(&api, community).await,
        Some(Action::Add(users)) => {
            let changed = change(&api, community, users, |add| Change { add, ..Change::default() }).await?;
            told(users.count(), changed.added, "added to", "were members before", community)
        }
        Some(Action::Remove(users)) => {
            let changed = change(&api, community, users, |remove| Change { remove, ..Change::default() }).await?;
            told(users.count(), changed.removed, "removed from", "were no members", community)
        }
        Some(Action::Verify(_)) => Ok(()),
    }
}

async fn show(api: &Api, community: CommunityId) -> Result<(), Failure> {
    let count = api.count(community).await?;
    let few = count > 0 && count <= MEMBERS_SHOWN as u64;
    let who = if few { format!(": {}", joined(&api.members(community).await?)) } else { String::new() };
    let members = if count == 1 { "member" } else { "members" };
    Ok(output::line(format!("community {community} has {count} {members}{who}"))?)
}

fn joined(users: &BTreeSet<UserId>) -> String {
    let texts: Vec<_> = users.iter().map(UserId::to_string).collect();
    texts.join(", ")
}

async fn list(api: &Api, community: CommunityId) -> Result<(), Failure> {
    let count = api.count(community).await?;
    if count > MEMBERS_LISTED_MAX {
        return Err(Failure::TooMany { community, count });
    }
    Ok(output::lines(&api.members(community).await?)?)
}

async fn change(
    api: &Api,
    community: CommunityId,
    users: &Users,
    change: impl Fn(Vec<UserId>) -> Change,
) -> Result<Changed, Failure> {
    let (mut sum, mut done) = (Changed::default(), 0_u64);
    let mut each = users.each().peekable();
    while each.peek().is_some() {
        let page: Vec<UserId> = each.by_ref().take(MEMBERS_PAGE_MAX).collect();
        let length = page.len() as u64;
        let changed = api.change(community, &change(page)).await.map_err(|error| match done {
            0 => Failure::Api(error),
            done => Failure::Partly { error, done, all: users.count() },
        })?;
        sum = Changed { added: sum.added + changed.added, removed: sum.removed + changed.removed };
        done += length;
    }
    Ok(sum)
}

fn told(given: u64, changed: u64, verb: &str, others: &str, community: CommunityId) -> Result<(), Failure> {
    let unchanged = given.saturating_sub(changed);
    let rest = if unchanged == 0 { String::new() } else { format!("; {unchanged} {others}") };
    Ok(output::line(format!("{changed} {verb} community {community}{rest}"))?)
}
