//! What the process tells about itself: metrics for Prometheus, logs for people and machines.
//!
//! Both are the process's, not a server's: several servers in one process, or a test that installs twice, share them.
//! Names and meanings of metrics are of those who count.

use std::future::{Ready, ready};
use std::io::IsTerminal;
use std::sync::OnceLock;

use axum::http::header::{CONTENT_TYPE, HeaderName};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::limits::METRICS_UPKEEP_INTERVAL;

/// Bounds of histograms named `…_seconds`: from one fsync to the time-out of a client.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Bounds of all other histograms: records, members, bytes.
const COUNTS: [f64; 12] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 16_777_216.0];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts counting. Before it, everything that is counted is dropped; doing it again changes nothing.
pub fn install_metrics() {
    METRICS.get_or_init(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed already; /metrics stays empty");
        }
        handle
    });
}

fn recorder() -> metrics_exporter_prometheus::PrometheusRecorder {
    let with_buckets = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|builder| builder.set_buckets(&COUNTS));
    // Fails for an empty list only.
    with_buckets.unwrap_or_default().build_recorder()
}

/// Folds histograms now and then, until `stop`; whoever installs the metrics runs it.
pub async fn keep_metrics(stop: CancellationToken) {
    while tokio::time::timeout(METRICS_UPKEEP_INTERVAL, stop.cancelled()).await.is_err() {
        if let Some(handle) = METRICS.get() {
            handle.run_upkeep();
        }
    }
}

/// `GET /metrics`, in Prometheus' text format.
pub fn metrics_page() -> Ready<([(HeaderName, &'static str); 1], String)> {
    let text = METRICS.get().map(PrometheusHandle::render).unwrap_or_default();
    ready(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "flags", derive(clap::ValueEnum))]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// The filter of logs can't be read.
#[derive(Debug, thiserror::Error)]
#[error("--log {0:?} is no filter: it takes a level such as info, or a list such as warn,peal_node=debug")]
pub struct InvalidFilter(String);

/// Starts logging to standard error. `filter` is a level, or several with the module each is for, such as
/// `info,peal_node=debug`. Doing it again changes nothing.
///
/// # Errors
/// [`InvalidFilter`].
pub fn install_log(filter: &str, format: LogFormat) -> Result<(), InvalidFilter> {
    let filter = EnvFilter::builder().parse(filter).map_err(|_| InvalidFilter(filter.to_owned()))?;
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let installed = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    if installed.is_err() {
        tracing::debug!("logs are written already");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn metrics_survive_a_second_install_and_histograms_are_buckets() {
        install_metrics();
        install_metrics();
        metrics::histogram!("peal_test_seconds").record(0.02);
        metrics::histogram!("peal_test_members").record(100.0);
        let stop = CancellationToken::new();
        let upkeep = tokio::spawn(keep_metrics(stop.clone()));
        tokio::time::sleep(METRICS_UPKEEP_INTERVAL + Duration::from_secs(1)).await;
        stop.cancel();
        upkeep.await.unwrap();
        let (_, page) = metrics_page().await;
        assert!(page.contains(r#"peal_test_seconds_bucket{le="0.025"} 1"#), "{page}");
        assert!(page.contains(r#"peal_test_members_bucket{le="256"} 1"#), "{page}");
    }

    #[test]
    fn logs_can_be_installed_twice_and_a_bad_filter_is_told() {
        install_log("warn", LogFormat::Text).unwrap();
        install_log("info,peal_serve=debug", LogFormat::Json).unwrap();
        assert!(install_log("peal=loud", LogFormat::Text).is_err());
    }
}
