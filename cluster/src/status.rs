//! `peal status`: what the cluster is doing, once or as a view that lives.

mod reach;

use std::io;

use tokio::time::timeout;

use crate::api::{Api, ApiError, ClusterNode, Shards};
use crate::config::reshard::Status;
use crate::limits::STATUS_LOOK_INTERVAL;
use crate::output::{self, printable};
use peal_serve::process::Signals;

/// Why `peal status` failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The publisher's answer, or none.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It can't be printed.
    #[error("stdout can't be written")]
    Output(#[from] io::Error),
}

/// `peal status`.
///
/// # Errors
/// [`Failure`].
pub async fn run(status: &Status) -> Result<(), Failure> {
    let api = status.which.api();
    let shards = look(&api).await?; // a cluster that is not there at the start is a mistake, later it is a wait
    if status.json {
        return Ok(output::line(serde_json::to_string(&shards).map_err(io::Error::from)?)?);
    }
    if status.once || !output::is_terminal() {
        return Ok(output::line(view(&shards))?);
    }
    live(&api, shards).await
}

async fn look(api: &Api) -> Result<Shards, ApiError> {
    let mut shards = api.shards(true).await?;
    shards.warnings.extend(reach::misleading(&shards.members).await);
    Ok(shards)
}

/// Shows it again and again in the same place, until Ctrl-C.
async fn live(api: &Api, first: Shards) -> Result<(), Failure> {
    /// To the top left corner; the rest of the line; everything below (ECMA-48 CUP, EL, ED).
    const HOME: &str = "\x1b[H";
    const LINE: &str = "\x1b[K";
    const REST: &str = "\x1b[J";
    let mut signals = Signals::take()?;
    let mut shown = view(&first);
    loop {
        let text = shown.replace('\n', &format!("{LINE}\n"));
        output::line(format!("{HOME}{text}{LINE}\n{REST}"))?;
        if timeout(STATUS_LOOK_INTERVAL, signals.next()).await.is_ok() {
            return Ok(());
        }
        shown = match look(api).await {
            Ok(shards) => view(&shards),
            Err(error) => error.to_string(),
        };
    }
}

fn view(shards: &Shards) -> String {
    let Shards { epoch, partitions, nodes, to_move, under_way, waits_for, warnings, members, .. } = shards;
    let mut lines =
        vec![format!("epoch {epoch}: {partitions} partitions over {nodes} nodes, {} of them read", read(shards))];
    let moving =
        if *to_move == 0 { String::new() } else { format!("{to_move} to move, {} under way", under_way.len()) };
    let mut line = |text: String| lines.push(text);
    if !moving.is_empty() {
        line(format!("moving: {moving}"));
    }
    for wait in waits_for {
        line(format!("waiting: {}", printable(wait)));
    }
    for warning in warnings {
        line(format!("warning: {}", printable(warning)));
    }
    line(format!("\n{:>5}  {:>4}  {:>5}  {:>9}  {:<9}  url", "node", "owns", "reads", "behind", "state"));
    for member in members {
        let ClusterNode { node, url, owns, reads, .. } = member;
        let behind = behind(shards, member).map_or_else(|| "?".to_owned(), |lag| lag.to_string());
        line(format!(
            "{node:>5}  {owns:>4}  {reads:>5}  {behind:>9}  {:<9}  {}",
            state(member, *nodes),
            printable(url)
        ));
    }
    lines.join("\n")
}

fn read(shards: &Shards) -> usize {
    shards.owners.iter().filter(|owner| owner.read).count()
}

/// How far the partitions of a node are behind, together.
fn behind(shards: &Shards, member: &ClusterNode) -> Option<u64> {
    shards.owners.iter().filter(|owner| owner.node == member.node).map(|owner| owner.lag).sum()
}

fn state(member: &ClusterNode, nodes: u32) -> &'static str {
    match (member.is_there, member.leaving) {
        (false, _) => "not there",
        (true, true) => "leaving",
        (true, false) if member.node.get() >= nodes && member.owns == 0 => "not used",
        (true, false) => "there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_names_what_moves_who_is_missing_and_how_far_it_is_behind() {
        let shards = r#"{"epoch":7,"partitions":4,"nodes":2,"to_move":2,"under_way":[1],"waits_for":["node 1 is not there"],
            "warnings":["node 0 is two processes"],
            "members":[{"node":0,"url":"ws://a","is_there":true,"leaving":false,"process":"p","owns":4,"reads":3}],
            "owners":[{"partition":0,"node":0,"read":true,"lag":3},{"partition":1,"node":0,"read":false,"lag":4},
                {"partition":2,"node":0,"read":true,"lag":0},{"partition":3,"node":0,"read":true,"lag":0}]}"#;
        let shown = view(&serde_json::from_str(shards).unwrap());
        for words in [
            "epoch 7: 4 partitions over 2 nodes, 3 of them read",
            "2 to move, 1 under way",
            "waiting: node 1 is not",
            "warning: node 0 is",
            "ws://a",
        ] {
            assert!(shown.contains(words), "{shown}");
        }
        assert!(
            shown.lines().any(|line| line.split_whitespace().eq(["0", "4", "3", "7", "there", "ws://a"])),
            "{shown}"
        );
    }
}
