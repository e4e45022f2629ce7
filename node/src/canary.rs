//! The canary: a record through the log and back, so that a node that is connected but deaf is not ready.
//!
//! A partition that reads records proves by itself that it hears; only a quiet one gets a canary. Owns when to send them, and
//! when a partition has to listen anew; what was heard is noted by whoever reads the partition ([`Hearing`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use peal_proto::{Partition, Topic};
use peal_serve::Clock;
use peal_store::Log;
use peal_store::log::{Headers, NewRecord};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::limits::{CANARY_APPEND_TIMEOUT, CANARY_HEARD_TIMEOUT, CANARY_LOOK_INTERVAL, DEAF_TIMEOUT};
use crate::shard::{Health, ShardHandle, Shards};

/// What a partition has heard. Times are of the node's monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    /// Milliseconds, and one more; 0 is never.
    heard_at: AtomicU64,
    /// When the first canary was sent that was not answered by a record; as above.
    asked_at: AtomicU64,
    is_under_way: AtomicBool,
    /// When the canary under way was in the log, or the partition was last told to listen anew.
    sent_at: AtomicU64,
    anew: Notify,
}

fn stamp(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1) + 1
}

impl Hearing {
    /// Records were read, whatever is in them.
    pub(crate) fn hear(&self, now: Duration) {
        self.heard_at.store(stamp(now), Ordering::Relaxed);
        self.answered();
    }

    /// Nothing has been heard yet.
    pub(crate) fn forget(&self) {
        self.heard_at.store(0, Ordering::Relaxed);
        self.answered();
    }

    /// Nothing is asked any more.
    fn answered(&self) {
        self.asked_at.store(0, Ordering::Relaxed);
        self.is_under_way.store(false, Ordering::Relaxed);
        self.sent_at.store(0, Ordering::Relaxed);
    }

    /// Waits until the partition has been deaf for so long that it is to listen anew.
    pub(crate) async fn is_to_listen_anew(&self) {
        self.anew.notified().await;
    }

    /// Whether the partition hears: it has, and a canary is not overdue.
    pub(crate) fn is_sound(&self, now: Duration) -> bool {
        let asked_at = self.asked_at.load(Ordering::Relaxed);
        let waited = Duration::from_millis(stamp(now).saturating_sub(asked_at));
        self.heard_at.load(Ordering::Relaxed) > 0 && (asked_at == 0 || waited < CANARY_HEARD_TIMEOUT)
    }

    /// Whether a canary is to be sent now; the caller does.
    fn asks(&self, now: Duration, interval: Duration) -> bool {
        let heard_at = self.heard_at.load(Ordering::Relaxed);
        let quiet = Duration::from_millis(stamp(now).saturating_sub(heard_at));
        if self.is_under_way.load(Ordering::Relaxed) || (heard_at > 0 && quiet < interval) {
            return false;
        }
        self.is_under_way.store(true, Ordering::Relaxed);
        if self.asked_at.load(Ordering::Relaxed) == 0 {
            self.asked_at.store(stamp(now), Ordering::Relaxed);
        }
        true
    }

    /// The canary did not get into the log; the next look sends another.
    fn failed(&self) {
        self.is_under_way.store(false, Ordering::Relaxed);
    }

    /// The canary is in the log, unless it was heard before this was known.
    fn sent(&self, now: Duration) {
        if self.is_under_way.load(Ordering::Relaxed) {
            self.sent_at.store(stamp(now), Ordering::Relaxed);
        }
    }

    /// Has the partition listen anew if it does not hear what is in the log, and again if that does not help.
    fn look(&self, now: Duration) {
        let sent_at = self.sent_at.load(Ordering::Relaxed);
        if sent_at > 0 && stamp(now).saturating_sub(sent_at) >= stamp(DEAF_TIMEOUT) {
            self.sent_at.store(stamp(now), Ordering::Relaxed);
            self.anew.notify_one();
        }
    }
}

/// Sends canaries until `stop`: to each partition that reads at first, and then whenever it was quiet for `interval`.
pub(crate) async fn run(
    log: &dyn Log,
    clock: &Clock,
    shards: &watch::Receiver<Shards>,
    interval: Duration,
    stop: &CancellationToken,
) {
    while tokio::time::timeout(CANARY_LOOK_INTERVAL.min(interval), stop.cancelled()).await.is_err() {
        let now = clock.uptime();
        let shards = shards.borrow().clone();
        shards.iter().for_each(|(_, shard)| shard.hearing().look(now));
        let asks = |shard: &ShardHandle| shard.health() == Health::Reading && shard.hearing().asks(now, interval);
        let asking: Vec<_> = shards.iter().filter(|(_, shard)| asks(shard)).collect();
        if asking.is_empty() {
            continue;
        }
        match send(log, asking.iter().map(|(partition, _)| **partition)).await {
            Ok(()) => asking.iter().for_each(|(_, shard)| shard.hearing().sent(clock.uptime())),
            Err(reason) => {
                tracing::warn!(reason, "canaries could not be sent");
                asking.iter().for_each(|(_, shard)| shard.hearing().failed());
            }
        }
    }
}

async fn send(log: &dyn Log, partitions: impl Iterator<Item = Partition>) -> Result<(), String> {
    let canary = |partition: Partition| NewRecord {
        partition,
        key: u64::from(partition.get()),
        headers: Headers { canary: true, ..Headers::default() },
        value: Bytes::new(),
    };
    let appended = log.append(Topic::Notifications, partitions.map(canary).collect());
    match tokio::time::timeout(CANARY_APPEND_TIMEOUT, appended).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the log did not answer in {} s", CANARY_APPEND_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_partition_is_sound_once_it_has_heard_and_until_a_canary_is_overdue() {
        let hearing = Hearing::default();
        assert!(!hearing.is_sound(at(0)));
        assert!(hearing.asks(at(0), INTERVAL));
        hearing.hear(at(1));
        assert!(hearing.is_sound(at(1)));
        assert!(!hearing.asks(at(15), INTERVAL));
        assert!(hearing.asks(at(16), INTERVAL));
        assert!(!hearing.asks(at(17), INTERVAL), "one is under way");
        assert!(hearing.is_sound(at(17)));
        assert!(!hearing.is_sound(at(16) + CANARY_HEARD_TIMEOUT));
        hearing.hear(at(60));
        assert!(hearing.is_sound(at(60)));
    }

    #[test]
    fn a_canary_that_was_not_sent_is_sent_again_and_the_time_counts_from_the_first() {
        let hearing = Hearing::default();
        hearing.hear(at(0));
        for second in 15..20 {
            assert!(hearing.asks(at(second), INTERVAL));
            hearing.failed();
        }
        assert!(!hearing.is_sound(at(15) + CANARY_HEARD_TIMEOUT));
    }
}
