//! Waits for a store, but no longer than whoever asks would: a store that hangs is one that is not available.

use std::time::Duration;

use peal_store::StoreError;

/// The answer of `store`, or [`StoreError::Unavailable`] when there is none in time.
pub(crate) async fn within<T>(
    timeout: Duration,
    store: &'static str,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable { store, reason: format!("no answer in {} ms", timeout.as_millis()) };
    tokio::time::timeout(timeout, asked).await.map_err(late)?
}
