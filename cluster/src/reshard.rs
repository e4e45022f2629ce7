//! `peal reshard`: asks for another number of nodes, and looks on until it is so.

use std::io;
use std::time::Duration;

use peal_serve::Clock;
use tokio::time::sleep;

use crate::api::{Api, ApiError, Shards};
use crate::config::reshard::Reshard;
use crate::limits::STATUS_LOOK_INTERVAL;
use crate::output;

/// Why `peal reshard` failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The publisher's answer, or none.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Somebody asked for another number in the meantime.
    #[error("somebody else asked for {nodes} nodes; that is where the partitions go now")]
    Overruled {
        /// How many.
        nodes: u32,
    },
    /// How far it is can't be printed.
    #[error("stdout can't be written")]
    Output(#[from] io::Error),
}

/// `peal reshard`.
///
/// # Errors
/// [`Failure`].
pub async fn run(reshard: &Reshard) -> Result<(), Failure> {
    let api = reshard.which.api();
    let begun = Clock::system();
    let shards = api.reshard(reshard.nodes).await?;
    if reshard.no_wait {
        let Shards { nodes, epoch, to_move, .. } = shards;
        return Ok(output::line(format!("{nodes} nodes, epoch {epoch}: {to_move} partitions to move"))?);
    }
    let shards = wait(&api, reshard.nodes, shards).await?;
    let Shards { nodes, epoch, .. } = shards;
    let seconds = begun.uptime().as_secs_f64();
    Ok(output::line(format!(
        "{nodes} nodes, epoch {epoch}: every partition is where it belongs, after {seconds:.1} s"
    ))?)
}

/// Waits until all is where it belongs and read there; says when there is something new to say.
async fn wait(api: &Api, nodes: u32, mut shards: Shards) -> Result<Shards, Failure> {
    let mut said = String::new();
    loop {
        if shards.nodes != nodes {
            return Err(Failure::Overruled { nodes: shards.nodes });
        }
        if shards.is_settled() {
            return Ok(shards);
        }
        let words = progress(&shards);
        if words != said {
            output::line(&words)?;
            said = words;
        }
        sleep(STATUS_LOOK_INTERVAL).await;
        shards = again(api).await?;
    }
}

/// A publisher that is away for a moment does not end it.
async fn again(api: &Api) -> Result<Shards, ApiError> {
    const TRIES: u32 = 20;
    let mut tries = 0;
    loop {
        match api.shards(false).await {
            Err(ApiError::NotRunning { .. } | ApiError::Broken { .. } | ApiError::Problem(_)) if tries < TRIES => {
                tries += 1;
                sleep(Duration::from_millis(500)).await;
            }
            answer => return answer,
        }
    }
}

fn progress(shards: &Shards) -> String {
    let Shards { to_move, under_way, waits_for, .. } = shards;
    let moving = format!("{to_move} partitions to move, {} under way", under_way.len());
    if waits_for.is_empty() { moving } else { format!("{moving}; waiting: {}", waits_for.join("; ")) }
}
