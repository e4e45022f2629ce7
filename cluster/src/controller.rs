//! `peal controller`: beside a cluster on Kubernetes, does what Kubernetes by itself does not.
//!
//! The replicas of the StatefulSet become the number of nodes of the shard map, by asking the publisher. And a machine that is gone
//! keeps its pods: Kubernetes can't know that they do not run there any more, and of a StatefulSet there must not be two of one
//! name. Here there may, for as long as it takes: who reads a partition is said by leases, and what is settled by the log. So a pod
//! that did not leave in its time is given up, and Kubernetes starts another. What is to be asked for is [`replicas`]' business,
//! which pods are overdue [`overdue`]'s, how Kubernetes is asked [`kubernetes`]'s.

mod kubernetes;
mod overdue;
mod replicas;

use peal_serve::Clock;
use peal_serve::process::Signals;
use tokio::time::{MissedTickBehavior, interval};

use self::kubernetes::{Kubernetes, KubernetesError};
use self::overdue::Overdue;
use self::replicas::Replicas;
use crate::api::{Api, ApiError};
use crate::config::controller::Controller;
use crate::limits::CONTROLLER_LOOK_INTERVAL;

/// Why something could not be seen to.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    #[error(transparent)]
    Publisher(#[from] ApiError),
}

/// Who is asked, and what is known.
struct Watch {
    kubernetes: Kubernetes,
    api: Api,
    clock: Clock,
    overdue: Overdue,
    replicas: Replicas,
}

/// `peal controller`, until a signal.
///
/// # Errors
/// When this is no pod with an account of its own, or signals can't be taken.
pub async fn run(controller: &Controller) -> anyhow::Result<()> {
    controller.log.install()?;
    let mut signals = Signals::take()?;
    let mut watch = Watch {
        kubernetes: Kubernetes::of_pod(controller)?,
        api: controller.which.api(),
        clock: Clock::system(),
        overdue: Overdue::default(),
        replicas: Replicas::default(),
    };
    tokio::select! {
        () = signals.next() => Ok(()),
        () = watch.go_on() => Ok(()),
    }
}

impl Watch {
    async fn go_on(&mut self) {
        let (mut pods_well, mut shards_well) = (true, true);
        let mut looks = interval(CONTROLLER_LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            // One does not wait for the other: a publisher may be away because its machine is.
            tell("pods", &mut pods_well, &self.replace_lost_pods().await);
            tell("shards", &mut shards_well, &self.follow_replicas().await);
        }
    }

    async fn replace_lost_pods(&mut self) -> Result<(), LookError> {
        for pod in self.overdue.look(self.kubernetes.pods().await?, self.clock.uptime()) {
            tracing::warn!(pod = pod.name, "did not leave in its time; it is given up, and another may start");
            self.kubernetes.give_up(&pod).await?;
        }
        Ok(())
    }

    async fn follow_replicas(&mut self) -> Result<(), LookError> {
        let (replicas, nodes) = (self.kubernetes.replicas().await?, self.api.shards(false).await?.nodes);
        let Some(wanted) = self.replicas.wanted(replicas, nodes) else { return Ok(()) };
        match self.api.reshard(wanted).await {
            Ok(shards) => tracing::info!(replicas, was = nodes, to_move = shards.to_move, "the users are spread anew"),
            Err(ApiError::Problem(refusal)) if refusal.status < 500 => {
                tracing::warn!(replicas, nodes, why = refusal.detail, "the number of nodes stays as it is");
                self.replicas.refused(wanted);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Logs what changed, not what stays as it was.
fn tell(what: &'static str, was_well: &mut bool, looked: &Result<(), LookError>) {
    match looked {
        Ok(()) if !*was_well => tracing::info!(what, "seen to again"),
        Err(error) if *was_well => tracing::warn!(what, %error, "could not be seen to; it is tried again"),
        Ok(()) | Err(_) => {}
    }
    *was_well = looked.is_ok();
}
