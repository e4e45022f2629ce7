//! Which pods should have left long ago. A pure machine: it is told what there is, and the time.
//!
//! Kubernetes' clock is not asked: a pod is given its grace from when it was first seen to leave.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kubernetes::Pod;
use crate::limits::OVERDUE_AFTER;

/// Until when each pod that is leaving has time, by its unique id.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    until: BTreeMap<String, Duration>,
}

impl Overdue {
    /// Takes note of all pods that there are now; those that had their time and more.
    pub(super) fn look(&mut self, pods: Vec<Pod>, now: Duration) -> Vec<Pod> {
        let leaving: Vec<_> = pods.into_iter().filter(|pod| pod.grace.is_some()).collect();
        self.until.retain(|uid, _| leaving.iter().any(|pod| pod.uid == *uid));
        let is_overdue = |pod: &Pod| {
            let time = pod.grace.unwrap_or_default() + OVERDUE_AFTER;
            *self.until.entry(pod.uid.clone()).or_insert(now + time) <= now
        };
        leaving.into_iter().filter(is_overdue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    fn pod(uid: &str, grace: Option<Duration>) -> Pod {
        Pod { name: "peal-node-1".to_owned(), uid: uid.to_owned(), grace }
    }

    fn found(overdue: &mut Overdue, pods: &[Pod], now: Duration) -> Vec<String> {
        overdue.look(pods.to_vec(), now).into_iter().map(|pod| pod.uid).collect()
    }

    #[test]
    fn a_pod_is_overdue_once_its_grace_and_a_while_have_passed_since_it_was_seen_to_leave() {
        let (mut overdue, leaving) = (Overdue::default(), [pod("a", Some(GRACE)), pod("b", None)]);
        let (seen, due) = (Duration::from_secs(1_000), Duration::from_secs(1_000) + GRACE + OVERDUE_AFTER);
        assert_eq!(found(&mut overdue, &leaving, seen), [""; 0]);
        assert_eq!(found(&mut overdue, &leaving, due - Duration::from_millis(1)), [""; 0]);
        assert_eq!(found(&mut overdue, &leaving, due), ["a"]);
        assert_eq!(found(&mut overdue, &leaving, due + GRACE), ["a"], "until it is gone");
    }

    #[test]
    fn a_pod_of_the_same_name_has_its_own_time() {
        let (mut overdue, mut now) = (Overdue::default(), Duration::ZERO);
        for uid in ["a", "b", "c"] {
            assert_eq!(found(&mut overdue, &[pod(uid, Some(GRACE))], now), [""; 0]);
            now += GRACE + OVERDUE_AFTER - Duration::from_secs(1);
            assert_eq!(found(&mut overdue, &[pod(uid, Some(GRACE))], now), [""; 0]);
        }
        assert_eq!(overdue.until.len(), 1, "those that are gone are forgotten");
    }
}
