//! The cursor of a user between two runs of `peal listen`: one small file a cluster and user.
//!
//! Replaced as a whole, so that a crash leaves the old or the new one. It only rises: two terminals may share it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use peal_proto::{Cursor, UserId};

use crate::api::BaseUrl;
use crate::{config, output};

/// Where the cursor is kept, if anywhere.
pub(super) struct Kept {
    path: Option<PathBuf>,
}

impl Kept {
    /// Kept by nobody.
    pub(super) fn nowhere() -> Self {
        Self { path: None }
    }

    /// Kept in the state directory of this machine's user.
    pub(super) fn of(cluster: &BaseUrl, user: UserId) -> Self {
        match config::state_directory() {
            Some(directory) => Self::under(directory, &cluster.file_name(), user),
            None => {
                output::remark("peal: neither XDG_STATE_HOME nor HOME is set, so no cursor is kept");
                Self::nowhere()
            }
        }
    }

    fn under(directory: PathBuf, cluster: &str, user: UserId) -> Self {
        Self { path: Some(directory.join("peal/cursors").join(cluster).join(user.to_string())) }
    }

    /// The kept cursor. What can't be read means starting without one: more may come, never less.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        let path = self.path.as_ref()?;
        match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                output::remark(format!("peal: the cursor in {} can't be read: {error}", path.display()));
                None
            }
        }
    }

    /// Keeps a cursor unless a higher one is kept.
    pub(super) fn keep(&self, cursor: Cursor) -> io::Result<()> {
        if self.cursor() >= Some(cursor) { Ok(()) } else { self.begin_at(cursor) }
    }

    /// Keeps a cursor whatever is kept.
    pub(super) fn begin_at(&self, cursor: Cursor) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let unfinished = path.with_extension(std::process::id().to_string());
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(at)?;
        }
        std::fs::write(&unfinished, format!("{cursor}\n")).map_err(at)?;
        std::fs::rename(&unfinished, path).map_err(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_cursor_only_rises_and_is_of_one_cluster_and_user() {
        let directory = tempfile::tempdir().unwrap();
        let kept = |cluster, user| Kept::under(directory.path().to_owned(), cluster, UserId::new(user).unwrap());
        let ours = kept("127.0.0.1:7000", 42);
        assert_eq!(ours.cursor(), None);
        for (given, then) in [("3.17", "3.17"), ("3.9", "3.17"), ("4.1", "4.1")] {
            ours.keep(given.parse().unwrap()).unwrap();
            assert_eq!(kept("127.0.0.1:7000", 42).cursor(), Some(then.parse().unwrap()));
        }
        ours.begin_at("2.0".parse().unwrap()).unwrap();
        assert_eq!(ours.cursor(), Some("2.0".parse().unwrap()));
        assert_eq!(kept("127.0.0.1:7000", 43).cursor(), None);
        assert_eq!(kept("127.0.0.1:8000", 42).cursor(), None);
    }

    #[test]
    fn a_file_that_holds_no_cursor_counts_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::under(directory.path().to_owned(), "a", UserId::new(1).unwrap());
        kept.keep("3.17".parse().unwrap()).unwrap();
        std::fs::write(kept.path.as_ref().unwrap(), "garbage").unwrap();
        assert_eq!(kept.cursor(), None);
    }
}
