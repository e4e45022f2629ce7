//! stub
use crate::config::bench::Bench;
pub mod floor;
/// x
pub async fn run(_: &Bench) -> anyhow::Result<()> { Ok(()) }
