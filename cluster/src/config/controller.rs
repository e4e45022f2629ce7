//! The words of `peal controller`.

use std::path::PathBuf;

use clap::Args;
use peal_serve::services::LogArgs;

use super::Which;

pub(super) const ABOUT: &str = "\
Run beside a cluster on Kubernetes and do what Kubernetes by itself does not. The replicas of the StatefulSet are the number of \
nodes: when they change, the users are spread over so many, as by `peal reshard`. And pods of nodes whose machine is gone are given \
up, so that others take their place: what was told to leave and is still there after its grace and a quarter of a minute is taken \
out of Kubernetes' books. By itself Kubernetes waits for a person there, as of most things two must not run at once; of a node two may.";

const AFTER: &str = "\
Examples:
  peal controller --url http://peal-publisher:7000         in a pod, with its service account

The account may `get` the `statefulsets/scale` of that name, and `list` and `delete` pods in its own namespace.";

/// Run beside a cluster on Kubernetes: its replicas are the nodes, and those whose machine is gone are replaced
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub struct Controller {
    /// The StatefulSet of the nodes, in the namespace of this pod
    #[arg(long, env = "PEAL_STATEFULSET", default_value = "peal-node", value_name = "NAME")]
    pub stateful_set: String,
    /// Where Kubernetes' API is
    #[arg(long, env = "PEAL_KUBERNETES", default_value = "https://kubernetes.default.svc", value_name = "URL")]
    pub kubernetes: String,
    /// Where Kubernetes puts the account of a pod: a token, the certificates of the API, and the namespace
    #[arg(
        long,
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount",
        value_name = "DIR",
        hide_short_help = true
    )]
    pub account: PathBuf,
    #[command(flatten)]
    pub(crate) which: Which,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}
