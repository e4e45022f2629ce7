//! Counts what many sockets receive, and tells when all of it has come.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How long one round may take: beyond it something is lost or hangs.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// A counter that can be waited for.
#[derive(Debug, Default)]
pub(super) struct Tally {
    count: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Tally {
    /// So many more have come.
    pub(super) fn add(&self, more: u64) {
        let count = self.count.fetch_add(more, Ordering::AcqRel) + more;
        if count >= self.goal.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    /// Waits until so many have come since the tally was made.
    pub(super) async fn reaches(&self, goal: u64) -> io::Result<()> {
        self.goal.store(goal, Ordering::Release);
        let reached = async {
            while self.count.load(Ordering::Acquire) < goal {
                self.reached.notified().await;
            }
        };
        let late = |_| {
            let count = self.count.load(Ordering::Acquire);
            io::Error::other(format!("{count} of {goal} came in {} s", ROUND_TIMEOUT.as_secs()))
        };
        timeout(ROUND_TIMEOUT, reached).await.map_err(late)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_goal_is_reached_before_or_after_it_is_waited_for_or_not_in_time() {
        let tally = Arc::new(Tally::default());
        tally.add(3);
        tally.reaches(3).await.unwrap();
        let waiting = tokio::spawn({
            let tally = Arc::clone(&tally);
            async move { tally.reaches(5).await }
        });
        tally.add(1);
        tally.add(1);
        waiting.await.unwrap().unwrap();
        assert!(tally.reaches(6).await.unwrap_err().to_string().contains("5 of 6"));
    }
}
