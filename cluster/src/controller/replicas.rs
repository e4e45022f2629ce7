//! Over how many nodes the users are to be spread. A pure machine: it is told what the StatefulSet and the shard map say.

/// What is asked of the publisher.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    /// A number that the publisher refused: it stays refused, as the number of partitions never changes.
    refused: Option<u32>,
}

impl Replicas {
    /// The number of nodes to ask for, if it is not that of the map. None at all is a cluster that is stopped, not one without
    /// users: the map stays as it is.
    pub(super) fn wanted(&self, replicas: u32, nodes: u32) -> Option<u32> {
        let is_new = replicas != 0 && replicas != nodes && self.refused != Some(replicas);
        is_new.then_some(replicas)
    }

    /// That number is refused, for good.
    pub(super) fn refused(&mut self, replicas: u32) {
        self.refused = Some(replicas);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTITIONS: u32 = 120;

    proptest! {
        /// Whatever is said one after the other, by somebody who reshards by hand too: in the end the map has the replicas,
        /// or what it had if they can't be had, and nothing is asked for twice that was refused.
        #[test]
        fn the_map_ends_with_the_last_replicas_that_can_be_had(
            said in prop::collection::vec((0..130_u32, prop::option::of(1..7_u32)), 1..40),
        ) {
            let (mut machine, mut nodes) = (Replicas::default(), 3);
            for (replicas, by_hand) in said {
                nodes = by_hand.filter(|nodes| PARTITIONS.is_multiple_of(*nodes)).unwrap_or(nodes);
                let before = nodes;
                let mut refusals = 0;
                for _ in 0..3 {
                    let Some(wanted) = machine.wanted(replicas, nodes) else { continue };
                    if PARTITIONS.is_multiple_of(wanted) {
                        nodes = wanted;
                    } else {
                        machine.refused(wanted);
                        refusals += 1;
                    }
                }
                let can_be_had = replicas != 0 && PARTITIONS.is_multiple_of(replicas);
                prop_assert_eq!(nodes, if can_be_had { replicas } else { before });
                prop_assert!(refusals <= 1);
            }
        }
    }

    #[test]
    fn a_number_that_was_refused_is_asked_for_again_when_another_was_refused_since() {
        let mut machine = Replicas::default();
        for replicas in [7, 9, 7] {
            assert_eq!(machine.wanted(replicas, 3), Some(replicas));
            machine.refused(replicas);
            assert_eq!(machine.wanted(replicas, 3), None);
        }
    }
}
