//! How many files, sockets among them, this process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Takes what the system grants beyond the usual start of 1,024, and says how much that is; `None` is without a limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let mut raised = limit;
    raised.current = limit.maximum;
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays where it is");
            limit.current
        }
    }
}
