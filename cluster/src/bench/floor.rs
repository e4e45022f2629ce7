//! stub
use crate::config::bench::Floor;
/// x
pub async fn run(_: &Floor) -> anyhow::Result<()> { Ok(()) }
